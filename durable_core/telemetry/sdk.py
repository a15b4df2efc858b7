"""The tracer and the meter of the OpenTelemetry SDK, if the app has set it up. Imports nothing of it otherwise.

OpenTelemetry is an extra: its parts are looked up among the modules that the app itself has imported.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

from ..lazy_dataclass import dataclass
from ..trace_context import TraceParent

SCOPE = "durable_core"
"""The name of the instrumentation scope, by which views and processors can select these spans and metrics."""

logger = logging.getLogger("durable_core.telemetry")


def configured_provider(signal: str) -> Any:
    """The provider that the app has set for ``trace`` or ``metrics``; None if it is not one of the SDK."""
    sdk: Any = sys.modules.get(f"opentelemetry.sdk.{signal}")
    if sdk is None:  # nothing of the app has imported it, so nothing can have made a provider
        return None
    api: Any = import_module(f"opentelemetry.{signal}")
    kind, get = (
        ("TracerProvider", "get_tracer_provider") if signal == "trace" else ("MeterProvider", "get_meter_provider")
    )
    provider = getattr(api, get)()
    return provider if isinstance(provider, getattr(sdk, kind)) else None


class _Ids:
    """An id generator of the SDK whose next ids can be given. Random where none are given."""

    def __init__(self) -> None:
        self._random: Any = import_module("opentelemetry.sdk.trace.id_generator").RandomIdGenerator()
        self._next = threading.local()

    def give(self, position: TraceParent) -> None:
        """The ids of the next span that this thread starts."""
        self._next.position = position

    def forget(self) -> None:
        self._next.position = None

    def generate_span_id(self) -> int:
        position: TraceParent | None = getattr(self._next, "position", None)
        return self._random.generate_span_id() if position is None else position.span_id

    def generate_trace_id(self) -> int:
        position: TraceParent | None = getattr(self._next, "position", None)
        return self._random.generate_trace_id() if position is None else position.trace_id

    def is_trace_id_random(self) -> bool:
        return getattr(self._next, "position", None) is None


_ids: list[_Ids] = []


def _the_ids() -> _Ids:
    """One for the process: a provider hands out the same tracer each time that it is asked for one."""
    if not _ids:
        _ids.append(_Ids())
    return _ids[0]


@dataclass(frozen=True, slots=True)
class SpanTracer:
    """Starts spans with ids of the caller's choice.

    A tracer takes the id generator of its provider when it is made; so the provider has ours only for that moment, and
    the app's own tracers go on with theirs.
    """

    tracer: Any
    sampler: Any
    ids: _Ids
    api: Any
    context: Any

    @classmethod
    def of(cls, provider: Any, version: str) -> SpanTracer | None:
        """None, with a warning, for a provider whose spans take no given ids."""
        api, context = import_module("opentelemetry.trace"), import_module("opentelemetry.context")
        ids = _the_ids()
        before = provider.id_generator
        provider.id_generator = ids
        try:
            tracer = provider.get_tracer(SCOPE, version)
        finally:
            provider.id_generator = before
        if getattr(tracer, "id_generator", None) is not ids:
            logger.warning(
                "orchestrations are not traced: tracers of %s do not take their ids from its id_generator",
                type(provider).__qualname__,
            )
            return None
        return cls(tracer, provider.sampler, ids, api, context)

    def current(self) -> TraceParent | None:
        """The span in whose context the caller runs."""
        context = self.api.get_current_span().get_span_context()
        return TraceParent(context.trace_id, context.span_id, int(context.trace_flags)) if context.is_valid else None

    def is_sampled(self, name: str, trace_id: int, parent: TraceParent | None) -> bool:
        """Whether a span that is the first of its process is recorded, as the app's sampler decides."""
        decision = self.sampler.should_sample(self._below(parent), trace_id, name).decision
        return bool(decision.is_sampled())

    def start(
        self,
        name: str,
        kind: str,
        position: TraceParent,
        parent: TraceParent | None,
        start: int,
        attributes: dict[str, Any],
        links: tuple[TraceParent, ...] = (),
    ) -> Any:
        """A span with these ids. ``start`` in nanoseconds since 1970."""
        self.ids.give(position)
        try:
            return self.tracer.start_span(
                name,
                context=self._below(parent),
                kind=getattr(self.api.SpanKind, kind),
                attributes=attributes,
                links=[self.api.Link(self._context_of(link)) for link in links],
                start_time=start,
            )
        finally:
            self.ids.forget()

    def within(self, span: Any) -> AbstractContextManager[object]:
        """Code in this block, and what it starts, makes its spans below this one. Does not end it."""
        return self.api.use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False)

    def fail(self, span: Any, kind: str, message: str, stack: str = "") -> None:
        span.set_status(self.api.StatusCode.ERROR, message)
        span.set_attribute("error.type", kind)
        if stack:
            details = {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
            span.add_event("exception", details)

    def _below(self, parent: TraceParent | None) -> Any:
        """A context with this span and nothing else: not the one of the caller, who works for many instances."""
        empty = self.context.Context()
        if parent is None:
            return empty
        return self.api.set_span_in_context(self.api.NonRecordingSpan(self._context_of(parent)), empty)

    def _context_of(self, position: TraceParent) -> Any:
        flags = self.api.TraceFlags(position.flags)
        return self.api.SpanContext(position.trace_id, position.span_id, is_remote=True, trace_flags=flags)
