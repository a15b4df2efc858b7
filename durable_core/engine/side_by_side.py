"""Two lists of events next to each other, as a person reads them in a terminal. Knows events and how long a line is."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from .events import Event, describe

WIDTH = 52  # characters of a column
NEARBY = 3  # events shown before and after the place where the sides part: enough to see where one is


@dataclass(frozen=True, slots=True)
class Side:
    """What one side has where the two part (``text``, and ``at``: ``file:line``), and some events about it."""

    title: str
    text: str
    at: str
    before: Sequence[Event] = ()
    after: Sequence[Event] = ()

    def above(self) -> list[str]:
        return [line for event in self.before[-NEARBY:] for line in _cell("  ", describe(event))]

    def here(self) -> list[str]:
        cell = _cell("> ", self.text or "nothing")
        return [*cell, *_cell("    ", self.at)] if self.at else cell

    def below(self) -> list[str]:
        return [line for event in self.after[:NEARBY] for line in _cell("  ", describe(event))]


def side_by_side(left: Side, right: Side) -> list[str]:
    """The lines of a table of two columns, with the place where they part in one row."""
    above, above_too = left.above(), right.above()
    height = max(len(above), len(above_too))
    rows = [
        (left.title, right.title),
        ("-" * WIDTH, "-" * WIDTH),
        *zip(_lowered(above, height), _lowered(above_too, height), strict=True),
        *zip_longest(left.here(), right.here(), fillvalue=""),
        *zip_longest(left.below(), right.below(), fillvalue=""),
    ]
    return [f"  {one:<{WIDTH}} | {other}".rstrip() for one, other in rows]


def _lowered(lines: list[str], height: int) -> list[str]:
    return [""] * (height - len(lines)) + lines


def _cell(mark: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=mark, subsequent_indent="    ", break_on_hyphens=False, drop_whitespace=True
    )
