"""Words of sentences: times in both forms, names that may be hostile, places of calls, commands to copy."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta

NAME_CHARS = 100
TEXT_CHARS = 300

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


def plain(text: str, limit: int = TEXT_CHARS) -> str:
    """A text of a user on one line, without control and direction characters, and cut."""
    cut = text[: limit * 4]  # before the walk through its characters
    shown = " ".join("".join(c if c.isprintable() else " " for c in cut).split())
    return shown if len(shown) <= limit and len(cut) == len(text) else shown[:limit].rstrip() + "…"


def name(text: str) -> str:
    """A name of a user in quotes."""
    return f"'{plain(text, NAME_CHARS)}'"


def place(line: str) -> str:
    """The line of a call, to follow a name: ", order.py:32"; '' if it is not known, or one of this package (a job)."""
    return f", {plain(line, NAME_CHARS)}" if _is_of_the_app(line) else ""


def line(line: str) -> str:
    """The line of a call, to follow a clause: " (order.py:32)"; '' if it is not known, or one of this package."""
    return f" ({plain(line, NAME_CHARS)})" if _is_of_the_app(line) else ""


def _is_of_the_app(line: str) -> bool:
    return bool(line) and not line.startswith("durable_core/")


def length(span: timedelta) -> str:
    """A span of time, rounded down: 45 s, 12 min, 3 h, 4 days."""
    if span < 2 * _MINUTE:
        return f"{max(int(span.total_seconds()), 0)} s"
    if span < 2 * _HOUR:
        return f"{span // _MINUTE} min"
    return f"{span // _HOUR} h" if span < 2 * _DAY else f"{span // _DAY:,} days"


def clock(moment: datetime, now: datetime) -> str:
    """A time of day in UTC; with seconds if it is near, with the date if it is another day."""
    form = "%H:%M:%S" if abs(moment - now) < 2 * _MINUTE else "%H:%M"
    time = f"{moment:{form}} UTC"
    return time if moment.date() == now.date() else f"{moment:%Y-%m-%d} {time}"


def at(moment: datetime, now: datetime) -> str:
    """A moment in both forms: "at 14:06 UTC (in 3 min)", "at 14:02 UTC (a moment ago)"."""
    if moment > now:
        return f"at {clock(moment, now)} (in {length(moment - now)})"
    if now - moment < timedelta(seconds=1):
        return f"at {clock(moment, now)} (now)"
    return f"at {clock(moment, now)} ({length(now - moment)} ago)"


def since(moment: datetime | None, now: datetime) -> str:
    """How long something lasts, to follow a clause: " since 14:02 UTC (12 min)"; '' if that is not known."""
    return "" if moment is None else f" since {clock(moment, now)} ({length(now - moment)})"


def count(number: int, what: str) -> str:
    """A number with its noun: "1 event", "2 events"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def listed(items: list[str], most: int = 5) -> str:
    """Names one after another, the first ones only."""
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def command(verb: str, *arguments: str) -> str:
    """A command of this product, quoted for a shell."""
    end = ["--"] if any(each.startswith("-") for each in arguments) else []
    return f"`{' '.join(['durable_core', verb, *end, *(shlex.quote(plain(each)) for each in arguments)])}`"
