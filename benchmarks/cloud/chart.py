"""The chart of docs/scale.md: what was simulated, as points, on what the model says, as lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_COLOURS = ("#1f6fb2", "#e08214", "#35978f", "#b2182b", "#6a51a3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """(instances in flight, steps per second), simulated and by the model."""

    label: str
    simulated: Sequence[tuple[float, float]]
    modelled: Sequence[tuple[float, float]]


def draw(panels: Sequence[tuple[str, Sequence[Curve]]], path: Path) -> None:
    """Write an SVG: a panel for each workload, on logarithmic scales."""
    import matplotlib
    from matplotlib.figure import Figure  # by itself: no window, no global state

    mpl: Any = matplotlib  # its types are known in part only

    # Text stays text, and the same figures make the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "durable_core", "font.family": "sans-serif"}):
        figure: Any = Figure(figsize=(10, 4.4), layout="constrained")
        places: Any = figure.subplots(1, len(panels), squeeze=False)[0]
        for place, (title, curves) in enumerate(panels):
            axes: Any = places[place]
            for colour, curve in zip(_COLOURS, curves, strict=False):
                axes.plot(*zip(*curve.modelled, strict=True), color=colour, linewidth=1.2)
                axes.plot(*zip(*curve.simulated, strict=True), "o", color=colour, markersize=5, label=curve.label)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("instances in flight")
            axes.set_ylabel("steps per second")
            axes.grid(which="both", alpha=0.2)
            axes.legend(loc="lower right", fontsize=8, title="points simulated, lines by the model", title_fontsize=8)
        figure.savefig(path, format="svg", metadata={"Date": None})
    # Trailing spaces would come back with every drawing as a difference that is none.
    path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text("utf-8").splitlines()), "utf-8")
