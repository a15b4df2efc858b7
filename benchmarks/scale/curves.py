"""Draws how cost grows: a curve for each thing that grows, and a panel for each kind of cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..svg import figure
from .growth import COSTS, Cost, Growth, Point, curve, exponent

_TITLES: dict[Cost, str] = {
    "operations": "storage operations",
    "written": "bytes written",
    "calls": "Python calls",
}


def draw(grown: Sequence[tuple[Growth, Sequence[Point]]], path: Path) -> None:
    """Write an SVG, both axes logarithmic, each curve named with its exponent; the same points make the same file."""
    with figure(path, 13, 5.8) as drawn:
        for axes, cost in zip(drawn.subplots(1, len(COSTS)), COSTS, strict=True):
            for growth, points in grown:
                values = curve(points, cost)
                axes.plot(
                    [size for size, _ in values],
                    [value for _, value in values],
                    marker="o",
                    label=f"{growth.title}: {exponent(values):.2f}",
                )
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.grid(visible=True, alpha=0.3)
            axes.set_title(_TITLES[cost])
            axes.set_xlabel("size")
            axes.legend(  # below, where it hides no point
                title="exponent (1: in proportion)",
                fontsize=8,
                title_fontsize=8,
                loc="upper center",
                bbox_to_anchor=(0.5, -0.12),
            )
