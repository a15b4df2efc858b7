"""The stored form of history events: what one version writes, it and every later one reads."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core import FailureDetails
from durable_core.engine.events import (
    ContinueAsNew,
    Event,
    EventRaised,
    EventSent,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    PatchMarked,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCanceled,
    TimerCreated,
    TimerFired,
    describe,
    from_array,
    from_arrays,
    to_array,
)
from durable_core.errors import DamagedRowError, NewerFormatError
from durable_core.moments import from_epoch

FAILURE = FailureDetails("E", "m", "stack", FailureDetails("C", "cause"), retriable=False, bases=("B",))
EVENTS: list[Event] = [
    ExecutionStarted("o", "1", {"a": [1]}),
    TaskScheduled(1, "a", None, "o.py:1", {"inline": False}),
    TaskCompleted(1, [None]),
    TaskCompleted(1),
    TaskFailed(1, FAILURE),
    TimerCreated(2, datetime(2031, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC), "o.py:2"),
    TimerFired(2),
    TimerCanceled(2),
    SubOrchestrationCreated(3, "c", None, "", False),
    SubOrchestrationCompleted(3, 0),
    SubOrchestrationFailed(3, FAILURE),
    EventRaised("go", "", "row"),
    EventSent(4, "other", "go", 1.5),
    StepCompleted(5, "s", 1),
    StepCompleted(5, "s", None, FAILURE, "o.py:3"),
    PatchMarked("p"),
    PatchMarked("p", "o.py:4", True),
    ContinueAsNew(None, False),
    ContinueAsNew(None, True, "2"),
    ContinueAsNew(1, False, None, True),
    ExecutionSuspended("why", "row"),
    ExecutionResumed(),
    ExecutionTerminated("", "row"),
    ExecutionCompleted("Completed", 1),
    ExecutionCompleted("Failed", None, FAILURE),
    ExecutionCompleted("Failed", None, FAILURE, "o.py:5", [1, 2]),
    TaskCompleted(1, None, [12, 345, "ab12cd34"]),
    TaskCompleted(1, 5, [12, 345, "ab12cd34"], 2, [[1, 1.5, 3, "h", "E", "m"], [2, 4.5, 345, "ab12cd34"]]),
    TaskFailed(1, FAILURE, [12, 345, "ab12cd34"], 3),
    StepCompleted(5, "s", None, None, "", [0, 1, "ab12cd34"]),
    SubOrchestrationCompleted(3, 0, 2, [[1, None, None, ""]]),
    SubOrchestrationFailed(3, FAILURE, 2, [[1, None, None, ""]]),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    read = from_array(json.loads(json.dumps(to_array(event))))
    assert read == event
    assert [getattr(read, f.name) for f in fields(read)] == [getattr(event, f.name) for f in fields(event)]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_that_was_read_cannot_be_changed(event: Event) -> None:
    read: Any = from_array(to_array(event))
    assert type(read) is type(event)
    for each in fields(read):
        with pytest.raises(FrozenInstanceError):
            setattr(read, each.name, None)


def test_events_are_read_in_order() -> None:
    assert from_arrays(to_array(event) for event in EVENTS) == tuple(EVENTS)


@pytest.mark.parametrize(
    "array",
    [["TF", 1, None], ["TF", 1], ["RC", 1], ["RC", 1, None], ["RC", 1, "now"], ["RC", 1, -1e20], ["XO"]],
    ids=str,
)
def test_a_failure_or_a_time_that_is_none_is_called_damaged(array: list[object]) -> None:
    with pytest.raises(DamagedRowError, match=str(array[0])):
        from_array(array)


@pytest.mark.parametrize("array", [["ZZ", 1], [], ["RF", 1, 2, 3, 4]], ids=str)
def test_an_event_or_a_field_that_is_not_known_is_called_newer(array: list[object]) -> None:
    with pytest.raises(NewerFormatError):
        from_array(array)


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_a_time_is_read_to_the_microsecond(moment: datetime) -> None:
    assert from_epoch(moment.timestamp()) == moment
    assert from_epoch(moment.timestamp()).tzinfo is UTC


def test_defaults_at_the_end_are_not_written() -> None:
    assert to_array(TaskCompleted(1)) == ["TC", 1]
    assert to_array(SubOrchestrationCompleted(1, False)) == ["SD", 1, False]


@pytest.mark.parametrize("array", [["??", 1], ["TC", 1, 2, 3, 4, 5, 6, 7], ["XC"]])
def test_what_a_newer_version_wrote_is_recognised_as_such(array: list[object]) -> None:
    with pytest.raises(NewerFormatError):
        from_array(array)


def test_an_event_is_described_by_what_tells_it_apart() -> None:
    assert describe(TaskScheduled(1, "a", "input", "line")) == "TaskScheduled(task_id=1, name='a')"


def test_when_and_where_an_attempt_ran_makes_no_other_event_of_it() -> None:
    assert TaskCompleted(1, 5, [1, 2, "here"], 2, [[1, 1.5, 3, "h"]]) == TaskCompleted(1, 5)
    assert TaskFailed(1, FAILURE, [1, 2, "here"]) == TaskFailed(1, FAILURE)
    assert ExecutionCompleted("Failed", None, FAILURE, "o.py:5", [1]) == ExecutionCompleted("Failed", None, FAILURE)


def test_the_timing_of_an_activity_takes_at_most_25_bytes() -> None:
    for result in (None, 5, {"receipt": "r-1"}):
        without, timed = TaskCompleted(1, result), TaskCompleted(1, result, [123, 4567, "ab12cd34"])
        assert len(json.dumps(to_array(timed), separators=(",", ":"))) <= 25 + 5 * (result is None) + len(
            json.dumps(to_array(without), separators=(",", ":"))
        )
