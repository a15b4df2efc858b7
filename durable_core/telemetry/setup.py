"""Chooses the observer of an app."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from ..runtime.host_identity import HostIdentity, this_process
from ..runtime.observer import NOBODY, Observer
from .gauges import Gauges
from .metrics import Counts, Metrics
from .sdk import SCOPE, SpanTracer, configured_provider
from .spans import Spans
from .together import Together


def observer_of_process(version: str, *, counts: bool = False, host: HostIdentity | None = None) -> Observer:
    """The observer of an app that is opened now.

    It emits spans and metrics if the app has set a tracer or a meter provider of the OpenTelemetry SDK by now, as
    ``function_app.py`` does when it is imported. counts: count for ``GET /metrics`` in any case. version: of
    durable_core, for the instrumentation scope.
    """
    tracers, meters = configured_provider("trace"), configured_provider("metrics")
    tracer = None if tracers is None else SpanTracer.of(tracers, version)
    spans = None if tracer is None else Spans(tracer, host or this_process())
    metrics: Metrics | None = None
    if counts or meters is not None:
        meter = None if meters is None else meters.get_meter(SCOPE, version)
        metrics = Metrics(Counts(meter), gauges=None if meter is None else _gauges_for(meters, meter))
    if spans is not None and metrics is not None:
        return Together(spans, metrics)
    return spans or metrics or NOBODY


_gauges: WeakKeyDictionary[Any, Gauges] = WeakKeyDictionary()
"""One for each meter provider: the SDK ignores the callbacks of an instrument that is made a second time."""


def _gauges_for(provider: Any, meter: Any) -> Gauges:
    found = _gauges.get(provider)
    if found is None:
        found = _gauges[provider] = Gauges(meter)
    return found


def gauges_of(observer: Observer) -> Gauges | None:
    """The gauges that a meter of the SDK reads; None if the app has set none."""
    return observer.gauges if isinstance(observer, Metrics | Together) else None


def counts_of(observer: Observer) -> Counts | None:
    """What this observer has counted; None if it does not count."""
    return observer.counts if isinstance(observer, Metrics | Together) else None
