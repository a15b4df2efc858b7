"""The answer of ``GET /metrics``: OpenMetrics text, for Prometheus and what reads its format."""

from __future__ import annotations

from collections.abc import Iterable

from ..operate.overview import HubOverview, is_alive
from ..runtime.app import DurableApp
from . import instruments
from .instruments import COUNTED, READ, Instrument
from .metrics import Counts

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
Sample = tuple[Instrument, tuple[str, ...], float]


async def metrics_of(app: DurableApp, counts: Counts | None) -> str:
    """The gauges of the hub, and the counters of this process, if it counts. Costs what ``hub_overview`` costs."""
    gauges = _of_hub(await app.client.hub_overview())
    cache = app.instance_cache
    gauges.append((instruments.WARM_INSTANCES, (), cache.warm_instances))
    gauges.append((instruments.WARM_BYTES, (), cache.warm_bytes))
    return text_of(gauges, counts)


def text_of(gauges: Iterable[Sample], counts: Counts | None) -> str:
    """The text, each family once, with its samples below it."""
    read = list(gauges)
    lines: list[str] = []
    for each in READ:
        _head(lines, each, "gauge")
        shown = [(labels, value) for kind, labels, value in read if kind is each]
        lines.extend(f"{each.family}{_labels(each, labels)} {_number(value)}" for labels, value in shown)
    counted = {} if counts is None else dict(counts.values)
    for each in COUNTED if counts is not None else ():
        samples = sorted((labels, value) for (kind, labels), value in counted.items() if kind is each)
        _head(lines, each, "counter" if each.kind == "counter" else "summary")
        for labels, (count, total) in samples:
            after = _labels(each, labels)
            if each.kind == "counter":
                lines.append(f"{each.family}_total{after} {_number(total)}")
            else:
                lines.append(f"{each.family}_count{after} {count}")
                lines.append(f"{each.family}_sum{after} {_number(total)}")
    return "\n".join([*lines, "# EOF", ""])


def _of_hub(hub: HubOverview) -> list[Sample]:
    open_instances = sum(number for status, number in hub.counts.items() if not status.is_terminal)
    poisoned = sum(queue.depth for queue in hub.queues if queue.kind == "poison")
    return [
        (instruments.OPEN_INSTANCES, (), open_instances),
        (instruments.STUCK_INSTANCES, (), hub.stuck),
        *((instruments.QUEUE_MESSAGES, (each.name,), each.depth) for each in hub.queues if each.kind != "poison"),
        (instruments.POISON_MESSAGES, (), poisoned),
        (instruments.HOSTS, (), sum(is_alive(host, hub.now) for host in hub.hosts)),
    ]


def _head(lines: list[str], each: Instrument, kind: str) -> None:
    lines.append(f"# TYPE {each.family} {kind}")
    if each.family.endswith(("_seconds", "_bytes")):
        lines.append(f"# UNIT {each.family} {each.family.rpartition('_')[2]}")
    lines.append(f"# HELP {each.family} {each.description}.")


def _labels(each: Instrument, values: tuple[str, ...]) -> str:
    if not values:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in zip(each.labels, values, strict=True))
    return f"{{{','.join(pairs)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
