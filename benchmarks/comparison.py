"""Our medians beside other engines': who is the best that keeps what it acknowledges, and how far we are ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from . import published, results
from .catalogue import Metric, Sized
from .results import ENGINE, FAILED, Failed, Line, median

Value: TypeAlias = float | Failed | None


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """An engine as it was measured."""

    engine: str
    variant: str

    @property
    def is_durable(self) -> bool:
        """Whether what it acknowledges survives its server: a variant in memory, or a test backend, keeps nothing."""
        return not self.variant.startswith("memory") and self.engine != "durabletask"

    @property
    def driver(self) -> str:
        """How its workloads are driven: DBOS is a library, the others are servers."""
        return "in process" if self.engine == "dbos" else "over a network"

    def __str__(self) -> str:
        return self.engine if self.variant == "default" else f"{self.engine} {self.variant}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A peer's value. ``is_earlier``: it is not from lines that were given, but from those measured once."""

    value: Value
    is_earlier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Medians of other engines: from ``lines``, and where they have none of a workload, those measured earlier."""

    lines: Sequence[Line] = ()

    @classmethod
    def read(cls, folder: Path) -> Peers:
        """The lines in a folder; ours among them are left out. ValueError if there are none, or one is broken."""
        lines = [line for line in results.read(folder) if line["engine"] != ENGINE]
        if not lines:
            raise ValueError(f"there are no result lines of other engines (*.jsonl) in {folder}")
        return cls(lines=lines)

    @property
    def all(self) -> list[Peer]:
        """Everybody of whom something is known, durable ones first."""
        known = {Peer(*key) for key in published.MEDIANS}
        known |= {Peer(line["engine"], line["variant"]) for line in self.lines}
        return sorted(known, key=lambda peer: (not peer.is_durable, peer))

    @property
    def when(self) -> str:
        """Where the figures are from, in words."""
        earlier = published.WHEN
        return f"result lines; with † {earlier}" if self.lines else earlier

    def value(self, peer: Peer, sized: Sized, metric: Metric) -> Shown:
        """A peer's median; of several ways to write the workload, that of the best."""
        found = [self._of(peer, name, metric) for name in sized.against]
        numbers = [(each.value, each.is_earlier) for each in found if isinstance(each.value, float)]
        if numbers:
            value, is_earlier = (min if metric.better == "lower" else max)(numbers)
            return Shown(value=value, is_earlier=is_earlier)
        return Shown(value=FAILED if any(each.value is FAILED for each in found) else None, is_earlier=False)

    def text(self, shown: Shown) -> str:
        return number(shown.value) + ("†" if shown.is_earlier and self.lines else "")

    def _of(self, peer: Peer, name: str, metric: Metric) -> Shown:
        lines = results.of(self.lines, peer.engine, peer.variant, name)
        if lines and (value := median(lines, metric)) is not None:
            return Shown(value=value, is_earlier=False)
        known = published.MEDIANS.get((peer.engine, peer.variant), {}).get((name, metric.key))
        return Shown(value=None if known is None else float(known), is_earlier=known is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of one workload. ``ours``: by store. ``best``: the peer that the ratios are to."""

    sized: Sized
    metric: Metric
    ours: Mapping[str, Value]
    peers: Mapping[Peer, Shown]

    @property
    def best(self) -> Peer | None:
        """The best peer: durable, where the workload has to do with a store at all, and driven as we are.

        Of those measured along with us, if there are any: another machine's figures are no match.
        """
        workload = self.sized.workload
        fit = {
            peer: shown
            for peer, shown in self.peers.items()
            if isinstance(shown.value, float)
            and shown.value > 0
            and (peer.is_durable or not workload.needs_store)
            and workload.driver in ("any", peer.driver)
        }
        now = {peer: shown for peer, shown in fit.items() if not shown.is_earlier}
        able = {peer: shown.value for peer, shown in (now or fit).items() if isinstance(shown.value, float)}
        if not able or not self.metric.compared:
            return None
        return (min if self.metric.better == "lower" else max)(able, key=lambda peer: able[peer])

    def ratio(self, variant: str) -> float | None:
        """How many times better we are than the best peer; above 1 we are ahead."""
        ours, best = self.ours.get(variant), self.best
        theirs = None if best is None else self.peers[best].value
        if not isinstance(ours, float) or not isinstance(theirs, float):
            return None
        if self.metric.better == "higher":
            return ours / theirs
        return theirs / max(ours, _LEAST)


_LEAST = 1e-4  # a time that rounds to nothing is not infinitely better


def rows(lines: Sequence[Line], workloads: Sequence[Sized], variants: Sequence[str], peers: Peers) -> list[Row]:
    """A row for each figure of each workload that we have lines of."""
    found: list[Row] = []
    for sized in workloads:
        by_variant = {variant: results.of(lines, ENGINE, variant, sized.label) for variant in variants}
        for metric in sized.workload.metrics if any(by_variant.values()) else ():
            ours = {variant: median(each, metric) for variant, each in by_variant.items()}
            theirs = {peer: peers.value(peer, sized, metric) for peer in peers.all}
            if any(value is not None for value in ours.values()):
                found.append(Row(sized=sized, metric=metric, ours=ours, peers=theirs))
    return found


def number(value: Value) -> str:
    """As it is shown: three digits that count, a dash for nothing."""
    match value:
        case None:
            return "-"
        case Failed():
            return "failed"
        case _:
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def ratio_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"
