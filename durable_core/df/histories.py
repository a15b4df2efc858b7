"""The history as an orchestrator of Durable Functions sees it in ``context.histories``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum
from typing import Any

from ..engine.events import Event, ExecutionCompleted, Segment
from ..models import FailureDetails


class HistoryEventType(IntEnum):
    """The types of events, with the numbers of Durable Functions."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_FAILED = 2
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_INSTANCE_CREATED = 7
    SUB_ORCHESTRATION_INSTANCE_COMPLETED = 8
    SUB_ORCHESTRATION_INSTANCE_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    CONTINUE_AS_NEW = 16
    GENERIC_EVENT = 17
    HISTORY_STATE = 18
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


_TYPES = {
    "ExecutionStarted": HistoryEventType.EXECUTION_STARTED,
    "ExecutionTerminated": HistoryEventType.EXECUTION_TERMINATED,
    "ExecutionSuspended": HistoryEventType.EXECUTION_SUSPENDED,
    "ExecutionResumed": HistoryEventType.EXECUTION_RESUMED,
    "TaskScheduled": HistoryEventType.TASK_SCHEDULED,
    "TaskCompleted": HistoryEventType.TASK_COMPLETED,
    "TaskFailed": HistoryEventType.TASK_FAILED,
    "SubOrchestrationCreated": HistoryEventType.SUB_ORCHESTRATION_INSTANCE_CREATED,
    "SubOrchestrationCompleted": HistoryEventType.SUB_ORCHESTRATION_INSTANCE_COMPLETED,
    "SubOrchestrationFailed": HistoryEventType.SUB_ORCHESTRATION_INSTANCE_FAILED,
    "TimerCreated": HistoryEventType.TIMER_CREATED,
    "TimerFired": HistoryEventType.TIMER_FIRED,
    "EventSent": HistoryEventType.EVENT_SENT,
    "EventRaised": HistoryEventType.EVENT_RAISED,
    "ContinueAsNew": HistoryEventType.CONTINUE_AS_NEW,
}
_CALLS = frozenset({"TaskScheduled", "SubOrchestrationCreated", "TimerCreated", "EventSent"})


class HistoryEvent:
    """An event. Attributes of one type of event are None in others.

    is_played: whether the event is in the committed history, which is so for all events of ``context.histories``.
    """

    def __init__(self, event_type: HistoryEventType, event_id: int, timestamp: datetime, **attributes: Any) -> None:
        self.event_type, self.event_id, self.timestamp = event_type, event_id, timestamp
        self.is_played = self.is_processed = True
        self.Name: str | None = None
        self.InstanceId: str | None = None
        self.TaskScheduledId: int | None = None
        self.Reason: str | None = None
        self.Details: str | None = None
        self.Input: Any = None
        self.Result: Any = None
        self.__dict__.update(attributes)


def history_of(segments: Iterable[Segment]) -> list[HistoryEvent]:
    """The events of committed segments. Events that Durable Functions does not know are generic ones."""
    found: list[HistoryEvent] = []
    for segment in segments:
        at = segment.timestamp
        found.append(HistoryEvent(HistoryEventType.ORCHESTRATOR_STARTED, -1, at))
        found.extend(_event(event, at) for event in segment.events)
        found.append(HistoryEvent(HistoryEventType.ORCHESTRATOR_COMPLETED, -1, at))
    return found


def _event(event: Event, at: datetime) -> HistoryEvent:
    kind = type(event).__name__
    task_id: int | None = getattr(event, "task_id", None)
    failure: FailureDetails | None = getattr(event, "failure", None)
    if isinstance(event, ExecutionCompleted):
        of = HistoryEventType.EXECUTION_COMPLETED if failure is None else HistoryEventType.EXECUTION_FAILED
    else:
        of = _TYPES.get(kind, HistoryEventType.GENERIC_EVENT)
    is_call = kind in _CALLS
    return HistoryEvent(
        of,
        task_id if is_call and task_id is not None else -1,
        at,
        Name=getattr(event, "name", None),
        InstanceId=getattr(event, "instance_id", None),
        TaskScheduledId=None if is_call else task_id,
        Reason=getattr(event, "reason", None) if failure is None else failure.message,
        Details=None if failure is None else failure.stack_trace,
        Input=getattr(event, "data", None) if kind in ("EventRaised", "EventSent") else getattr(event, "input", None),
        Result=getattr(event, "result", None),
    )
