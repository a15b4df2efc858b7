"""The timeline of an instance: each call with queue time, run time and attempts, and what is under way now.

Made from storage alone: the instance row, the history of the generation, and the heartbeat rows. No code of the app is
run. Inline steps (``ctx.run``) are in no event before their end; until then they are known by what the code waits for,
and by their failed attempts.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

from ..engine.events import (
    CancelRequested,
    EntityCalled,
    EntitySignaled,
    Event,
    EventRaised,
    EventSent,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    ExecutionTimedOut,
    LockGranted,
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
    UpdateAccepted,
)
from ..hub.attempts import EndedAttempt, KeptAttempts, attempts_in, span_of
from ..hub.child_ids import child_id_of, link_of
from ..hub.heartbeats import RunningAttempt
from ..hub.instance_row import Instance
from ..hub.instances import while_it_moves
from ..hub.journals import Entry
from ..hub.past_generations import PastGeneration
from ..hub.taskhub import TaskHub
from ..hub.times import iso
from ..hub.waits import waits_in
from ..lazy_dataclass import dataclass
from ..models import JSON, FailureDetails, RuntimeStatus, Wait
from ..moments import after, from_epoch
from .call_index import Call, CallIndex, End

RowKind = Literal[
    "activity", "step", "timer", "child", "event", "detached", "request", "entity", "lock", "signal", "update"
]
RowStatus = Literal["Scheduled", "Running", "Retrying", "Waiting", "Completed", "Failed", "Canceled"]

_REQUESTS: Mapping[type, str] = {
    ExecutionSuspended: "suspend",
    ExecutionResumed: "resume",
    ExecutionTerminated: "terminate",
    CancelRequested: "cancel",
    ExecutionTimedOut: "timeout",
    ExecutionRewound: "rewind",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    """One call, event or request.

    task_id: the number of the call; None for what came from outside. name: of the activity, step, orchestrator or
        event; entity and operation of a call or a signal; the entities of a lock; or what a request asks for.
    line: the ``file:line`` of the call; '' if it is not known. Of an update that failed, where its handler has raised.
    status: ``Running`` is an activity that has reported progress, or a sub-orchestration; an activity that reports none
        is ``Scheduled`` until it ends. ``Canceled`` also stands for what was open when the instance ended.
    scheduled: when it was called; started, ended: when the last attempt ran; all UTC, None if not known.
    queue_ms, run_ms: of the last attempt, milliseconds. host: the id of the process that ran it.
    attempts: the first and the last four, where there was more than one, or where one has failed and another follows.
    next_attempt: when the next attempt begins. due: when a timer fires.
    instance_id: of a sub-orchestration or detached orchestration, or the target of an event that was sent.
    failure: why it failed.
    """

    task_id: int | None
    kind: RowKind
    name: str
    line: str
    status: RowStatus
    scheduled: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    queue_ms: int | None = None
    run_ms: int | None = None
    host: str = ""
    attempts: tuple[EndedAttempt, ...] = ()
    next_attempt: datetime | None = None
    due: datetime | None = None
    instance_id: str = ""
    failure: FailureDetails | None = None

    def to_json(self) -> JSON:
        failure = None if self.failure is None else {"type": self.failure.type, "message": self.failure.message}
        return _given(
            taskId=self.task_id,
            kind=self.kind,
            name=self.name,
            line=self.line,
            status=self.status,
            scheduledTime=self.scheduled,
            startedTime=self.started,
            endedTime=self.ended,
            queueMs=self.queue_ms,
            runMs=self.run_ms,
            host=self.host,
            attempts=[_attempt_json(attempt) for attempt in self.attempts] or None,
            nextAttemptTime=self.next_attempt,
            dueTime=self.due,
            instanceId=self.instance_id,
            failure=failure,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All that an instance has called and been told in this generation, in the order in which it happened.

    now: the time at which it was read. ended: None while the instance runs. generations: the last 20 before this one,
    whose calls are no longer known, oldest first.
    """

    instance_id: str
    name: str
    runtime_status: RuntimeStatus
    created: datetime
    ended: datetime | None
    now: datetime
    rows: tuple[TimelineRow, ...]
    generations: tuple[PastGeneration, ...]

    def to_json(self) -> dict[str, JSON]:
        """The body of ``GET /instances/{id}/timeline``."""
        return _given(
            instanceId=self.instance_id,
            name=self.name,
            runtimeStatus=self.runtime_status.value,
            createdTime=self.created,
            endedTime=self.ended,
            now=self.now,
            rows=[row.to_json() for row in self.rows],
            generations=[
                _given(number=past.number, startedTime=past.started, endedTime=past.ended, events=past.events)
                for past in self.generations
            ],
        )


async def read_timeline(hub: TaskHub, instance_id: str, now: datetime) -> Timeline | None:
    """The timeline of an instance; None if there is no such instance.

    One read of its row, one of its chunk rows if it has some, one of heartbeat rows if an activity is open, one of
    journals if it has called an activity.
    NewerFormatError, DamagedRowError, CodecError, StorageError.
    """

    async def read() -> Timeline | None:
        instance = await hub.instances.read(instance_id)
        if instance is None:
            return None
        segments = await hub.instances.history(instance)
        index = CallIndex.of(segments)
        running: Mapping[int, RunningAttempt] = {}
        if not instance.is_terminal and any(isinstance(call.event, TaskScheduled) for call in index.open_calls):
            running = await hub.heartbeats.running(instance_id, instance.execution_id, instance.generation)
        steps: Sequence[Entry] = ()
        if any(isinstance(call.event, TaskScheduled) for call in index.calls.values()):
            steps = await hub.journals.heads(instance_id, instance.execution_id, instance.generation)
        kept = KeptAttempts(instance.tries, hub.payloads.encoding)
        waits = () if instance.is_terminal else waits_in(hub.instances.waits(instance), instance)
        return Timeline(
            instance_id=instance_id,
            name=instance.name,
            runtime_status=instance.status,
            created=instance.created,
            ended=instance.updated if instance.is_terminal else None,
            now=now,
            rows=_with_steps(_rows(instance, segments, index, _OpenTasks(instance, kept, running, waits, now)), steps),
            generations=instance.past,
        )

    return await while_it_moves(read)


def _rows(
    instance: Instance, segments: Sequence[Segment], index: CallIndex, open_tasks: _OpenTasks
) -> tuple[TimelineRow, ...]:
    """All rows in the order of the history; those of open calls as things are now."""
    rows = [
        row
        for segment in segments
        for event in segment.events
        if (row := _row_of(event, segment.timestamp, instance, index, open_tasks)) is not None
    ]
    called = {row.task_id for row in rows}
    return (*rows, *open_tasks.without_event(called))


def _with_steps(rows: tuple[TimelineRow, ...], entries: Sequence[Entry]) -> tuple[TimelineRow, ...]:
    """The rows, with those of the steps of journaled activities behind the invocation that they were recorded by."""
    if not entries:
        return rows
    by_part: dict[int | None, list[TimelineRow]] = {}
    for entry in entries:
        by_part.setdefault(entry.part, []).append(_recorded(entry))
    found: list[TimelineRow] = []
    for row in rows:
        found.append(row)
        if row.kind == "activity":
            found.extend(by_part.get(row.task_id, ()))
    return tuple(found)


def _recorded(entry: Entry) -> TimelineRow:
    """The row of a recorded step."""
    assert entry.step is not None, "of the entries that were read"
    started = from_epoch(entry.started)
    key = entry.step.key
    return TimelineRow(
        task_id=None,
        kind="step",
        name=entry.step.name if key is None else f"{entry.step.name} {key}",
        line=entry.line,
        status="Completed" if entry.failure is None else "Failed",
        scheduled=started,
        started=started,
        ended=after(started, entry.took),
        queue_ms=0,
        run_ms=round(1000 * entry.took),
    )


def _row_of(
    event: Event, at: datetime, instance: Instance, index: CallIndex, open_tasks: _OpenTasks
) -> TimelineRow | None:
    """The row that begins with this event; None if none does."""
    match event:
        case TaskScheduled() | TimerCreated() | SubOrchestrationCreated() | EntityCalled() | LockRequested():
            call, end = index.calls[event.task_id], index.ends.get(event.task_id)
            ended = None if end is None else _ended(instance, call, end)
            return open_tasks.row_of(call) if ended is None else ended
        case StepCompleted():
            return _step(event, at)
        case EventRaised():
            return _moment("event", event.name, at)
        case UpdateAccepted():
            return _update(event, instance, index)
        case EventSent():
            return _moment("event", event.name, at, event.task_id, event.line, event.instance_id)
        case EntitySignaled():
            return _moment("signal", f"{event.entity} {event.operation}", at, event.task_id, event.line)
        case OrchestrationStarted():
            return _moment("detached", event.name, at, event.task_id, event.line, event.instance_id)
        case RequestSent():
            return _moment("request", event.kind, at, event.child)
        case (
            ExecutionRewound()
            | ExecutionSuspended()
            | ExecutionResumed()
            | ExecutionTerminated()
            | CancelRequested()
            | ExecutionTimedOut()
        ):
            return _moment("request", _REQUESTS[type(event)], at)
        case _:
            return None


def _update(event: UpdateAccepted, instance: Instance, index: CallIndex) -> TimelineRow:
    """The row of an update: where it failed, ``line`` is where its handler has raised."""
    update = index.updates[event.update_id]
    status: RowStatus = "Canceled" if instance.is_terminal else "Running"
    if update.end is not None:
        status = "Failed" if update.end.failed else "Completed"
    return TimelineRow(
        task_id=None,
        kind="update",
        name=event.name,
        line="" if update.end is None else update.end.line,
        status=status,
        scheduled=update.since,
        started=update.since,
        ended=instance.updated if update.end is None and instance.is_terminal else update.at,
    )


def _ended(instance: Instance, call: Call, end: End) -> TimelineRow | None:
    """The row of a call that has ended; None if its end is of another kind, in a damaged history."""
    match call.event, end.event:
        case TaskScheduled(), TaskCompleted() | TaskFailed():
            return _ended_activity(call.event, call.since, end.event, end.at)
        case SubOrchestrationCreated(), SubOrchestrationCompleted() | SubOrchestrationFailed():
            return _ended_child(instance, call.event, call.since, end.event, end.at)
        case TimerCreated(), TimerFired() | TimerCanceled():
            return _ended_timer(call.event, call.since, end.event, end.at)
        case (EntityCalled(), OperationAnswered()) | (LockRequested(), LockGranted()):
            return _ended_entity(call, end)
        case _:
            return None


def _ended_activity(
    call: TaskScheduled, called: datetime, event: TaskCompleted | TaskFailed, at: datetime
) -> TimelineRow:
    span = span_of(event.timing, event.tries, called, at)
    return TimelineRow(
        task_id=event.task_id,
        kind="activity",
        name=call.name,
        line=call.line,
        status="Completed" if isinstance(event, TaskCompleted) else "Failed",
        scheduled=called,
        started=None if span is None else span.started,
        ended=at if span is None else span.ended,
        queue_ms=None if span is None else span.queue_ms,
        run_ms=None if span is None else span.run_ms,
        host="" if span is None else span.host,
        attempts=attempts_in(event.tries),
        failure=None if isinstance(event, TaskCompleted) else event.failure,
    )


def _ended_child(
    instance: Instance,
    call: SubOrchestrationCreated,
    called: datetime,
    event: SubOrchestrationCompleted | SubOrchestrationFailed,
    at: datetime,
) -> TimelineRow:
    return TimelineRow(
        task_id=event.task_id,
        kind="child",
        name=call.name,
        line=call.line,
        status="Completed" if isinstance(event, SubOrchestrationCompleted) else "Failed",
        scheduled=called,
        ended=at,
        attempts=attempts_in(event.tries),
        instance_id=_child_id(instance, call, event.attempt),
        failure=None if isinstance(event, SubOrchestrationCompleted) else event.failure,
    )


def _ended_timer(call: TimerCreated, called: datetime, event: TimerFired | TimerCanceled, at: datetime) -> TimelineRow:
    return TimelineRow(
        task_id=event.task_id,
        kind="timer",
        name="",
        line=call.line,
        status="Completed" if isinstance(event, TimerFired) else "Canceled",
        scheduled=called,
        ended=at,
        due=call.fire_at,
    )


def _ended_entity(call: Call, end: End) -> TimelineRow:
    failure = end.event.failure if isinstance(end.event, OperationAnswered) else None
    return TimelineRow(
        task_id=call.event.task_id,
        kind=_kind_of(call),
        name=call.name,
        line=call.event.line,
        status="Completed" if failure is None else "Failed",
        scheduled=call.since,
        ended=end.at,
        failure=failure,
    )


def _kind_of(call: Call) -> RowKind:
    match call.event:
        case TaskScheduled():
            return "activity"
        case SubOrchestrationCreated():
            return "child"
        case TimerCreated():
            return "timer"
        case EntityCalled():
            return "entity"
        case LockRequested():
            return "lock"


class _OpenTasks:
    """Rows of what has not ended.

    kept: the ended attempts of open tasks. running: the attempts that have reported progress. waits: what the code
    waits for, as its last commit has recorded it.
    """

    def __init__(
        self,
        instance: Instance,
        kept: KeptAttempts,
        running: Mapping[int, RunningAttempt],
        waits: Sequence[Wait],
        now: datetime,
    ) -> None:
        self._instance, self._kept, self._running, self._waits, self._now = instance, kept, running, waits, now

    def row_of(self, called: Call) -> TimelineRow:
        """The row of an open call."""
        instance, call, at = self._instance, called.event, called.since
        if not isinstance(call, TaskScheduled | SubOrchestrationCreated):
            return TimelineRow(
                task_id=call.task_id,
                kind=_kind_of(called),
                name=called.name,
                line=call.line,
                status="Canceled" if instance.is_terminal else "Waiting",
                scheduled=at,
                due=call.fire_at if isinstance(call, TimerCreated) else None,
            )
        state = instance.retries.get(call.task_id)
        attempt, due = (1, at) if state is None else (state.attempt, state.next_try)
        is_later = due > self._now and state is not None
        running = None if is_later or instance.is_terminal else self._running.get(call.task_id)
        if running is not None and running.number < attempt:
            running = None  # what has failed has reported progress, and nothing since
        status: RowStatus = "Scheduled"
        if instance.is_terminal:
            status = "Canceled"
        elif is_later:
            status = "Retrying"
        elif running is not None or isinstance(call, SubOrchestrationCreated):
            status = "Running"
        return TimelineRow(
            task_id=call.task_id,
            kind=_kind_of(called),
            name=call.name,
            line=call.line,
            status=status,
            scheduled=at,
            started=None if running is None else running.started,
            queue_ms=None if running is None else max(round((running.started - due).total_seconds() * 1000), 0),
            host="" if running is None else running.host,
            attempts=self._kept.of(call.task_id),
            next_attempt=due if status == "Retrying" else None,
            instance_id=_child_id(instance, call, attempt) if isinstance(call, SubOrchestrationCreated) else "",
        )

    def without_event(self, called: Container[int | None]) -> Iterator[TimelineRow]:
        """What no event tells of before its end: inline steps, and waits for events and conditions. called: the tasks
        that have a row."""
        if self._instance.is_terminal:
            return
        names = {wait.task_id: wait for wait in self._waits if wait.kind in ("step", "retry")}
        for task_id in sorted(self._instance.retries.keys() | names.keys()):
            if task_id not in called:
                yield self._step(task_id, names.get(task_id))
        for wait in self._waits:
            if wait.kind in ("event", "condition", "callback"):
                yield TimelineRow(
                    task_id=wait.task_id or None,
                    kind="event",
                    name=wait.name,
                    line=wait.line,
                    status="Waiting",
                    scheduled=wait.since,
                )

    def _step(self, task_id: int, wait: Wait | None) -> TimelineRow:
        state = self._instance.retries.get(task_id)
        is_later = state is not None and state.next_try > self._now
        scheduled = None if wait is None else wait.since
        return TimelineRow(
            task_id=task_id,
            kind="step",
            name="" if wait is None else wait.name,
            line="" if wait is None else wait.line,
            status="Retrying" if is_later else "Running",
            scheduled=state.first_try if scheduled is None and state is not None else scheduled,
            attempts=self._kept.of(task_id),
            next_attempt=state.next_try if is_later and state is not None else None,
        )


def _child_id(instance: Instance, call: SubOrchestrationCreated, attempt: int) -> str:
    return child_id_of(instance, link_of(instance, call.task_id, attempt), call.instance_id)


def _step(event: StepCompleted, at: datetime) -> TimelineRow:
    attempts = attempts_in(event.tries)
    span = span_of(event.timing, event.tries, None, at)
    return TimelineRow(
        task_id=event.task_id,
        kind="step",
        name=event.name,
        line=event.line,
        status="Completed" if event.failure is None else "Failed",
        started=None if span is None else span.started,
        ended=at if span is None else span.ended,
        queue_ms=None if span is None else span.queue_ms,
        run_ms=None if span is None else span.run_ms,
        host="" if span is None else span.host,
        attempts=attempts,
        failure=event.failure,
    )


def _moment(
    kind: RowKind, name: str, at: datetime, task_id: int | None = None, line: str = "", instance_id: str = ""
) -> TimelineRow:
    """What happened at once."""
    return TimelineRow(
        task_id=task_id,
        kind=kind,
        name=name,
        line=line,
        status="Completed",
        scheduled=at,
        ended=at,
        instance_id=instance_id,
    )


def _attempt_json(attempt: EndedAttempt) -> JSON:
    return _given(
        number=attempt.number,
        startedTime=None if attempt.started is None else from_epoch(attempt.started),
        ms=attempt.ms,
        host=attempt.host,
        errorType=attempt.error,
        message=attempt.message,
    )


def _given(**fields: JSON) -> dict[str, JSON]:
    """The fields that have a value, times as text."""
    return {
        name: iso(value) if isinstance(value, datetime) else value
        for name, value in fields.items()
        if value is not None and (value != "" or name == "name")
    }
