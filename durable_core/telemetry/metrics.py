"""Counts what the runtime does: for ``GET /metrics`` of this process, and for a meter of the OpenTelemetry SDK."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, TypeVar

from ..engine.events import ExecutionStarted, TimerCreated, TimerFired
from ..errors import StorageError, StorageUnavailableError
from ..hub.instance_row import Instance
from ..hub.messages import ControlMessage, TaskOutcome, WorkMessage
from ..runtime.clock import Clock, SystemClock
from ..runtime.observer import AttemptInfo, Committed, Observer, RunningAttempt
from ..runtime.turn.retries import is_retry
from ..storage.ports import Queue, Storage, Table
from ..storage.wrapper import AroundQueue, AroundStorage, AroundTable, Call
from . import instruments
from .gauges import Gauges
from .instruments import COUNTED, Instrument

T = TypeVar("T")


class Counts:
    """Of one process. ``values``: count and sum of each metric and labels.

    meter: of the OpenTelemetry SDK, which gets every value as well; None if the app has set none.
    """

    def __init__(self, meter: Any = None) -> None:
        self.values: dict[tuple[Instrument, tuple[str, ...]], tuple[int, float]] = {}
        self._exported: dict[str, Any] = {}
        if meter is None:
            return
        for each in COUNTED:
            make = meter.create_counter if each.kind == "counter" else meter.create_histogram
            self._exported[each.name] = make(each.name, unit=each.unit or "1", description=each.description)

    def add(self, instrument: Instrument, value: float, *labels: str) -> None:
        count, total = self.values.get((instrument, labels), (0, 0.0))
        self.values[instrument, labels] = count + 1, total + value
        exported = self._exported.get(instrument.name)
        if exported is not None:
            attributes = dict(zip(instrument.labels, labels, strict=True))
            if instrument.kind == "counter":
                exported.add(value, attributes)
            else:
                exported.record(value, attributes)


class Metrics(Observer):
    """Counts. No label has an instance id. gauges: those of a meter of the SDK; None if the app has set none."""

    is_on = True

    def __init__(self, counts: Counts, clock: Clock | None = None, gauges: Gauges | None = None) -> None:
        self.counts, self.gauges = counts, gauges
        self._clock = clock or SystemClock()

    def storage(self, storage: Storage) -> Storage:
        return _CountedStorage(storage, self.counts)

    def received(self, message: ControlMessage | WorkMessage, dequeue_count: int, inserted_at: datetime | None) -> None:
        if inserted_at is None or dequeue_count > 1 or message.since is not None:
            return  # its age says nothing of the queue
        age = max((self._clock.now() - inserted_at).total_seconds(), 0.0)
        match message:
            case ControlMessage():
                if not message.reminders:
                    self.counts.add(instruments.MESSAGE_AGE, age, "control")
            case WorkMessage():
                first = [call for call in message.calls if call.attempt == 1]
                if first:
                    self.counts.add(instruments.MESSAGE_AGE, age, "work")
                for call in first:
                    self.counts.add(instruments.QUEUE_TIME, age, call.name)

    def replayed(self, instance: Instance, events: int, seconds: float) -> None:
        self.counts.add(instruments.REPLAY_DURATION, seconds, instance.name)
        self.counts.add(instruments.REPLAY_EVENTS, events, instance.name)

    def conflicted(self) -> None:
        self.counts.add(instruments.CONFLICTS, 1)

    def committed(self, committed: Committed, begun: datetime | None, commit_seconds: float | None) -> None:
        instance, add = committed.before, self.counts.add
        if begun is not None:
            took = max((self._clock.now() - begun).total_seconds(), 0.0)
            add(instruments.TURN_DURATION, took, instance.name)
        if commit_seconds is not None:
            add(instruments.COMMIT_DURATION, commit_seconds)
        for event in committed.turn.recorded:
            match event:
                case ExecutionStarted() if instance.generation == 0:
                    add(instruments.ORCHESTRATIONS_STARTED, 1, instance.name)
                case TimerFired(task_id=task_id):
                    pending = committed.called.get(task_id)
                    if pending is not None and isinstance(pending.event, TimerCreated):
                        late = (committed.at - pending.event.fire_at).total_seconds()
                        add(instruments.TIMER_LATENESS, max(late, 0.0))
                case _:
                    pass
        if committed.after.is_terminal:
            add(instruments.ORCHESTRATIONS_COMPLETED, 1, instance.name, committed.after.status.value)
            took = max((committed.at - instance.created).total_seconds(), 0.0)
            add(instruments.ORCHESTRATION_DURATION, took, instance.name)

    def begin(self, attempt: AttemptInfo) -> RunningAttempt:
        return RunningAttempt() if attempt.is_step else _CountedAttempt(self.counts, attempt)


class _CountedAttempt(RunningAttempt):
    __slots__ = ("_attempt", "_counts")

    def __init__(self, counts: Counts, attempt: AttemptInfo) -> None:
        self._counts, self._attempt = counts, attempt

    def ended(self, outcome: TaskOutcome, seconds: float) -> None:
        name, add = self._attempt.name, self._counts.add
        add(instruments.ATTEMPTS, 1, name, "Completed" if outcome.failure is None else "Failed")
        add(instruments.ATTEMPT_DURATION, seconds, name)
        if is_retry(self._attempt.attempt):
            add(instruments.RETRIES, 1, name)


class _CountedStorage(AroundStorage):
    def __init__(self, inner: Storage, counts: Counts) -> None:
        super().__init__(inner)
        self._counts = counts

    def table(self, name: str) -> Table:
        return _CountedTable(self._inner.table(name), self._counts)

    def queue(self, name: str) -> Queue:
        return _CountedQueue(self._inner.queue(name), self._counts)


class _CountedTable(AroundTable):
    def __init__(self, inner: Table, counts: Counts) -> None:
        super().__init__(inner)
        self._counts = counts

    async def _around(self, call: Call[T]) -> T:
        return await _counted(call, f"table.{call.func.__name__}", self._counts)


class _CountedQueue(AroundQueue):
    def __init__(self, inner: Queue, counts: Counts) -> None:
        super().__init__(inner)
        self._counts = counts

    async def _around(self, call: Call[T]) -> T:
        return await _counted(call, f"queue.{call.func.__name__}", self._counts)


async def _counted(call: Call[T], operation: str, counts: Counts) -> T:
    loop = asyncio.get_running_loop()
    started = loop.time()
    status = "ok"
    try:
        return await call()
    except StorageUnavailableError:
        status = "unavailable"
        counts.add(instruments.STORAGE_RETRIES, 1)
        raise
    except StorageError:
        status = "refused"
        raise
    finally:
        counts.add(instruments.STORAGE_OPERATIONS, 1, operation, status)
        counts.add(instruments.STORAGE_DURATION, loop.time() - started, operation)
