"""The table of calls that ``show`` prints below the status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from durable_core.cli.calls import SHOWN, call_lines, under_way

NOW = datetime(2025, 1, 31, 12, tzinfo=UTC)


def row(task: int, **more: Any) -> dict[str, Any]:
    return {"taskId": task, "kind": "activity", "name": "ship", "status": "Completed", "line": "a.py:1"} | more


def shown(*rows: dict[str, Any]) -> list[str]:
    return call_lines({"rows": list(rows)}, NOW, utc=False)


def test_each_call_has_its_times_its_attempts_and_what_a_reader_looks_for_next() -> None:
    lines = shown(
        row(1, queueMs=12, runMs=1500, host="ab12", scheduledTime="2025-01-31T11:00:00Z"),
        row(2, status="Failed", runMs=90_000, failure={"type": "ValueError", "message": "no \x1b[31mmoney"}),
        {"kind": "event", "name": "Go", "status": "Completed"},
        row(3, status="Retrying", attempts=[{"number": 1}, {"number": 4}], nextAttemptTime="2025-01-31T12:05:00Z"),
        row(4, kind="timer", name="", status="Waiting", dueTime="2025-01-31T13:00:00Z"),
        row(5, kind="child", name="pay", status="Running", instanceId="one:x:0:5"),
    )
    assert lines[0] == ""
    assert lines[1].split() == [
        "TASK", "CALL", "STATUS", "CALLED", "QUEUED", "RAN", "TRIES", "HOST", "LINE", "NOTE",
    ]  # fmt: skip
    assert lines[2].split() == ["1", "ship", "Completed", "1h", "ago", "12", "ms", "1,500", "ms", "ab12", "a.py:1"]
    assert lines[3].endswith("ValueError: no \\x1b[31mmoney")
    assert lines[3].split()[:4] == ["2", "ship", "Failed", "1m"]
    assert lines[4].split()[3:] == ["4", "a.py:1", "next", "attempt", "in", "5m"]
    assert lines[5].endswith("fires in 1h")
    assert lines[6].endswith("one:x:0:5")
    assert len(lines) == 7, "an event is no call"


def test_an_instance_without_calls_has_no_table() -> None:
    assert shown() == shown({"kind": "event", "name": "Go", "status": "Completed"}) == []


def test_of_many_calls_the_open_ones_and_the_last_are_shown() -> None:
    ended = [row(number) for number in range(1, 101)]
    lines = shown(*ended, row(101, status="Running"))
    assert len(lines) == 2 + SHOWN + 1
    assert lines[2].split()[0] == "82"
    assert lines[-2].split()[0] == "101"
    assert lines[-1].startswith("… 81 more calls are not shown")
    lines = shown(*ended, *(row(number, status="Running") for number in range(101, 201)))
    assert [line.split()[0] for line in lines[2:-1]] == [str(number) for number in range(101, 101 + SHOWN)]


def test_what_runs_and_what_is_tried_again_is_under_way() -> None:
    rows = [
        row(1),
        row(2, status="Running", host="ab12"),
        row(3, status="Retrying", attempts=[{"number": 1}], nextAttemptTime="2025-01-31T12:05:00Z"),
        row(4, kind="timer", status="Waiting"),
        row(5, kind="child", name="pay", status="Running", instanceId="one:x:0:5"),
    ]
    assert under_way({"rows": rows}, NOW) == {
        2: ("Running", "#2", "ship", "host=ab12"),
        3: ("Retrying", "#3", "ship", "failed=1 next attempt 2025-01-31T12:05:00Z"),
        5: ("Running", "#5", "pay", "one:x:0:5"),
    }
