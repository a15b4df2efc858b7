"""The timeline of an instance: each call with queue time, run time and attempts, and what is under way now.

Made from storage alone: the instance row, the history of the generation, and the heartbeat rows. No code of the app is
run. Inline steps (``ctx.run``) are in no event before their end; until then they are known by what the code waits for,
and by their failed attempts.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias

from ..engine.events import (
    CancelRequested,
    Event,
    EventRaised,
    EventSent,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    ExecutionTimedOut,
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
from ..hub.attempts import EndedAttempt, KeptAttempts, attempts_in, span_of
from ..hub.child_ids import child_id_of, link_of
from ..hub.heartbeats import RunningAttempt
from ..hub.instance_row import Instance
from ..hub.instances import MOVED_TRIES, HistoryMovedError
from ..hub.past_generations import PastGeneration
from ..hub.payloads import PayloadGoneError
from ..hub.taskhub import TaskHub
from ..hub.times import iso
from ..hub.waits import waits_in
from ..models import JSON, FailureDetails, RuntimeStatus, Wait
from ..moments import after, from_epoch

RowKind = Literal["activity", "step", "timer", "child", "event", "detached", "request"]
RowStatus = Literal["Scheduled", "Running", "Retrying", "Waiting", "Completed", "Failed", "Canceled"]

_REQUESTS: Mapping[type, str] = {
    ExecutionSuspended: "suspend",
    ExecutionResumed: "resume",
    ExecutionTerminated: "terminate",
    CancelRequested: "cancel",
    ExecutionTimedOut: "timeout",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineRow:
    """One call, event or request.

    task_id: the number of the call; None for what came from outside. name: of the activity, step, orchestrator or
        event, or what a request asks for. line: the ``file:line`` of the call; '' if it is not known.
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

    One read of its row, one of its chunk rows if it has some, one of heartbeat rows if an activity is open.
    NewerFormatError, DamagedRowError, CodecError, StorageError.
    """
    tries = 0
    while True:
        tries += 1
        instance = await hub.instances.read(instance_id)
        if instance is None:
            return None
        try:
            segments = await hub.instances.history(instance)
        except (HistoryMovedError, PayloadGoneError):  # it moved on, or was purged, while it was read
            if tries > MOVED_TRIES:
                raise
            continue
        running: Mapping[int, RunningAttempt] = {}
        kept = KeptAttempts(instance.tries, hub.payloads.encoding)
        waits = () if instance.is_terminal else waits_in(hub.instances.waits(instance))
        builder = _Builder(instance, segments)
        if builder.has_open_activity:
            running = await hub.heartbeats.running(instance_id, instance.execution_id, instance.generation)
        return Timeline(
            instance_id=instance_id,
            name=instance.name,
            runtime_status=instance.status,
            created=instance.created,
            ended=instance.updated if instance.is_terminal else None,
            now=now,
            rows=builder.rows(_OpenTasks(instance, kept, running, waits, now)),
            generations=instance.past,
        )


_Call: TypeAlias = TaskScheduled | TimerCreated | SubOrchestrationCreated


class _Builder:
    """Collects the rows of one generation, in the order of its events."""

    def __init__(self, instance: Instance, segments: Sequence[Segment]) -> None:
        self._instance = instance
        self._rows: list[TimelineRow | int] = []  # a number: the call whose row is made at the end
        self._calls: dict[int, tuple[_Call, datetime]] = {}
        self._ended: dict[int, TimelineRow] = {}
        for segment in segments:
            for event in segment.events:
                self._add(event, segment.timestamp)

    @property
    def has_open_activity(self) -> bool:
        """Whether an activity may be running."""
        open_calls = self._calls.keys() - self._ended.keys()
        return not self._instance.is_terminal and any(
            isinstance(self._calls[task_id][0], TaskScheduled) for task_id in open_calls
        )

    def rows(self, open_tasks: _OpenTasks) -> tuple[TimelineRow, ...]:
        """All rows; those of open calls as things are now."""
        made: list[TimelineRow] = []
        for row in self._rows:
            if isinstance(row, int):
                made.append(self._ended[row] if row in self._ended else open_tasks.row_of(*self._calls[row]))
            else:
                made.append(row)
        called = {row.task_id for row in made}
        made.extend(open_tasks.without_event(called))
        return tuple(made)

    # ------------------------------------------------------------------ events

    def _add(self, event: Event, at: datetime) -> None:
        match event:
            case TaskScheduled() | TimerCreated() | SubOrchestrationCreated():
                self._calls[event.task_id] = (event, at)
                self._rows.append(event.task_id)
            case TaskCompleted() | TaskFailed():
                self._end_activity(event, at)
            case SubOrchestrationCompleted() | SubOrchestrationFailed():
                self._end_child(event, at)
            case TimerFired() | TimerCanceled():
                self._end_timer(event, at)
            case StepCompleted():
                self._rows.append(_step(event, at))
            case EventRaised():
                self._rows.append(_moment("event", event.name, at))
            case EventSent():
                self._rows.append(_moment("event", event.name, at, event.task_id, event.line, event.instance_id))
            case OrchestrationStarted():
                self._rows.append(_moment("detached", event.name, at, event.task_id, event.line, event.instance_id))
            case RequestSent():
                self._rows.append(_moment("request", event.kind, at, event.child))
            case ExecutionRewound():
                self._rows.append(_moment("request", "rewind", at))
                self._move_timers(event.shift)
            case (
                ExecutionSuspended()
                | ExecutionResumed()
                | ExecutionTerminated()
                | CancelRequested()
                | ExecutionTimedOut()
            ):
                self._rows.append(_moment("request", _REQUESTS[type(event)], at))
            case _:
                pass

    def _move_timers(self, seconds: float) -> None:
        """A rewind moves the timers that are open."""
        for task_id, (call, at) in self._calls.items():
            if isinstance(call, TimerCreated) and task_id not in self._ended:
                self._calls[task_id] = (replace(call, fire_at=after(call.fire_at, seconds)), at)

    def _end_activity(self, event: TaskCompleted | TaskFailed, at: datetime) -> None:
        call, called = self._calls.get(event.task_id, (None, at))
        if not isinstance(call, TaskScheduled):
            return  # damaged
        span = span_of(event.timing, event.tries, called, at)
        self._ended[event.task_id] = TimelineRow(
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

    def _end_child(self, event: SubOrchestrationCompleted | SubOrchestrationFailed, at: datetime) -> None:
        call, called = self._calls.get(event.task_id, (None, at))
        if not isinstance(call, SubOrchestrationCreated):
            return  # damaged
        self._ended[event.task_id] = TimelineRow(
            task_id=event.task_id,
            kind="child",
            name=call.name,
            line=call.line,
            status="Completed" if isinstance(event, SubOrchestrationCompleted) else "Failed",
            scheduled=called,
            ended=at,
            attempts=attempts_in(event.tries),
            instance_id=_child_id(self._instance, call, event.attempt),
            failure=None if isinstance(event, SubOrchestrationCompleted) else event.failure,
        )

    def _end_timer(self, event: TimerFired | TimerCanceled, at: datetime) -> None:
        call, called = self._calls.get(event.task_id, (None, at))
        if not isinstance(call, TimerCreated):
            return  # damaged
        self._ended[event.task_id] = TimelineRow(
            task_id=event.task_id,
            kind="timer",
            name="",
            line=call.line,
            status="Completed" if isinstance(event, TimerFired) else "Canceled",
            scheduled=called,
            ended=at,
            due=call.fire_at,
        )


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

    def row_of(self, call: _Call, at: datetime) -> TimelineRow:
        """The row of a call made at this time."""
        instance = self._instance
        if isinstance(call, TimerCreated):
            return TimelineRow(
                task_id=call.task_id,
                kind="timer",
                name="",
                line=call.line,
                status="Canceled" if instance.is_terminal else "Waiting",
                scheduled=at,
                due=call.fire_at,
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
            kind="activity" if isinstance(call, TaskScheduled) else "child",
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
