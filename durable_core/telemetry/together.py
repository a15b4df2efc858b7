"""Two observers as one: spans and metrics."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from ..hub.instance_row import Instance
from ..hub.messages import ControlMessage, TaskOutcome, WorkMessage
from ..runtime.observer import AttemptInfo, Committed, Observer, RunningAttempt
from ..storage.ports import Storage
from .metrics import Metrics


class Together(Observer):
    """Tells both. The first decides about traces."""

    is_on = True
    follows = True

    def __init__(self, spans: Observer, metrics: Metrics) -> None:
        self._spans, self._metrics, self.counts = spans, metrics, metrics.counts
        self.gauges = metrics.gauges
        self.trace_of_start, self.started = spans.trace_of_start, spans.started
        self.trace_of_origin = spans.trace_of_origin
        self.trace_of_call, self.trace_of_event, self.event_raised = (
            spans.trace_of_call,
            spans.trace_of_event,
            spans.event_raised,
        )
        self.knows, self.met, self.conflicted = spans.knows, spans.met, metrics.conflicted

    def storage(self, storage: Storage) -> Storage:
        return self._metrics.storage(storage)

    def received(self, message: ControlMessage | WorkMessage, dequeue_count: int, inserted_at: datetime | None) -> None:
        self._metrics.received(message, dequeue_count, inserted_at)

    def replayed(self, instance: Instance, events: int, seconds: float) -> None:
        self._metrics.replayed(instance, events, seconds)

    def committed(self, committed: Committed, begun: datetime | None, commit_seconds: float | None) -> None:
        self._metrics.committed(committed, begun, commit_seconds)
        self._spans.committed(committed, begun, commit_seconds)

    def begin(self, attempt: AttemptInfo) -> RunningAttempt:
        return _Both(self._spans.begin(attempt), self._metrics.begin(attempt))

    def delivered(self, execution_id: str, outcomes: Iterable[TaskOutcome]) -> None:
        self._spans.delivered(execution_id, outcomes)


class _Both(RunningAttempt):
    __slots__ = ("_first", "_second")

    def __init__(self, first: RunningAttempt, second: RunningAttempt) -> None:
        self._first, self._second = first, second

    def around(self) -> AbstractContextManager[object]:
        return self._within()

    @contextmanager
    def _within(self) -> Generator[None]:
        with self._first.around(), self._second.around():
            yield

    def ended(self, outcome: TaskOutcome, seconds: float) -> None:
        self._first.ended(outcome, seconds)
        self._second.ended(outcome, seconds)
