"""Chooses the observer of an app."""

from __future__ import annotations

from ..runtime.host_identity import HostIdentity, this_process
from ..runtime.observer import NOBODY, Observer
from .sdk import SpanTracer, configured_provider
from .spans import Spans


def observer_of_process(version: str, host: HostIdentity | None = None) -> Observer:
    """The observer of an app that is opened now.

    It emits spans if the app has set a tracer provider of the OpenTelemetry SDK by now, as ``function_app.py`` does
    when it is imported. version: of durable_core, for the instrumentation scope.
    """
    provider = configured_provider("trace")
    tracer = None if provider is None else SpanTracer.of(provider, version)
    return NOBODY if tracer is None else Spans(tracer, host or this_process())
