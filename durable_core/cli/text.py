"""Texts for a terminal: values of others with every control character escaped, times, widths in columns."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime, timedelta

from ..models import JSON

_UNSAFE_JSON = re.compile(r"[^\x20-\x7e\n]")
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_SPAN = re.compile(r"(\d{1,6})([smhdw])")


def safe(text: str) -> str:
    """The text in one line, with every character escaped that a terminal or a reader could take for another.

    Names, outputs and failures come from instances: an escape sequence in them must not reach the terminal, and a
    mark that reverses the order of letters must be seen.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def safe_lines(text: str) -> str:
    """The same, but the line breaks stay."""
    return "\n".join(safe(line) for line in text.split("\n"))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def to_json(value: JSON, *, indent: int | None = None) -> str:
    """JSON that a terminal can show: what ``safe`` escapes is escaped as JSON escapes it, so that it reads the same."""
    separators = None if indent else (",", ":")
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    return _UNSAFE_JSON.sub(_escaped_in_json, text)


def _escaped_in_json(found: re.Match[str]) -> str:
    char = found[0]
    return char if char.isprintable() else json.dumps(char)[1:-1] if ord(char) != 0x7F else "\\u007f"


def width(text: str) -> int:
    """Columns that a safe text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(text: str, columns: int) -> str:
    """The text if it fits, else its beginning and ``…``."""
    if width(text) <= columns:
        return text
    kept, room = "", columns - 1
    for char in text:
        room -= width(char)
        if room < 0:
            break
        kept += char
    return kept + "…"


def moment_of(text: object) -> datetime | None:
    """The moment of an ISO text of the management API; None if there is none."""
    if not isinstance(text, str) or not text:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def span(seconds: float) -> str:
    """A length of time in its largest unit, such as ``3m``; two units from an hour on, such as ``2h 5m``."""
    left = int(abs(seconds))
    for at, (unit, size) in enumerate(_UNITS):
        if left >= size:
            more = left % size // _UNITS[at + 1][1] if at < 2 else 0
            return f"{left // size}{unit}" + (f" {more}{_UNITS[at + 1][0]}" if more else "")
    return "0s"


def relative(moment: datetime, now: datetime) -> str:
    """A time as seen from ``now``: ``3m ago``, ``in 2h``."""
    seconds = (moment - now).total_seconds()
    return f"in {span(seconds)}" if seconds >= 1 else f"{span(seconds)} ago"


def when(text: object, now: datetime, *, utc: bool) -> str:
    """A time of the management API as a table shows it: relative, or as it is."""
    moment = moment_of(text)
    if moment is None:
        return ""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if utc else relative(moment, now)


def read_moment(text: str, now: datetime, *, is_ahead: bool = False) -> datetime:
    """A time that a user gives: ISO 8601 (without an offset: UTC), or how long ago it is, such as ``90m`` or ``7d``;
    with ``is_ahead`` in how long it will be. ValueError."""
    if found := _SPAN.fullmatch(text.strip()):
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[found[2]]
        try:
            length = timedelta(**{unit: int(found[1])})
            return now + length if is_ahead else now - length
        except OverflowError:
            raise ValueError(text) from None
    value = datetime.fromisoformat(text.strip())
    return value if value.tzinfo else value.replace(tzinfo=UTC)
