"""What a rewind of an ended instance does, read from its row and its history: no code of the app is needed, and no IO.

The cut is before the commit that recorded the earliest end of the tasks that ended the run: their failures, and the
ends at which a map with failed items was over. Without such tasks (the code itself raised, or the run was terminated)
it is before the last commit, and of a cancelled run before its request. All commits from the cut on become void. What
they had brought from outside is told again, what they had decided is listed: it has happened, and a rewind does not
undo it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias, TypeGuard

from ...definitions import MAP_NAME
from ...engine.events import (
    Answered,
    Called,
    CancelRequested,
    EntityCalled,
    EntitySignaled,
    Event,
    EventSent,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTimedOut,
    LockReleased,
    LockRequested,
    OperationAnswered,
    OrchestrationStarted,
    RequestSent,
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
from ...engine.slots import INHERITED, is_gate
from ...hub.instance_row import Instance, RetryState
from ...hub.voiding import without_void
from ...lazy_dataclass import dataclass
from ...models import JSON, FailureDetails, RuntimeStatus
from ...moments import after
from .retries import ATTEMPTS_OF_RUN

_ENDS: TypeAlias = Answered | TimerFired | TimerCanceled
_Ended: TypeAlias = Answered | StepCompleted
_FAILURES = (TaskFailed, SubOrchestrationFailed, StepCompleted, OperationAnswered)


@dataclass(frozen=True, slots=True)
class RewoundTask:
    """A task that a rewind concerns. name: of the activity, sub-orchestration or step, '' of a timer. line: of the
    call, as ``file:line``."""

    task_id: int
    name: str
    line: str

    def to_json(self) -> dict[str, JSON]:
        return {"taskId": self.task_id, "name": self.name, "line": self.line}


@dataclass(frozen=True, slots=True)
class RewoundItem:
    """An item of a ``ctx.map`` that failed, and is called again.

    instance_id: of the map, or of a batch that is rewound. index: its place among the items of the map, or of that
    batch. name: of what is called.
    """

    instance_id: str
    index: int
    name: str

    def to_json(self) -> dict[str, JSON]:
        return {"instanceId": self.instance_id, "index": self.index, "name": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where an ended run is cut, and what becomes of its calls.

    seq: the first commit that becomes void. failed: tasks whose failures ended the run. calls: all calls before the
    cut, by task. told: those of them whose result a void commit has; it is told again. pending: those without a result.
    ended_children: sub-orchestrations that void commits have told to end.
    """

    seq: int
    failed: frozenset[int]
    calls: Mapping[int, Called]
    told: frozenset[int]
    pending: frozenset[int]
    ended_children: frozenset[int]

    @property
    def open_children(self) -> list[SubOrchestrationCreated]:
        """The open sub-orchestrations, in order."""
        calls = [self.calls[task_id] for task_id in sorted(self.pending)]
        return [call for call in calls if isinstance(call, SubOrchestrationCreated)]


def cut_of(instance: Instance, segments: Sequence[Segment], failure: FailureDetails | None) -> Cut:
    """segments: the history as it counts. failure: of an instance that has failed."""
    behind = failed_tasks(segments, failure) if instance.status is RuntimeStatus.FAILED else frozenset[int]()
    failed = frozenset(event.task_id for event in _events(segments) if _is_failure_of(event, behind))
    seq = _first_void(instance, segments, behind)
    calls: dict[int, Called] = {}
    ended: set[int] = set()
    for event in _events(segments, before=seq):
        if isinstance(event, Called):
            calls[event.task_id] = event
        elif isinstance(event, _ENDS):
            ended.add(event.task_id)
    void = list(_events(segments, since=seq))
    is_open = calls.keys() - ended
    told = {event.task_id for event in void if isinstance(event, Answered)} & is_open - failed
    told -= {event.task_id for event in void if isinstance(event, SubOrchestrationFailed) and _is_batch(calls, event)}
    stopped = {event.child for event in void if isinstance(event, RequestSent)} & is_open
    return Cut(
        seq=seq,
        failed=failed,
        calls=calls,
        told=frozenset(told),
        pending=frozenset(is_open - told),
        ended_children=frozenset(stopped - told),
    )


def _first_void(instance: Instance, segments: Sequence[Segment], behind: Collection[int]) -> int:
    last = max(segment.seq for segment in segments if segment.events)
    if behind:
        ends = (s.seq for s in segments for event in s.events if _is_end(event) and event.task_id in behind)
        return min(ends, default=last)
    if instance.status is RuntimeStatus.CANCELED:
        asked = [s.seq for s in segments if any(isinstance(event, CancelRequested) for event in s.events)]
        return min(asked, default=last)
    return last


def failed_tasks(segments: Sequence[Segment], failure: FailureDetails | None) -> frozenset[int]:
    """The tasks with whose ends a run ended: as its last event names them, or as they stand in its failure's chain. For
    an item of a map, it is the task at whose end the map was over.

    A host of an older build has not named them. Where the chain does not hold them either, it is the last failure.
    """
    end = next((event for event in _events(segments) if isinstance(event, ExecutionCompleted)), None)
    if end is not None and end.because:
        over = dict[int, int](end.over or ())
        ended = {event.task_id for event in _events(segments) if _is_end(event)}
        return frozenset(later if (later := over.get(each, each)) in ended else each for each in end.because)
    chain = [] if failure is None else list(_chain(failure))
    latest: dict[int, int] = {}  # place in the chain → task
    for event in _events(segments):
        if isinstance(event, _FAILURES) and event.failure in chain:
            latest[chain.index(event.failure)] = event.task_id
    if not latest and _is_of_older_build(segments):
        failures = [event.task_id for event in _events(segments) if isinstance(event, _FAILURES) and event.failure]
        return frozenset(failures[-1:])
    return frozenset(latest.values())


def _is_of_older_build(segments: Sequence[Segment]) -> bool:
    """Whether no host has written when a task ran, which all builds do that name the tasks which have ended a run."""
    ends = [event for event in _events(segments) if isinstance(event, TaskCompleted | TaskFailed | StepCompleted)]
    return bool(ends) and all(event.timing is None for event in ends)


def _chain(failure: FailureDetails) -> Iterator[FailureDetails]:
    yield failure
    for inner in (failure.cause, *failure.members):
        if inner is not None:
            yield from _chain(inner)


def _is_failure_of(event: Event, tasks: Collection[int]) -> TypeGuard[_Ended]:
    return isinstance(event, _FAILURES) and event.task_id in tasks and event.failure is not None


def _is_end(event: Event) -> TypeGuard[_Ended]:
    """Whether a task has ended for good with this event: a part of a journaled activity may end with waits."""
    return isinstance(event, Answered | StepCompleted) and not (
        isinstance(event, TaskCompleted) and event.waits is not None
    )


def _is_batch(calls: Mapping[int, Called], event: SubOrchestrationFailed) -> bool:
    """A batch of a map that failed, or was cancelled, after the map was over: the rewound map waits for it again."""
    call = calls.get(event.task_id)
    return isinstance(call, SubOrchestrationCreated) and call.name == MAP_NAME


def _events(segments: Sequence[Segment], *, since: int = 0, before: int | None = None) -> Iterator[Event]:
    for segment in segments:
        if segment.seq >= since and (before is None or segment.seq < before):
            yield from segment.events


# ---------------------------------------------------------------- the commit


@dataclass(frozen=True, slots=True, kw_only=True)
class RewindPlan:
    """A rewind to be. after: the row as it will be, but for the commit. segments: the history as it will count.

    problems: what has happened after the cut and is not undone. blocked: what rules the rewind out.
    reports: what children have returned that completed after the run had ended. items: those of maps that are called
        again.
    """

    instance: Instance
    after: Instance
    event: ExecutionRewound
    timestamp: datetime
    undone: tuple[RewoundTask, ...]
    again: tuple[RewoundTask, ...]
    segments: Sequence[Segment]
    problems: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    reports: tuple[SubOrchestrationCompleted, ...] = ()
    items: tuple[RewoundItem, ...] = ()


def plan_of(
    instance: Instance,
    segments: Sequence[Segment],
    cut: Cut,
    *,
    failed_children: Mapping[int, int],
    now: datetime,
    request_id: str,
    reason: str,
    parent_rewinds: int = 0,
    reports: Sequence[SubOrchestrationCompleted] = (),
) -> RewindPlan:
    """failed_children: open sub-orchestrations that have ended without success, each with its attempt.
    reports: of batches of maps that have completed, of which the history does not know."""
    number = instance.rewinds + 1
    cut_at = next(segment.timestamp for segment in segments if segment.seq == cut.seq)
    shift = max((now - cut_at).total_seconds(), 0.0)
    steps = [e for e in _events(segments, since=cut.seq) if isinstance(e, StepCompleted) and e.task_id in cut.failed]
    undone = (cut.failed & cut.pending) | {step.task_id for step in steps} | failed_children.keys()
    again = sorted(cut.pending)
    ended = sorted({*cut.told, *(report.task_id for report in reports)} - undone)
    event = ExecutionRewound(
        number, cut.seq, sorted(undone), again, last_id(segments), shift, request_id, reason, ended=ended
    )
    names = {task_id: task_of(call) for task_id, call in cut.calls.items()}
    names |= {step.task_id: RewoundTask(step.task_id, step.name, step.line) for step in steps}
    after = instance.but(
        status=status_at(segments, cut.seq),
        output=None,
        failure=None,
        stuck="",
        rewinds=number,
        parent_rewinds=max(instance.parent_rewinds, parent_rewinds),
        retries=_retries(instance, cut, undone, failed_children, number, now),
        deadline=_deadline(instance, segments, cut.seq, shift, now),
    )
    rewound = Segment(instance.seq, request_id, now, (event,))
    return RewindPlan(
        instance=instance,
        after=after,
        event=event,
        timestamp=now,
        undone=tuple(names[task_id] for task_id in sorted(undone)),
        again=tuple(names[task_id] for task_id in again),
        segments=without_void([*segments, rewound]),
        reports=tuple(reports),
    )


def last_id(segments: Sequence[Segment]) -> int:
    """The highest task id of a history, of void commits too."""
    ids = [0]
    for event in _events(segments):
        ids.append(event.last if isinstance(event, ExecutionRewound) else getattr(event, "task_id", 0))
    return max(ids)


def status_at(segments: Sequence[Segment], before: int | None = None) -> RuntimeStatus:
    """The status of an open instance before this commit."""
    is_suspended = False
    for event in _events(segments, before=before):
        if isinstance(event, ExecutionSuspended | ExecutionResumed):
            is_suspended = isinstance(event, ExecutionSuspended)
    return RuntimeStatus.SUSPENDED if is_suspended else RuntimeStatus.RUNNING


def _deadline(
    instance: Instance, segments: Sequence[Segment], seq: int, shift: float, now: datetime
) -> datetime | None:
    """What was left of the time of the whole run is left again; of a run that used it up, all of it."""
    if instance.deadline is None:
        return None
    if any(isinstance(event, ExecutionTimedOut) for event in _events(segments, since=seq)):
        return after(now, instance.deadline - (instance.start_at or instance.created))
    return after(instance.deadline, timedelta(seconds=shift))


def _retries(
    instance: Instance,
    cut: Cut,
    undone: Collection[int],
    children: Mapping[int, int],
    number: int,
    now: datetime,
) -> dict[int, RetryState]:
    """Tasks that are done again begin at an attempt of their own (rule R25); the others go on where they were. The time
    limits of all begin anew."""
    known = {task_id for task_id in instance.retries if task_id in cut.pending or task_id not in cut.calls}
    states = {task_id: RetryState(instance.retries[task_id].attempt, now, now) for task_id in known - cut.told}
    for task_id in undone:
        if not isinstance(cut.calls.get(task_id), SubOrchestrationCreated):
            states[task_id] = RetryState(ATTEMPTS_OF_RUN * number + 1, now, now)
    for task_id, attempt in children.items():  # the attempt is in their ids
        states.pop(task_id, None)
        if attempt > 1:
            states[task_id] = RetryState(attempt, now, now)
    return states


def tasks_of(segments: Sequence[Segment]) -> dict[int, RewoundTask]:
    """All calls and ended steps of a history, by their ids."""
    found: dict[int, RewoundTask] = {}
    for event in _events(segments):
        if isinstance(event, Called):
            found[event.task_id] = task_of(event)
        elif isinstance(event, StepCompleted):
            found[event.task_id] = RewoundTask(event.task_id, event.name, event.line)
    return found


def task_of(call: Called) -> RewoundTask:
    """A call in few words."""
    match call:
        case TimerCreated() | LockRequested():
            name = ""
        case EntityCalled():
            name = f"{call.entity} {call.operation}"
        case _:
            name = call.name
    return RewoundTask(call.task_id, name, call.line)


# ---------------------------------------------------------------- entities


def tied_to_entities(segments: Sequence[Segment], cut: Cut) -> list[str]:
    """Why a run that used entities cannot go on from the cut, in words: its end has released its locks, and an
    operation that has failed is not called again."""
    problems: list[str] = []
    for task_id in sorted(cut.failed):
        if isinstance(call := cut.calls.get(task_id), EntityCalled):
            problems.append(
                f"operation '{call.operation}' of entity {call.entity} #{task_id} failed, and is not called again; "
                "restart the instance instead"
            )
    if (held := section_at(segments, cut.seq)) is not None:
        locked = ", ".join(held.entities)
        problems.append(f"the run was in a critical section there, whose locks ({locked}) are released by now")
    if gates := slots_at(segments, cut.seq):
        problems.append(
            f"the run held a slot of a limit there ({', '.join(gates)}), which is given back by now; "
            "restart the instance instead"
        )
    return problems


def slots_at(segments: Sequence[Segment], before: int | None = None) -> list[str]:
    """The gates of which slots are held or asked for before this commit; None: after the last one. A slot from the
    generation before was held from its beginning to its end."""
    found: dict[int, str] = {}
    for event in _events(segments):
        if isinstance(event, ExecutionStarted) and event.slot is not None:
            found[INHERITED] = event.slot[0]
    for event in _events(segments, before=before):
        if isinstance(event, EntityCalled) and is_gate(event.entity):
            found[event.task_id] = event.entity
        elif isinstance(event, EntitySignaled) and is_gate(event.entity):
            found.pop(event.task_id, None)
    return sorted(set(found.values()))


def section_at(segments: Sequence[Segment], before: int | None = None) -> LockRequested | None:
    """The request of the critical section that is open before this commit; None: after the last one."""
    found: LockRequested | None = None
    for event in _events(segments, before=before):
        if isinstance(event, LockRequested):
            found = event
        elif isinstance(event, LockReleased):
            found = None
    return found


# ---------------------------------------------------------------- what is not undone


def not_undone(segments: Sequence[Segment], cut: Cut, open_steps: Collection[int] | None = None) -> list[str]:
    """What void commits have decided for the world outside, in words.

    open_steps: the inline steps that the code has called before the cut and that are open there; None: the code is not
    at hand, and a step counts as called after the cut if its number is above those of all tasks before it.
    """
    highest = last_id([segment for segment in segments if segment.seq < cut.seq])
    found: list[str] = []
    for event in _events(segments, since=cut.seq):
        match event:
            case TaskScheduled():
                found.append(f"{event.name} #{event.task_id} ran and is not undone")
            case SubOrchestrationCreated():
                found.append(f"sub-orchestration {event.name} #{event.task_id} was started and is not undone")
            case OrchestrationStarted():
                found.append(f"orchestration {event.name} '{event.instance_id}' was started and is not undone")
            case EntityCalled() | EntitySignaled():
                found.append(f"operation '{event.operation}' was sent to entity {event.entity} and is not taken back")
            case EventSent():
                found.append(f"event '{event.name}' was sent to '{event.instance_id}' and is not taken back")
            case StepCompleted() if event.task_id not in cut.failed:
                is_before = event.task_id <= highest if open_steps is None else event.task_id in open_steps
                if not is_before:
                    found.append(f"step {event.name} #{event.task_id} ran and is not undone")
            case _:
                pass
    return found
