"""What a fork copies of a history, and what it does anew: functions of the history, without IO.

A fork is a new instance that begins with a part of another one's history. Its first own commit has the event of a
rewind: the calls that are open where the copy ends are dispatched anew, and timers move.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias, cast

from ...engine.callbacks import event_in_generation
from ...engine.events import (
    EntityCalled,
    Event,
    EventRaised,
    ExecutionCompleted,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionTerminated,
    OperationAnswered,
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
from ...lazy_dataclass import dataclass
from ...models import JSON, FailureDetails, RuntimeStatus
from .rewind_plan import RewoundTask, cut_of, last_id, section_at, slots_at

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

    cut: the first commit of the source that is not copied; cut_at: its time. calls: those that are open there. steps:
        open steps that the source has ended later, by task; a history without its code does not show others.
    """

    segments: Sequence[Segment]
    calls: Mapping[int, Call]
    steps: Mapping[int, RewoundTask]
    cut: int
    cut_at: datetime


@dataclass(frozen=True, slots=True)
class Until:
    """Where a copy ends: before the end of a task, before an event of this name came, or before the failure.

    number: which event of the name, counted from 1 in this generation; None: the last.
    """

    task: int | None = None
    event: str | None = None
    failure: bool = False
    number: int | None = None

    def __post_init__(self) -> None:
        if sum([self.task is not None, self.event is not None, self.failure]) != 1:
            raise InvalidInputError("until must name one of task, event and failure")
        if self.number is not None and (self.event is None or self.number < 1):
            raise InvalidInputError("a number is that of an event of this name, counted from 1")


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
    found = [s.seq for s in segments for e in s.events if isinstance(e, EventRaised) and e.name.lower() == wanted]
    if not found:
        raise InvalidInputError(f"instance '{instance.instance_id}' has received no event '{until.event}'")
    number = len(found) if until.number is None else until.number
    if number > len(found):
        raise InvalidInputError(
            f"instance '{instance.instance_id}' has received {len(found)} events '{until.event}', not {number}"
        )
    return min(found[number - 1], last)


def copy_of(segments: Sequence[Segment], cut: int) -> Copy:
    """The commits before the cut, numbered from 0. InvalidInputError: nothing is before the cut."""
    first = segments[0].seq
    kept = [segment for segment in segments if segment.seq < cut]
    if not any(segment.events for segment in kept):
        raise InvalidInputError("nothing of the history is before this place: restart the instance instead")
    copied = [
        replace(
            segment,
            seq=segment.seq - first,
            events=tuple(_copied(event, segment.seq - first) for event in segment.events),
            told=(),
        )
        for segment in kept
    ]
    following = next((segment for segment in segments if segment.seq >= cut), kept[-1])
    return Copy(
        segments=copied,
        calls=calls_in(copied),
        steps=_steps_ended_later(segments, cut, last_id(kept)),
        cut=cut,
        cut_at=following.timestamp,
    )


def calls_in(segments: Iterable[Segment]) -> dict[int, Call]:
    """The calls that are open after these commits."""
    calls: dict[int, Call] = {}
    for segment in segments:
        for event in segment.events:
            if isinstance(event, _CALLS):
                calls[event.task_id] = event
            elif isinstance(event, _ENDS):
                calls.pop(event.task_id, None)
    return calls


def _steps_ended_later(segments: Sequence[Segment], cut: int, highest: int) -> dict[int, RewoundTask]:
    """Steps that were open before the commit ``cut``: those that it ended, and those numbered below its calls."""
    return {
        event.task_id: RewoundTask(event.task_id, event.name, event.line)
        for segment in segments
        if segment.seq >= cut
        for event in segment.events
        if isinstance(event, StepCompleted) and (segment.seq == cut or event.task_id <= highest)
    }


def _copied(event: Event, at: int) -> Event:
    if isinstance(event, ExecutionStarted):
        return replace(event, input=None)  # the row has it
    if isinstance(event, ExecutionRewound):  # what it made void is copied without events
        return replace(event, to=at)
    if isinstance(event, TaskCompleted) and event.waits is not None:
        return replace(event, waits=[_wait_copied(wait) for wait in cast("list[dict[str, JSON]]", event.waits)])
    if isinstance(event, EventRaised):  # a fork begins with generation 0
        return replace(event, name=event_in_generation(event.name, 0))
    return event


def _wait_copied(wait: dict[str, JSON]) -> JSON:
    """A wait of a journaled activity, as ``engine.journal_waits`` takes it."""
    return wait | {"name": event_in_generation(str(wait["name"]), 0)} if wait["kind"] == "event" else wait


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


def collisions(copy: Copy, answered: Collection[int]) -> list[str]:
    """Open sub-orchestrations with an id that the code chose: there is one of that id, the source's (rule R31). But for
    those that are answered."""
    return [
        f"sub-orchestration '{call.instance_id}' of task {task_id} is open and belongs to the source: "
        "override its result or its failure"
        for task_id, call in sorted(copy.calls.items())
        if isinstance(call, SubOrchestrationCreated) and call.instance_id and task_id not in answered
    ]


def tied_to_entities(copy: Copy) -> list[str]:
    """Why a copy cannot go on: the answers and the locks that it waits for belong to the source."""
    calls: dict[int, EntityCalled] = {}
    for segment in copy.segments:
        for event in segment.events:
            if isinstance(event, EntityCalled):
                calls[event.task_id] = event
            elif isinstance(event, OperationAnswered):
                calls.pop(event.task_id, None)
    problems = [
        f"operation '{call.operation}' of entity {call.entity} (task {task_id}) is open there, and its answer goes to "
        "the source: fork it at another place"
        for task_id, call in sorted(calls.items())
    ]
    if (held := section_at(copy.segments)) is not None:
        locked = ", ".join(held.entities)
        problems.append(f"it is in a critical section there, and the source has locked {locked}: fork at another place")
    if gates := slots_at(copy.segments):
        problems.append(f"the source holds a slot of a limit there ({', '.join(gates)}): fork at another place")
    return problems
