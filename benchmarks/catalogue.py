"""Every workload by its name: how it is run, how large it usually is, which of its figures count and against whom.

A size is said after an x: ``w3x5000`` is W3 with 5,000 activities. The names and figures are those that benchmarks of
other engines use for the same workloads, so that their result lines can be read beside ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from durable_core.runtime.client import DurableClient

from . import http_workloads, store_workloads, workloads
from .host_process import Driver
from .workloads import Figures


@dataclass(frozen=True, slots=True)
class InProcess:
    """Host and driver are one process; the driver uses the client that code of an app has."""

    run: Callable[[DurableClient, int], Awaitable[Figures]]


@dataclass(frozen=True, slots=True)
class OverHttp:
    """The host is a process of its own."""

    run: Callable[[Driver, int], Awaitable[Figures]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure of a workload that is shown. ``key``: in the result line."""

    key: str
    label: str
    better: Literal["lower", "higher"] = "lower"
    compared: bool = True

    def of(self, line: Mapping[str, Any]) -> float | None:
        """Its value in a result line, None if it is not there. Memory is summed over an engine's processes."""
        value: Any = line.get(self.key)
        if self.key == "mem_mb" and isinstance(value, dict):
            return sum(float(each["rss"]) for each in value.values())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """``title``: with {size}. ``against``: names, without size, of the peers' workloads that it is compared with.

    needs_store: whether an engine that keeps nothing on disk must be left out of the comparison.
    driver: where it makes the difference, how a peer must be driven to be compared: what runs in one process is not
    held against what crosses a network, and the other way round.
    """

    name: str
    title: str
    size: int
    how: InProcess | OverHttp
    metrics: Sequence[Metric]
    against: Sequence[str] = ()
    needs_store: bool = True
    driver: Literal["any", "in process", "over a network"] = "any"


@dataclass(frozen=True, slots=True)
class Sized:
    """A workload with the size to run it with. ``label``: as it stands in result lines."""

    workload: Workload
    size: int

    @property
    def label(self) -> str:
        return self.workload.name + self._suffix

    @property
    def title(self) -> str:
        return self.workload.title.format(size=f"{self.size:,}")

    @property
    def against(self) -> list[str]:
        """The peers' workloads of the same size."""
        return [name + self._suffix for name in self.workload.against]

    @property
    def _suffix(self) -> str:
        return "" if self.size == self.workload.size else f"x{self.size}"


_LATENCY = (Metric(key="p50_ms", label="p50 ms"), Metric(key="p99_ms", label="p99 ms"))
_RATE = (Metric(key="act_per_s", label="activities/s", better="higher"),)
_WALL = (Metric(key="wall_s", label="s"),)
_REPLAY = (
    Metric(key="wall_ms", label="ms"),
    Metric(key="replay_ms", label="of which replay, ms", compared=False),
)

WORKLOADS = (
    Workload(
        name="w1",
        title="W1 one activity, start to result, in process",
        size=200,
        how=InProcess(workloads.latency),
        metrics=_LATENCY,
        against=("w1",),
        driver="in process",
    ),
    Workload(
        name="w2",
        title="W2 {size} chains of 10, in process",
        size=200,
        how=InProcess(workloads.throughput),
        metrics=_RATE,
        against=("w2",),
        driver="in process",
    ),
    Workload(
        name="w3",
        title="W3 fan-out of {size}",
        size=1000,
        how=InProcess(workloads.fan_out),
        metrics=_WALL,
        against=("w3", "w3call"),
    ),
    Workload(
        name="w3short",
        title="W3 fan-out of {size}, short=True",
        size=1000,
        how=InProcess(workloads.short_fan_out),
        metrics=_WALL,
        against=("w3", "w3call"),
    ),
    Workload(
        name="w4",
        title="W4 one chain of {size}",
        size=1000,
        how=InProcess(workloads.long_chain),
        metrics=(*_WALL, Metric(key="ratio", label="2nd half ÷ 1st", compared=False)),
        against=("w4",),
    ),
    Workload(
        name="w5",
        title="W5 {size} one-second timers",
        size=500,
        how=InProcess(workloads.timers),
        metrics=(Metric(key="over_ideal_s", label="s over ideal"),),
        against=("w5",),
    ),
    Workload(
        name="w6",
        title="W6 {size} waiting instances get their event",
        size=200,
        how=InProcess(workloads.events),
        metrics=_WALL,
        against=("w6",),
    ),
    Workload(
        name="w8chain",
        title="W8 replay from cold, {size} events of a chain",
        size=5000,
        how=InProcess(store_workloads.replay_chain),
        metrics=_REPLAY,
        against=("w8chain",),
        needs_store=False,
    ),
    Workload(
        name="w8fan",
        title="W8 replay from cold, {size} events of a fan-out",
        size=5000,
        how=InProcess(store_workloads.replay_fan_out),
        metrics=_REPLAY,
        against=("w8fan",),
        needs_store=False,
    ),
    Workload(
        name="w9",
        title="W9 {size} instances of one activity, in process",
        size=2000,
        how=InProcess(workloads.short_instances),
        metrics=(Metric(key="wf_per_s", label="instances/s", better="higher"),),
        against=("w9",),
        driver="in process",
    ),
    Workload(
        name="floor",
        title="one durable write",
        size=300,
        how=InProcess(store_workloads.floor),
        metrics=(Metric(key="merge_ms", label="merge ms"), Metric(key="transaction_ms", label="bare transaction ms")),
    ),
    # The host at rest comes first of those over HTTP: before the others have made it grow.
    Workload(
        name="idle",
        title="a host at rest",
        size=5,
        how=OverHttp(http_workloads.idle),
        metrics=(Metric(key="mem_mb", label="RSS MB"),),
        against=("idle",),
    ),
    Workload(
        name="w1h",
        title="W1h one activity over HTTP, the starter waits",
        size=200,
        how=OverHttp(http_workloads.latency),
        metrics=_LATENCY,
        against=("w1",),
        driver="over a network",
    ),
    Workload(
        name="w2h",
        title="W2h {size} chains of 10, started over HTTP",
        size=200,
        how=OverHttp(http_workloads.throughput),
        metrics=_RATE,
        against=("w2",),
        driver="over a network",
    ),
    # And the one that kills the host comes last.
    Workload(
        name="w7",
        title="W7 kill -9 in {size} chains of 10",
        size=200,
        how=OverHttp(http_workloads.crash),
        metrics=(Metric(key="after_kill_s", label="s after the kill"),),
        against=("w7",),
    ),
)

USUAL = "w1,w2,w3,w3x5000,w3short,w3shortx5000,w4,w5,w6,w8chain,w8fan,w9,floor,idle,w1h,w2h,w7"


def parse(names: str) -> list[Sized]:
    """Workloads by name, comma-separated, in the order in which they are run. ValueError if there is none of a name."""
    chosen: list[Sized] = []
    for label in dict.fromkeys(name.strip() for name in names.split(",")):
        name, _, size = label.partition("x")
        found = next((workload for workload in WORKLOADS if workload.name == name), None)
        if found is None or (size and not (size.isdigit() and int(size) > 0)):
            known = ", ".join(workload.name for workload in WORKLOADS)
            raise ValueError(f"no workload '{label}'; there are {known}, and each with a size, as w3x5000")
        chosen.append(Sized(found, int(size) if size else found.size))
    return sorted(chosen, key=lambda each: (WORKLOADS.index(each.workload), each.size))
