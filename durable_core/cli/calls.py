"""The calls of an instance: what ``show`` and ``tail`` tell of its timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .formats import Document
from .table import Column, lines_of, terminal_width
from .text import span, when

SHOWN = 20
_CALLS = ("activity", "step", "timer", "child")
_OPEN = ("Scheduled", "Running", "Retrying", "Waiting")
_COLUMNS = (
    Column("TASK", is_number=True),
    Column("CALL"),
    Column("STATUS"),
    Column("CALLED"),
    Column("QUEUED", is_number=True),
    Column("RAN", is_number=True),
    Column("TRIES", is_number=True),
    Column("HOST", weight=2),
    Column("LINE", weight=3),
    Column("NOTE", weight=4),
)


def under_way(timeline: Document, at: datetime) -> dict[int, tuple[str, ...]]:
    """The calls that run or are tried again, by task: status, number, name, and what is known of the attempt."""
    found: dict[int, tuple[str, ...]] = {}
    for row in timeline["rows"]:
        if row["kind"] in _CALLS and row["status"] in ("Running", "Retrying") and row.get("taskId") is not None:
            host, attempts = row.get("host"), row.get("attempts", ())
            details = [f"host={host}"] if host else []
            details += [f"failed={len(attempts)}"] if row["status"] == "Retrying" and attempts else []
            details += [note] if (note := _note(row, at, utc=True)) else []
            found[row["taskId"]] = (row["status"], f"#{row['taskId']}", row.get("name", ""), " ".join(details))
    return found


def call_lines(timeline: Document, at: datetime, *, utc: bool) -> list[str]:
    """The open calls, and of the others the last ones. Empty if there is no call."""
    calls = [row for row in timeline["rows"] if row["kind"] in _CALLS]
    is_open = [row for row in calls if row["status"] in _OPEN]
    ended = [row for row in calls if row["status"] not in _OPEN]
    shown = [*ended[max(len(ended) + min(len(is_open), SHOWN) - SHOWN, 0) :], *is_open[:SHOWN]]
    if not shown:
        return []
    lines = lines_of(_COLUMNS, [_cells(row, at, utc=utc) for row in shown], terminal_width())
    if len(shown) < len(calls):
        lines.append(f"… {len(calls) - len(shown):,} more calls are not shown: --format json of 'events' has them all")
    return ["", *lines]


def _cells(row: Mapping[str, Any], at: datetime, *, utc: bool) -> Sequence[object]:
    attempts: Sequence[Mapping[str, Any]] = row.get("attempts", ())
    return [
        row.get("taskId"),
        row.get("name") or row["kind"],
        row["status"],
        when(row.get("scheduledTime"), at, utc=utc),
        _length(row.get("queueMs")),
        _length(row.get("runMs")),
        attempts[-1].get("number") if attempts else None,
        row.get("host"),
        row.get("line"),
        _note(row, at, utc=utc),
    ]


def _note(row: Mapping[str, Any], at: datetime, *, utc: bool) -> str:
    """What a reader looks for next: why it failed, when it goes on, which instance it is."""
    if (moment := row.get("nextAttemptTime")) is not None:
        return f"next attempt {when(moment, at, utc=utc)}"
    if row["kind"] == "timer" and row["status"] in _OPEN:
        return f"fires {when(row.get('dueTime'), at, utc=utc)}"
    failure: Mapping[str, Any] = row.get("failure") or {}
    return f"{failure['type']}: {failure['message']}" if failure else str(row.get("instanceId", ""))


def _length(ms: int | None) -> str:
    if ms is None:
        return ""
    return f"{ms:,} ms" if ms < 10_000 else span(ms / 1000)
