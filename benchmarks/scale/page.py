"""The section of the performance page on scale, made of its result lines. Empty where there are none."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from ..markdown import table
from ..results import Line, is_doubtful, noise_of
from .curves import draw
from .growth import COSTS, GROWTHS, Cost, Growth, Point, curve, exponent, per_unit
from .host_group import Group
from .lines import lines_of
from .many_hosts import LOADS

CURVES = "images/scale-growth.svg"
TWICE = 2.0

_COSTS: dict[Cost, str] = {"operations": "operations", "written": "bytes", "calls": "calls"}
_STORES = {
    ("sqlite", False): "the embedded store",
    ("sqlite", True): "the embedded store, `--azure-like`",
    ("azurite", True): "Azurite, `--azure-like`",
}
_IDLE_HEAD = (
    "waiting",
    "RSS, MB",
    "bytes each",
    "accepted/s",
    "started/s",
    "host's CPU, ms each",
    "store, MB",
    "event p50, ms",
    "p99",
    "p50 against none waiting",
)
_HOSTS_HEAD = (
    "load",
    "hosts",
    "activities/s",
    "against one",
    "hosts' CPU, ms each",
    "operations each",
    "against one",
    "conflicts",
    "of the operations",
)
_FALLS = 0.95  # of one host's throughput, below which it counts as less: repetitions differ by that much


def section(results: Path) -> Iterator[str]:
    """Parts of the page, to be joined by lines."""
    parts = [*_growth(lines_of(results, "growth")), *_idle(lines_of(results, "idle"))]
    parts += _hosts(lines_of(results, "hosts"))
    if parts:
        yield "## Scale on this machine\n\nMade by `make bench WHAT=scale`.\n"
        yield from parts


def draw_curves(results: Path, docs: Path) -> None:
    """The image that the section shows, if there is something to show."""
    grown = [(growth, points) for growth in GROWTHS if (points := points_of(lines_of(results, "growth"), growth))]
    if grown:
        draw(grown, docs / CURVES)


def points_of(lines: Iterable[Line], growth: Growth) -> list[Point]:
    """By size, of each what was counted last; nothing if there are not sizes enough for a line."""
    found = {
        line["size"]: Point(size=line["size"], **{cost: line[cost] for cost in COSTS})
        for line in lines
        if line["w"] == f"growth-{growth.name}" and "error" not in line
    }
    return [found[size] for size in sorted(found)] if len(found) > 1 else []


# ---------------------------------------------------------------- how cost grows


def _growth(lines: Sequence[Line]) -> Iterator[str]:
    body: list[list[str]] = []
    for growth in GROWTHS:
        if points := points_of(lines, growth):
            sizes = f"{points[0].size:,} to {points[-1].size:,}"
            each = per_unit(points, "operations")
            exponents = [f"{exponent(curve(points, cost)):.2f}" for cost in COSTS]
            body.append([growth.title, sizes, *exponents, f"{each[0]:.2f}", f"{each[1]:.2f}"])
    if body:
        yield (
            "### How cost grows\n\nOperations and bytes at the storage ports, and calls of Python functions, of ever "
            "larger runs in a simulated world: counted, not timed. The exponent is the slope of the line through the "
            "points, with both axes logarithmic: 1 is cost in proportion to size, below 1 a larger run costs less for "
            "each unit. The last two columns say what one more costs among the smallest sizes and among the largest. "
            "Wide fan-outs are packed from 256 activities on.\n"
        )
        yield table(
            [
                "What grows",
                "from, to",
                *(f"exponent of {_COSTS[cost]}" for cost in COSTS),
                "operations for one more, at first",
                "at last",
            ],
            body,
        )
        yield f"![Operations, bytes and calls by size, with their exponents]({CURVES})\n"


# ---------------------------------------------------------------- instances that wait


def _idle(lines: Sequence[Line]) -> Iterator[str]:
    by_number = {number: of for number, of in _grouped(lines, "instances") if isinstance(number, int)}
    if not by_number:
        return
    alone = _median(by_number.get(0, ()), "p50_ms")
    body: list[list[str]] = []
    for number, of in sorted(by_number.items()):
        p50 = _median(of, "p50_ms")
        body.append(
            [
                f"{number:,}",
                _text(_median(of, "rss_mb"), ".0f"),
                _text(_median(of, "bytes_each"), ",.0f"),
                _text(_median(of, "accepted_per_s"), ",.0f"),
                _text(_median(of, "started_per_s"), ",.0f"),
                _text(_median(of, "cpu_ms_each"), ".2f"),
                _text(_median(of, "file_mb"), ".0f"),
                _text(p50, ".1f"),
                _text(_median(of, "p99_ms"), ".1f"),
                _text(p50 / alone if p50 and alone else None, ".2f"),
            ]
        )
    yield (
        "### Instances that wait\n\nOne host on the embedded store. Each instance is started by a request of its own, "
        "and waits for an event; started/s counts until the last of them waits. Then a hundred of them, evenly chosen, "
        "get their event one after another: from the request that brings it to the output. The warm cache has its "
        "usual bound of 64 MiB of history, beyond which an instance that waits costs no memory.\n"
    )
    yield table(_IDLE_HEAD, body)
    yield f"{noise_of(lines)}\n"


# ---------------------------------------------------------------- several hosts


def _hosts(lines: Sequence[Line]) -> Iterator[str]:
    found = {key: list(of) for key, of in _grouped(lines, "variant", "azure_like")}
    if not found:
        return
    yield (
        "### Several hosts on one store\n\nAll on this machine, with the one that starts the work over HTTP, at one "
        "host after the other. Operations are those of the hosts, counted in their processes, until all is at rest; "
        "polls that found nothing are left out. A conflict is a guarded write that came after another host's. On the "
        "embedded store a send wakes the listeners of all hosts; on Azurite it wakes nobody, and they look ten times a "
        "second.\n"
    )
    for key, title in _STORES.items():
        if key in found:
            body, judged = _of_store(found[key])
            yield f"On {title}:\n"
            yield table(
                _HOSTS_HEAD,
                body,
            )
            yield f"{judged.text(is_quiet=not is_doubtful(found[key]))} {noise_of(found[key])}\n"


@dataclass(slots=True)
class _Judged:
    """All groups against one host: the most operations, and the most CPU; and who got less done in a second."""

    operations: float = 1.0
    cpu: float = 1.0
    slower: list[str] = field(default_factory=list[str])

    def text(self, *, is_quiet: bool) -> str:
        said = f"No group takes more than {self.operations:.2f} times the operations of one host"
        if self.operations > TWICE:
            said = f"**A group takes {self.operations:.2f} times the operations of one host: more than twice**"
        said += f", nor more than {self.cpu:.2f} times the CPU for an activity."
        if not is_quiet:
            return f"{said} The machine was busy: activities/s say little here."
        return said + (f" Less work gets done than by one host: {'; '.join(self.slower)}." if self.slower else "")


def _of_store(lines: Sequence[Line]) -> tuple[list[list[str]], _Judged]:
    """Rows, and what they come to."""
    body: list[list[str]] = []
    judged = _Judged()
    for load in LOADS:
        of_load = [line for line in lines if line["w"] == f"hosts-{load.name}"]
        by_group = dict(_grouped(of_load, "hosts"))
        one = by_group.get("1", [])
        for name, of in by_group.items():
            group, rate, each = Group.named(str(name)), _median(of, "act_per_s"), _each(of, "operations")
            faster, dearer = _ratio(rate, _median(one, "act_per_s")), _ratio(each, _each(one, "operations"))
            conflicts, operations = _median(of, "conflicts") or 0.0, _median(of, "operations")
            body.append(
                [
                    load.title,
                    group.title,
                    _text(rate, ",.0f"),
                    _text(faster, ".2f"),
                    _text(_cpu_each(of), ".2f"),
                    _text(each, ".2f"),
                    _text(dearer, ".2f"),
                    f"{conflicts:,.0f}",
                    _text(conflicts / operations if operations else None, ".1%"),
                ]
            )
            judged.operations = max(judged.operations, dearer or 0.0)
            judged.cpu = max(judged.cpu, _ratio(_cpu_each(of), _cpu_each(one)) or 0.0)
            if faster is not None and faster < _FALLS:
                judged.slower.append(f"{load.title}, {group.title} ({faster:.2f})")
    return body, judged


def _each(lines: Sequence[Line], key: str) -> float | None:
    return _ratio(_median(lines, key), _median(lines, "activities"))


def _cpu_each(lines: Sequence[Line]) -> float | None:
    """CPU of all hosts for an activity, in ms: what a busy machine disturbs less than the time."""
    spent = [
        sum(seconds for role, seconds in line["cpu_s"].items() if role.startswith("host")) * 1000 / line["activities"]
        for line in lines
        if line.get("cpu_s")
    ]
    return statistics.median(spent) if spent else None


# ---------------------------------------------------------------- rows


def _grouped(lines: Iterable[Line], *keys: str) -> Iterator[tuple[object, list[Line]]]:
    """In the order in which each value first came; a single key stands for itself."""

    def value(line: Line) -> object:
        return line.get(keys[0]) if len(keys) == 1 else tuple(line.get(key) for key in keys)

    good = [line for line in lines if "error" not in line]
    first = {each: number for number, each in reversed(list(enumerate(map(value, good))))}
    for each, of in groupby(sorted(good, key=lambda line: first[value(line)]), value):
        yield each, list(of)


def _median(lines: Iterable[Line], key: str) -> float | None:
    values = [float(line[key]) for line in lines if isinstance(line.get(key), int | float)]
    return statistics.median(values) if values else None


def _ratio(value: float | None, of: float | None) -> float | None:
    return value / of if value is not None and of else None


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
