"""Spans as they are exported, in the order in which they came, and what must hold of every set of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from durable_core.runtime.host_identity import HostIdentity
from durable_core.runtime.observer import Observer
from durable_core.telemetry.sdk import SpanTracer
from durable_core.telemetry.spans import Spans
from durable_core.testing.simulation import World

sdk: Any = pytest.importorskip("opentelemetry.sdk.trace", reason="the extra 'otel' is not installed")
export: Any = pytest.importorskip("opentelemetry.sdk.trace.export")


@dataclass(frozen=True, slots=True)
class Seen:
    """One exported span. Ids are numbers, times nanoseconds; ``links`` and ``parent`` are ids of spans."""

    name: str
    kind: str
    trace_id: int
    span_id: int
    parent: int | None
    start: int
    end: int
    attributes: dict[str, Any]
    links: tuple[int, ...]
    failed: bool

    @classmethod
    def of(cls, span: Any) -> Seen:
        return cls(
            span.name,
            span.kind.name,
            span.context.trace_id,
            span.context.span_id,
            None if span.parent is None else span.parent.span_id,
            span.start_time,
            span.end_time,
            dict(span.attributes),
            tuple(link.context.span_id for link in span.links),
            span.status.status_code.name == "ERROR",
        )


@dataclass(slots=True)
class Exported:
    """An exporter that keeps what it gets: a processor sends each span at its end, as the SDK's simplest one does."""

    spans: list[Seen] = field(default_factory=list[Seen])

    def export(self, spans: Sequence[Any]) -> Any:
        self.spans.extend(Seen.of(span) for span in spans)
        return export.SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to close."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True

    # ------------------------------------------------------------ what came

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str, kind: str | None = None) -> Seen:
        found = [span for span in self.named(name) if kind in (None, span.kind)]
        assert len(found) == 1, f"{len(found)} spans '{name}': {self.names}"
        return found[0]

    def below(self, parent: Seen) -> list[Seen]:
        return [span for span in self.spans if span.parent == parent.span_id]

    @property
    def names(self) -> Counter[str]:
        return Counter(f"{span.name} {span.kind}" for span in self.spans)

    def check_whole(self, *outside: int) -> None:
        """No span twice, and none whose parent is missing, but for parents outside of what was exported."""
        twice = [key for key, count in Counter((s.name, s.span_id) for s in self.spans).items() if count > 1]
        assert not twice, f"exported twice: {twice}"
        known = {span.span_id for span in self.spans} | set(outside)
        orphans = [span.name for span in self.spans if span.parent is not None and span.parent not in known]
        assert not orphans, f"without their parent: {orphans}; exported: {self.names}"


def provider_of(exported: Exported, **options: Any) -> Any:
    """A provider of the SDK. Its ids are random, its sampler takes everything, unless options say otherwise."""
    provider = sdk.TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(export.SimpleSpanProcessor(exported))
    return provider


def spans_of(provider: Any) -> Any:
    """Makes the observer of each host of a world."""

    def observe(world: World) -> Observer:
        tracer = SpanTracer.of(provider, "test")
        assert tracer is not None
        return Spans(tracer, HostIdentity("feed0001", "simulated", 1), world.loop)

    return observe
