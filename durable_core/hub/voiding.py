"""Which commits a rewind has made void, and what they had brought.

Segments are never changed or deleted. Whoever looks into a history for what is recorded must not find what is void, so
void commits are read as commits without events. They keep their ids: a host that looks for a commit of its own, whose
answer was lost, finds it. No IO.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..engine.events import (
    Event,
    EventRaised,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    Incoming,
    LockGranted,
    OperationAnswered,
    Segment,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    UpdateAccepted,
)

_RESULTS = (
    *(TaskCompleted, TaskFailed, SubOrchestrationCompleted, SubOrchestrationFailed, StepCompleted),
    *(OperationAnswered, LockGranted),
)


def rewind_in(segment: Segment) -> ExecutionRewound | None:
    """The rewind that this commit is."""
    first = segment.events[0] if segment.events else None
    return first if type(first) is ExecutionRewound else None


def without_void(segments: Sequence[Segment]) -> list[Segment]:
    """The segments of one generation as they count: those that are void without their events."""
    valid = list(segments)
    if not valid:
        return valid
    first = valid[0].seq
    for at, segment in enumerate(valid):
        event = rewind_in(segment)
        if event is None:
            continue
        void = range(max(event.to - first, 0), at)
        told = told_again([valid[each] for each in void], event)
        for each in void:
            valid[each] = replace(valid[each], events=(), told=())
        valid[at] = replace(segment, told=told)
    return valid


def told_again(void: Iterable[Segment], event: ExecutionRewound) -> tuple[Incoming, ...]:
    """What commits that become void with this event had brought, and the next turn must be told again, in order.

    Not the ends of tasks that are done again, nor what ended the run, nor timers, which are due later now. What belongs
    to calls that are void themselves is not admitted then.
    """
    undone = frozenset[int](event.undone)
    told: list[Incoming] = []
    for segment in void:
        told.extend(segment.told)
        told.extend(each for each in segment.events if _is_told(each, undone))  # type: ignore[misc]
    return tuple(told)


def _is_told(event: Event, undone: frozenset[int]) -> bool:
    if isinstance(event, _RESULTS):
        return event.task_id not in undone
    return isinstance(event, ExecutionStarted | EventRaised | UpdateAccepted | ExecutionSuspended | ExecutionResumed)
