"""The chart of the performance page: for each figure, how many times better we are than the best durable peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .svg import figure

_COLOURS = {"sqlite": "#1f6fb2", "azurite": "#e08214"}
_NAMES = {"sqlite": "embedded store", "azurite": "Azurite"}


def draw(ratios: Sequence[tuple[str, Mapping[str, float]]], path: Path) -> None:
    """Write an SVG: a group of bars for each label, one for each store, on a logarithmic scale."""
    with figure(path, 9, 0.42 * max(1, len(ratios)) + 1.4) as drawn:
        axes: Any = drawn.subplots()
        variants = [variant for variant in _COLOURS if any(variant in of for _, of in ratios)]
        height = 0.8 / max(1, len(variants))
        for index, variant in enumerate(variants):
            at = [(row + index * height, of[variant]) for row, (_, of) in enumerate(ratios) if variant in of]
            bars = axes.barh(
                [place for place, _ in at],
                [value - 1 for _, value in at],
                left=1,
                height=height,
                color=_COLOURS[variant],
                label=_NAMES[variant],
            )
            axes.bar_label(bars, labels=[f" {value:.2g}× " for _, value in at], fontsize=8)
        axes.set_xscale("log")
        axes.axvline(1, color="black", linewidth=1)
        axes.set_yticks([row + (len(variants) - 1) * height / 2 for row in range(len(ratios))])
        axes.set_yticklabels([label for label, _ in ratios])
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel("times better than the best durable peer (right of 1: ahead)")
        if variants:
            axes.legend(loc="lower right")
