"""What a fork copies of a history, and what it does anew: functions of the history, without IO.

A fork is a new instance that begins with a part of another one's history. Its first own commit has the event of a
rewind: the calls that are open where the copy ends are dispatched anew, and timers move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from ...engine.events import (
    Event,
    EventRaised,
    ExecutionCompleted,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionTerminated,
    Segment,
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
)
from ...errors import InvalidInputError
from ...hub.instance_row import Instance
from ...models import JSON, FailureDetails, RuntimeStatus
from .rewind_plan import cut_of, last_id

Call: TypeAlias = TaskScheduled | TimerCreated | SubOrchestrationCreated
_CALLS = (TaskScheduled, TimerCreated, SubOrchestrationCreated)
_ENDS = (
    TaskCompleted,
    TaskFailed,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    StepCompleted,
    TimerFired,
    TimerCanceled,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The part of a history that a fork begins with.

    cut: the first commit of the source that is not copied; cut_at: its time. calls: those that are open there.
    """

    segments: Sequence[Segment]
    calls: Mapping[int, Call]
    cut: int
    cut_at: datetime


@dataclass(frozen=True, slots=True)
class Until:
    """Where a copy ends: before the end of a task, before an event of this name came, or before the failure."""

    task: int | None = None
    event: str | None = None
    failure: bool = False

    def __post_init__(self) -> None:
        if sum([self.task is not None, self.event is not None, self.failure]) != 1:
            raise InvalidInputError("until must name one of task, event and failure")


def cut_for(until: Until, instance: Instance, segments: Sequence[Segment], failure: FailureDetails | None) -> int:
    """The first commit that is not copied. InvalidInputError."""
    if until.failure:
        if not instance.is_terminal or instance.status is RuntimeStatus.COMPLETED:
            raise InvalidInputError(
                f"instance '{instance.instance_id}' has not failed: fork it until a task or an event"
            )
        return cut_of(instance, segments, failure).seq
    ends = [s.seq for s in segments if any(isinstance(e, ExecutionCompleted | ExecutionTerminated) for e in s.events)]
    last = min([*ends, instance.seq])
    if until.task is not None:
        task = until.task
        if not any(getattr(event, "task_id", None) == task for segment in segments for event in segment.events):
            raise InvalidInputError(f"instance '{instance.instance_id}' has no task {task} in its last generation")
        recorded = [s.seq for s in segments if any(isinstance(e, _ENDS) and e.task_id == task for e in s.events)]
        return min([*recorded, last])
    wanted = str(until.event).lower()
    found = [s.seq for s in segments if any(isinstance(e, EventRaised) and e.name.lower() == wanted for e in s.events)]
    if not found:
        raise InvalidInputError(f"instance '{instance.instance_id}' has received no event '{until.event}'")
    return min(found[-1], last)


def copy_of(segments: Sequence[Segment], cut: int) -> Copy:
    """The commits before the cut, numbered from 0. InvalidInputError: nothing is before the cut."""
    first = segments[0].seq
    kept = [segment for segment in segments if segment.seq < cut]
    if not any(segment.events for segment in kept):
        raise InvalidInputError("nothing of the history is before this place: restart the instance instead")
    calls: dict[int, Call] = {}
    copied: list[Segment] = []
    for segment in kept:
        events: list[Event] = []
        for event in segment.events:
            event = _copied(event, segment.seq - first)
            if isinstance(event, _CALLS):
                calls[event.task_id] = event
            elif isinstance(event, _ENDS):
                calls.pop(event.task_id, None)
            events.append(event)
        copied.append(replace(segment, seq=segment.seq - first, events=tuple(events), told=()))
    following = next((segment for segment in segments if segment.seq >= cut), kept[-1])
    return Copy(segments=copied, calls=calls, cut=cut, cut_at=following.timestamp)


def _copied(event: Event, at: int) -> Event:
    if isinstance(event, ExecutionStarted):
        return replace(event, input=None)  # the row has it
    if isinstance(event, ExecutionRewound):  # what it made void is copied without events
        return replace(event, to=at)
    return event


def first_event(
    copy: Copy, number: int, now: datetime, request_id: str, reason: str, inputs: Mapping[int, JSON]
) -> ExecutionRewound:
    """The event of the fork's own first commit: all open calls are dispatched, none is taken for the source's.

    inputs: other inputs of open calls, by task.
    """
    shift = max((now - copy.cut_at).total_seconds(), 0.0)
    again = sorted(copy.calls)
    others: JSON = [[task_id, data] for task_id, data in sorted(inputs.items())] or None
    last = last_id(copy.segments)
    return ExecutionRewound(number, len(copy.segments), [], again, last, shift, request_id, reason, others)


def dispatched_of(copy: Copy) -> int:
    """Up to which commit a fork counts as dispatched: its source has dispatched all that is copied (rule R30)."""
    return len(copy.segments) - 1


def collisions(copy: Copy, answered: Mapping[int, JSON]) -> list[str]:
    """Open sub-orchestrations with an id that the code chose: there is one of that id, the source's (rule R31). But for
    those that are answered."""
    return [
        f"sub-orchestration '{call.instance_id}' of task {task_id} is open and belongs to the source: "
        "override its result or its failure"
        for task_id, call in sorted(copy.calls.items())
        if isinstance(call, SubOrchestrationCreated) and call.instance_id and task_id not in answered
    ]
