"""The answer of ``GET /metrics``: OpenMetrics text, for Prometheus and what reads its format."""

from __future__ import annotations

from collections.abc import Iterable

from ..runtime.app import DurableApp
from .gauges import Sample, samples_of_hub, samples_of_process
from .instruments import COUNTED, READ, Instrument
from .metrics import Counts

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


async def metrics_of(app: DurableApp, counts: Counts | None) -> str:
    """The gauges of the hub, and the counters of this process, if it counts. Costs what ``hub_overview`` costs."""
    hub = await app.client.hub_overview()
    return text_of([*samples_of_hub(hub), *samples_of_process(app.instance_cache)], counts)


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
