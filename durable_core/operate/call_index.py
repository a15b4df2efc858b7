"""The calls of a generation and their ends, by the number of the task: what every read model looks up in a history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from datetime import datetime
from typing import NamedTuple, TypeAlias, cast

from ..engine.events import (
    Called,
    EntityCalled,
    Event,
    ExecutionRewound,
    LockGranted,
    LockRequested,
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
    UpdateAccepted,
    UpdateEnded,
)
from ..lazy_dataclass import dataclass
from ..moments import after

EndEvent: TypeAlias = (
    TaskCompleted
    | TaskFailed
    | SubOrchestrationCompleted
    | SubOrchestrationFailed
    | StepCompleted
    | TimerFired
    | TimerCanceled
    | OperationAnswered
    | LockGranted
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call in the history. since: the time of its commit, whose number is ``seq``. A timer fires when the last rewind
    has moved it to."""

    event: Called
    since: datetime
    seq: int

    @property
    def name(self) -> str:
        match self.event:
            case TaskScheduled(name=name) | SubOrchestrationCreated(name=name):
                return name
            case EntityCalled(entity=entity, operation=operation):
                return f"{entity} {operation}"
            case LockRequested(entities=entities):
                return ", ".join(cast("list[str]", entities))
            case TimerCreated():
                return ""


class End(NamedTuple):
    """The end of a call or a step, and the time of its commit."""

    event: EndEvent
    at: datetime


class Update(NamedTuple):
    """An accepted update, and the time of its commit; its end, and the time of that, None if it is under way."""

    event: UpdateAccepted
    since: datetime
    end: UpdateEnded | None = None
    at: datetime | None = None


@dataclass(slots=True)
class CallIndex:
    """calls: by task, in the order in which they were made. ends: also those of steps, which have no call. updates: by
    id, in the order in which they were accepted."""

    calls: dict[int, Call] = field(default_factory=dict[int, Call])
    ends: dict[int, End] = field(default_factory=dict[int, End])
    updates: dict[str, Update] = field(default_factory=dict[str, Update])

    @classmethod
    def of(cls, segments: Iterable[Segment]) -> CallIndex:
        found = cls()
        for segment in segments:
            for event in segment.events:
                found._add(event, segment)
        return found

    @property
    def open_calls(self) -> list[Call]:
        """The calls that have not ended, in the order in which they were made."""
        return [call for task_id, call in self.calls.items() if task_id not in self.ends]

    @property
    def open_updates(self) -> list[Update]:
        """The updates whose handlers have not ended, in the order in which they were accepted."""
        return [update for update in self.updates.values() if update.end is None]

    def _add(self, event: Event, segment: Segment) -> None:
        match event:
            case TaskScheduled() | TimerCreated() | SubOrchestrationCreated() | EntityCalled() | LockRequested():
                self.calls[event.task_id] = Call(event, segment.timestamp, segment.seq)
            case UpdateAccepted():
                self.updates[event.update_id] = Update(event, segment.timestamp)
            case UpdateEnded() if (update := self.updates.get(event.update_id)) is not None:
                self.updates[event.update_id] = update._replace(end=event, at=segment.timestamp)
            case ExecutionRewound():
                self._move_timers(event.shift)
            case _ if isinstance(event, EndEvent):
                self.ends[event.task_id] = End(event, segment.timestamp)
            case _:
                pass

    def _move_timers(self, seconds: float) -> None:
        """A rewind moves the timers that are open."""
        for call in self.open_calls:
            if isinstance(call.event, TimerCreated):
                moved = replace(call.event, fire_at=after(call.event.fire_at, seconds))
                self.calls[moved.task_id] = replace(call, event=moved)
