"""Tables that fit the terminal. Cells are escaped here: no other place writes a value of an instance to a table."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence

import click

from ..lazy_dataclass import dataclass
from .text import cut, safe, width

GAP = "  "
SHORTEST = 8  # columns to which a cell may be cut
_COLOURS: Mapping[str, str] = {
    "Completed": "green",
    "Failed": "red",
    "Terminated": "red",
    "Canceled": "yellow",
    "Running": "cyan",
    "Pending": "blue",
    "Suspended": "magenta",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. weight: columns of a higher weight are cut first where the terminal is too narrow; those of
    weight 0 (ids) only when nothing else is left to cut."""

    title: str
    weight: int = 1
    is_number: bool = False


def uses_colour() -> bool:
    """Whether standard output is a terminal that is to be coloured (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(status: str, shown: str | None = None) -> str:
    """The name of a status in its colour; ``shown`` is the text in its place, perhaps padded."""
    shown = status if shown is None else shown
    colour = _COLOURS.get(status)
    return click.style(shown, fg=colour) if colour and uses_colour() else shown


def terminal_width() -> int | None:
    """Columns of the terminal; None where standard output is none, so that nothing is cut for a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def lines_of(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], room: int | None, *, header: bool = True
) -> list[str]:
    """The lines of the table, each at most ``room`` wide if that is possible; empty columns are left out."""
    cells = [[safe("" if value is None else str(value)) for value in row] for row in rows]
    kept = [at for at in range(len(columns)) if columns[at].weight == 0 or any(row[at] for row in cells)]
    columns, cells = [columns[at] for at in kept], [[row[at] for at in kept] for row in cells]
    titles = [column.title for column in columns]
    widths = [
        max(width(text) for text in (title if header else "", *(row[at] for row in cells)))
        for at, title in enumerate(titles)
    ]
    if room is not None:
        _narrow(columns, widths, room - len(GAP) * (len(columns) - 1))
    lines = [_line(columns, widths, titles, is_header=True)] if header else []
    return lines + [_line(columns, widths, row) for row in cells]


def _narrow(columns: Sequence[Column], widths: list[int], room: int) -> None:
    for weight in sorted({column.weight for column in columns}, reverse=True):
        for at in sorted((at for at, c in enumerate(columns) if c.weight == weight), key=lambda at: -widths[at]):
            excess = sum(widths) - room
            if excess <= 0:
                return
            widths[at] = max(min(widths[at], SHORTEST), widths[at] - excess)


def _line(columns: Sequence[Column], widths: Sequence[int], cells: Sequence[str], *, is_header: bool = False) -> str:
    parts: list[str] = []
    for at, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        shown = cut(cell, widths[at])
        padding = " " * (widths[at] - width(shown))
        padded = padding + shown if column.is_number else shown + padding
        if at == len(columns) - 1 and not column.is_number:
            padded = shown
        if is_header:
            padded = click.style(padded, bold=True) if uses_colour() else padded
        elif column.title == "STATUS":
            padded = coloured(cell, padded)
        parts.append(padded)
    return GAP.join(parts).rstrip()
