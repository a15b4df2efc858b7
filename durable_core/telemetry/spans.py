"""The spans of an app: starts, orchestrations, calls, attempts, timers, events and turns, with the names of the Durable
Task Framework. docs/operating.md lists them.

A span is emitted after the commit that ends what it is about, by the host that made the commit. The span of an
attempt is started when the attempt begins, because the user's code makes spans below it, and ended when its outcome is
durable: an attempt whose host dies has no span, and the host that repeats it emits one with the same id.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from ..engine.events import (
    ContinueAsNew,
    EntityCalled,
    EventSent,
    ExecutionCompleted,
    LockGranted,
    LockRequested,
    OperationAnswered,
    OrchestrationStarted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from ..engine.executor import PendingTask
from ..entities import EntityId
from ..hub.instance_row import Instance
from ..hub.messages import TaskOutcome
from ..models import JSON, FailureDetails, RuntimeStatus
from ..runtime.clock import Clock, SystemClock
from ..runtime.host_identity import HostIdentity
from ..runtime.observer import AttemptInfo, Committed, Observer, RunningAttempt
from ..trace_context import SAMPLED, TraceParent, caller_trace, read_trace
from . import span_ids
from .sdk import SpanTracer

KNOWN = 10_000
"""Executions whose trace is remembered, and ended attempts whose outcome is awaited."""

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

logger = logging.getLogger("durable_core.telemetry")


class _Place(NamedTuple):
    """An execution in its trace. ``parent``: the span that has started it; None: it begins the trace."""

    execution_id: str
    trace_id: int
    flags: int
    parent: TraceParent | None
    rewinds: int

    def at(self, span_id: int) -> TraceParent:
        return TraceParent(self.trace_id, span_id, self.flags)

    def orchestration(self, generation: int) -> TraceParent:
        return self.at(span_ids.orchestration_id(self.execution_id, generation, self.rewinds))

    def call(self, generation: int, task_id: int) -> TraceParent:
        return self.at(span_ids.call_id(self.execution_id, generation, task_id, self.rewinds))


class Spans(Observer):
    """Emits the spans of what the runtime does. Never raises: a broken sampler or processor must stop no instance."""

    is_on = True
    follows = True

    def __init__(self, tracer: SpanTracer, host: HostIdentity, clock: Clock | None = None) -> None:
        self._tracer = tracer
        self._host = host
        self._clock = clock or SystemClock()
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._ended: OrderedDict[tuple[str, int, int, int], tuple[Any, datetime]] = OrderedDict()
        self._emitted: OrderedDict[tuple[str, int, int, int], None] = OrderedDict()
        self._has_failed = False

    # ------------------------------------------------------------ starts and events

    def trace_of_start(self, fresh: Instance) -> str:
        parent = self._caller()
        trace_id = span_ids.trace_id(fresh.execution_id) if parent is None else parent.trace_id
        name = f"create_orchestration:{fresh.name}"
        flags = SAMPLED if self._safely(lambda: self._tracer.is_sampled(name, trace_id, parent), True) else 0
        return str(TraceParent(trace_id, span_ids.start_id(fresh.execution_id), flags))

    def trace_of_origin(self, source: Instance) -> str:
        return str(self._place(source).orchestration(source.generation))

    def started(self, instance: Instance) -> None:
        position = read_trace(instance.trace)
        if position is None or position.span_id != span_ids.start_id(instance.execution_id):
            return
        attributes = self._attributes("orchestration", instance.name, instance)
        name = f"create_orchestration:{instance.name}"
        self._emit(name, "PRODUCER", position, self._caller(), instance.created, self._clock.now(), attributes)

    def trace_of_call(self, caller: Instance, generation: int, task_id: int) -> str:
        return str(self._place(caller).call(generation, task_id))

    def trace_of_event(self, target: Instance, event_id: str) -> str:
        return str(self._of_event(target, event_id)[0])

    def event_raised(self, target: Instance, name: str, event_id: str) -> None:
        position, parent = self._of_event(target, event_id)
        now = self._clock.now()
        attributes = self._attributes("event", name, target)
        attributes["durabletask.event.target_instance_id"] = target.instance_id
        self._emit(f"orchestration_event:{name}", "PRODUCER", position, parent, now, now, attributes)

    def _of_event(self, target: Instance, event_id: str) -> tuple[TraceParent, TraceParent]:
        """A client's event and what it is below: the caller's span, or the orchestration where there is none."""
        place = self._place(target)
        parent = self._caller() or place.orchestration(target.generation)
        span_id = span_ids.event_id(target.execution_id, event_id)
        return TraceParent(parent.trace_id, span_id, parent.flags), parent

    # ------------------------------------------------------------ turns

    def committed(self, committed: Committed, begun: datetime | None, commit_seconds: float | None) -> None:
        instance, turn, at = committed.before, committed.turn, committed.at
        place, generation = self._place(instance), instance.generation
        parent = place.orchestration(generation)
        if begun is not None:
            attributes = self._attributes("turn", instance.name, instance, generation)
            attributes["durable.events"] = len(turn.recorded) + len(turn.outgoing)
            if commit_seconds is not None:
                attributes["durable.commit.ms"] = round(commit_seconds * 1000, 3)
            senders = [sender for each in committed.senders if (sender := read_trace(each)) is not None]
            position = place.at(span_ids.turn_id(instance.execution_id, committed.commit_id))
            self._emit("turn", "INTERNAL", position, parent, begun, self._clock.now(), attributes, tuple(senders))
        for event in turn.recorded:
            match event:
                case TaskCompleted():
                    self._call_ended(committed, place, event.task_id, None, event.timing)
                case TaskFailed():
                    self._call_ended(committed, place, event.task_id, event.failure, event.timing)
                case SubOrchestrationCompleted() | TimerFired() | LockGranted():
                    self._call_ended(committed, place, event.task_id, None)
                case SubOrchestrationFailed() | OperationAnswered():
                    self._call_ended(committed, place, event.task_id, event.failure)
                case _:
                    pass
        for event in turn.outgoing:
            match event:
                case EventSent():
                    attributes = self._attributes("event", event.name, instance, generation, event.task_id, event.line)
                    attributes["durabletask.event.target_instance_id"] = event.instance_id
                    name = f"orchestration_event:{event.name}"
                case OrchestrationStarted():
                    attributes = self._attributes(
                        "orchestration", event.name, instance, generation, event.task_id, event.line
                    )
                    name = f"create_orchestration:{event.name}"
                case _:
                    continue
            self._emit(name, "PRODUCER", place.call(generation, event.task_id), parent, at, at, attributes)
        for task_id, pending in committed.abandoned.items():
            if not isinstance(pending.event, TimerCreated):  # a timer has nothing below it
                self._call(place, instance, task_id, pending, at, RuntimeStatus.CANCELED, None)
        if committed.completion is not None:
            self._generation_ended(committed, place)

    def _call_ended(
        self,
        committed: Committed,
        place: _Place,
        task_id: int,
        failure: FailureDetails | None,
        timing: JSON = None,
    ) -> None:
        pending = committed.called.get(task_id)
        if pending is not None:
            status = RuntimeStatus.COMPLETED if failure is None else RuntimeStatus.FAILED
            self._call(place, committed.before, task_id, pending, committed.at, status, failure, timing)

    def _call(
        self,
        place: _Place,
        instance: Instance,
        task_id: int,
        pending: PendingTask,
        end: datetime,
        status: RuntimeStatus,
        failure: FailureDetails | None,
        timing: JSON = None,
    ) -> None:
        generation, event = instance.generation, pending.event
        match event:
            case TaskScheduled():
                name, kind = f"activity:{event.name}", "CLIENT"
                attributes = self._attributes("activity", event.name, instance, generation, task_id, event.line)
            case SubOrchestrationCreated():
                name, kind = f"orchestration:{event.name}", "CLIENT"
                attributes = self._attributes("orchestration", event.name, instance, generation, task_id, event.line)
            case TimerCreated():
                name, kind = f"orchestration:{instance.name}:timer", "INTERNAL"
                attributes = self._attributes("timer", instance.name, instance, generation, task_id, event.line)
                attributes["durabletask.fire_at"] = event.fire_at.isoformat()
                attributes["durable.timer.lateness"] = max((end - event.fire_at).total_seconds(), 0.0)
            case EntityCalled():
                entity = EntityId.parse(event.entity).name
                name, kind = f"entity:{entity}", "CLIENT"
                attributes = self._attributes("entity", entity, instance, generation, task_id, event.line)
                attributes["durabletask.entity.operation"] = event.operation
                attributes["durabletask.event.target_instance_id"] = event.entity
            case LockRequested():
                name, kind = f"orchestration:{instance.name}:lock", "INTERNAL"
                attributes = self._attributes("lock", instance.name, instance, generation, task_id, event.line)
        if timing is not None:  # of the last attempt: milliseconds that it waited, and ran
            attributes["durable.queue.time"] = timing[0] / 1000
        attributes["durabletask.task.status"] = status.value
        parent, position = place.orchestration(generation), place.call(generation, task_id)
        self._emit(name, kind, position, parent, pending.since, end, attributes, failure=failure)

    def _generation_ended(self, committed: Committed, place: _Place) -> None:
        instance, generation = committed.before, committed.before.generation
        attributes = self._attributes("orchestration", instance.name, instance, generation)
        match committed.completion:
            case ContinueAsNew():
                attributes["durabletask.task.status"] = RuntimeStatus.CONTINUED_AS_NEW.value
            case ExecutionCompleted(line=line):
                attributes["durabletask.task.status"] = committed.after.status.value
                if line:
                    attributes["durable.line"] = line
            case _:
                attributes["durabletask.task.status"] = committed.after.status.value
        if generation == 0:
            attributes["durable.queue.time"] = max((committed.begun - instance.created).total_seconds(), 0.0)
        attributes["durable.build"] = committed.after.build
        attributes["faas.trigger"] = "pubsub"
        links = self._links(committed.before, place)
        self._emit(
            f"orchestration:{instance.name}",
            "SERVER",
            place.orchestration(generation),
            place.parent,
            max(committed.begun, instance.created) if instance.forked_from else committed.begun,
            committed.at,
            attributes,
            links,
            committed.failure,
        )

    def _links(self, instance: Instance, place: _Place) -> tuple[TraceParent, ...]:
        """What a generation follows: the one before it, its end before a rewind, or what it is a restart or fork of."""
        origin = read_trace(instance.origin_trace)
        if origin is not None and instance.generation == 0 and (instance.forked_from or not place.rewinds):
            return (origin,)
        if place.rewinds and not instance.forked_from:
            return (place._replace(rewinds=place.rewinds - 1).orchestration(instance.generation),)
        return (place.orchestration(instance.generation - 1),) if instance.generation else ()

    # ------------------------------------------------------------ attempts

    def knows(self, execution_id: str) -> bool:
        return execution_id in self._places

    def met(self, instance: Instance) -> None:
        self._place(instance)

    def begin(self, attempt: AttemptInfo) -> RunningAttempt:
        place = self._places.get(attempt.execution_id)
        if place is None:  # purged meanwhile
            return RunningAttempt()
        key = (attempt.execution_id, attempt.generation, attempt.task_id, attempt.attempt)
        position = place.at(span_ids.attempt_id(*key))
        attributes: dict[str, Any] = {
            "durabletask.type": "step" if attempt.is_step else "activity",
            "durabletask.task.name": attempt.name,
            "durabletask.task.instance_id": attempt.instance_id,
            "durabletask.task.execution_id": attempt.execution_id,
            "durabletask.task.task_id": attempt.task_id,
            "durable.generation": attempt.generation,
            "durable.attempt": attempt.attempt,
            "durable.inline": attempt.is_inline,
            "durable.host": self._host.name,
        }
        if attempt.line:
            attributes["durable.line"] = attempt.line
        if attempt.is_step:
            name, kind, parent = f"step:{attempt.name}", "INTERNAL", place.orchestration(attempt.generation)
        else:
            attributes["faas.trigger"] = "pubsub"
            name, kind, parent = f"activity:{attempt.name}", "SERVER", place.call(attempt.generation, attempt.task_id)
        start = _nanoseconds(self._clock.now())
        span = self._safely(lambda: self._tracer.start(name, kind, position, parent, start, attributes), None)
        return RunningAttempt() if span is None else _FollowedAttempt(self, key, span)

    def ended(self, key: tuple[str, int, int, int], span: Any, outcome: TaskOutcome) -> None:
        """An attempt has ended; its span is emitted once the outcome is durable."""
        status = RuntimeStatus.COMPLETED if outcome.failure is None else RuntimeStatus.FAILED
        self._safely(lambda: span.set_attribute("durabletask.task.status", status.value), None)
        if (failure := outcome.failure) is not None:
            self._safely(lambda: self._tracer.fail(span, failure.type, failure.message, failure.stack_trace), None)
        self._ended[key] = span, self._clock.now()
        if len(self._ended) > KNOWN:  # outcomes that were never delivered: their messages come again
            self._ended.popitem(last=False)

    def delivered(self, execution_id: str, outcomes: Iterable[TaskOutcome]) -> None:
        for outcome in outcomes:
            key = (execution_id, outcome.generation, outcome.task_id, outcome.attempt)
            found = self._ended.pop(key, None)
            if found is not None and key not in self._emitted:  # a message that came twice made the attempt run twice
                self._emitted[key] = None
                if len(self._emitted) > KNOWN:
                    self._emitted.popitem(last=False)
                span, end = found
                self._safely(lambda span=span, end=end: span.end(_nanoseconds(end)), None)

    def within(self, span: Any) -> AbstractContextManager[object]:
        return self._safely(lambda: self._tracer.within(span), nullcontext())

    # ------------------------------------------------------------ parts

    def _caller(self) -> TraceParent | None:
        """The span of the code that calls, or the one that an HTTP request has named."""
        return self._safely(self._tracer.current, None) or read_trace(caller_trace.get())

    def _place(self, instance: Instance) -> _Place:
        place = self._places.get(instance.execution_id)
        if place is not None and place.rewinds >= instance.rewinds:
            return place
        parent = read_trace(instance.trace)
        if parent is not None:
            trace_id, flags = parent.trace_id, parent.flags
        else:
            trace_id = span_ids.trace_id(instance.execution_id)
            name = f"orchestration:{instance.name}"
            flags = SAMPLED if self._safely(lambda: self._tracer.is_sampled(name, trace_id, None), True) else 0
        place = _Place(instance.execution_id, trace_id, flags, parent, instance.rewinds)
        self._places[instance.execution_id] = place
        if len(self._places) > KNOWN:
            self._places.popitem(last=False)
        return place

    def _attributes(
        self, kind: str, name: str, instance: Instance, generation: int | None = None, task_id: int = 0, line: str = ""
    ) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "durabletask.type": kind,
            "durabletask.task.name": name,
            "durabletask.task.version": instance.version,
            "durabletask.task.instance_id": instance.instance_id,
            "durabletask.task.execution_id": instance.execution_id,
            "durable.host": self._host.name,
        }
        if generation is not None:
            attributes["durable.generation"] = generation
        if task_id:
            attributes["durabletask.task.task_id"] = task_id
        if line:
            attributes["durable.line"] = line
        if instance.stuck:
            attributes["durable.stuck.reason"] = instance.stuck[:500]
        return attributes

    def _emit(
        self,
        name: str,
        kind: str,
        position: TraceParent,
        parent: TraceParent | None,
        start: datetime,
        end: datetime,
        attributes: dict[str, Any],
        links: tuple[TraceParent, ...] = (),
        failure: FailureDetails | None = None,
    ) -> None:
        def emit() -> None:
            span = self._tracer.start(name, kind, position, parent, _nanoseconds(start), attributes, links)
            if failure is not None:
                self._tracer.fail(span, failure.type, failure.message)
            span.end(_nanoseconds(max(start, end)))

        self._safely(emit, None)

    def _safely(self, call: Callable[[], T], otherwise: T) -> T:
        """The app's sampler and span processors run in these calls: what they raise stops no turn."""
        try:
            return call()
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                logger.exception("a span is lost, and others perhaps, without further log lines")
            return otherwise


class _FollowedAttempt(RunningAttempt):
    __slots__ = ("_key", "_span", "_spans")

    def __init__(self, spans: Spans, key: tuple[str, int, int, int], span: Any) -> None:
        self._spans, self._key, self._span = spans, key, span

    def around(self) -> AbstractContextManager[object]:
        return self._spans.within(self._span)

    def ended(self, outcome: TaskOutcome, seconds: float) -> None:
        self._spans.ended(self._key, self._span, outcome)


def _nanoseconds(moment: datetime) -> int:
    """Since 1970, exactly: a float has no room for them."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
