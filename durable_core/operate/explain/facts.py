"""What is stored about one instance, read once, in the form in which the causes ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, get_args

from ...engine.events import (
    CancelRequested,
    EntityCalled,
    EventRaised,
    ExecutionCompleted,
    ExecutionSuspended,
    Incoming,
    LockRequested,
    Segment,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskScheduled,
    TimerCanceled,
    TimerCreated,
)
from ...errors import CodecError, DamagedRowError, NewerFormatError
from ...hub.child_ids import child_id_of, link_of
from ...hub.inbox import InboxRow
from ...hub.instance_row import Instance
from ...hub.instances import while_it_moves
from ...hub.taskhub import TaskHub
from ...hub.waits import waits_in
from ...lazy_dataclass import dataclass
from ...models import ParentLink, Wait
from ..call_index import Call, CallIndex, End, EndEvent
from .code_here import CodeHere, Replayed

UNREADABLE = (CodecError, DamagedRowError, NewerFormatError)
"""The errors of rows that this host cannot read, and another one perhaps."""

_INCOMING = get_args(Incoming)


@dataclass(slots=True)
class History:
    """The events of this generation that the causes ask for. Times are those of the commits."""

    index: CallIndex = field(default_factory=CallIndex)
    came: list[tuple[EventRaised, datetime]] = field(default_factory=list["tuple[EventRaised, datetime]"])
    suspended: tuple[ExecutionSuspended, datetime] | None = None
    held: list[Any] = field(default_factory=list[Any])
    cancelled: tuple[CancelRequested, datetime] | None = None
    last: tuple[Incoming, datetime] | None = None
    completed: ExecutionCompleted | None = None

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> History:
        found = cls(CallIndex.of(segments))
        for segment in segments:
            for event in segment.events:
                found._add(event, segment)
        return found

    @property
    def calls(self) -> dict[int, Call]:
        """The calls by task, in the order in which they were made."""
        return self.index.calls

    @property
    def ends(self) -> dict[int, End]:
        """The ends of calls and steps, by task."""
        return self.index.ends

    def _add(self, event: Any, segment: Segment) -> None:
        at = segment.timestamp
        if isinstance(event, _INCOMING):
            self.last = event, at
        match event:
            case EventRaised():
                self.came.append((event, at))
                self.held.append(event)
            case ExecutionSuspended():
                self.suspended = event, at
                self.held = []
            case CancelRequested():
                self.cancelled = self.cancelled or (event, at)
                self.held.append(event)
            case ExecutionCompleted():
                self.completed = event
            case _ if isinstance(event, EndEvent) and not isinstance(event, TimerCanceled):
                self.held.append(event)
            case _:
                pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One instance as it is stored, at the time ``now``.

    history: empty if ``problem`` says why this host cannot read it. waits: what the code waits for, None if that was
    not recorded. replayed: what the code shows, None without code.
    """

    hub: TaskHub
    now: datetime
    instance: Instance
    inbox: Sequence[InboxRow] = ()
    history: History = field(default_factory=History)
    waits: tuple[Wait, ...] | None = None
    problem: str = ""
    code: CodeHere | None = None
    replayed: Replayed | None = None

    @property
    def id(self) -> str:
        return self.instance.instance_id

    def child_id(self, call: SubOrchestrationCreated) -> str:
        """The id of the sub-orchestration of this call, in its latest attempt that was due."""
        return child_id_of(self.instance, self.link(call), call.instance_id)

    def link(self, call: SubOrchestrationCreated) -> ParentLink:
        """By what the sub-orchestration of this call knows its parent."""
        state = self.instance.retries.get(call.task_id)
        attempt = 1 if state is None else state.attempt if state.next_try <= self.now else state.attempt - 1
        end = self.history.ends.get(call.task_id)
        if end is not None and isinstance(end.event, SubOrchestrationCompleted | SubOrchestrationFailed):
            attempt = end.event.attempt
        return link_of(self.instance, call.task_id, attempt)


async def read_facts(hub: TaskHub, instance_id: str, now: datetime, code: CodeHere | None) -> Facts | None:
    """What is stored about an instance; None if it has no row. StorageError.

    One read of its row with the inbox, and one of its chunk rows if it has some; one more for each commit that is so
    large that it lies in rows of its own. With code one more for a large input.
    """

    async def read() -> Facts | None:
        loaded = await hub.instances.load(instance_id)
        instance = loaded.instance
        if instance is None:
            return None
        runs_code = code is not None and not instance.is_terminal and not instance.is_unstarted and code.has(instance)
        try:
            # Without code nobody asks for the input, which may lie in rows of its own.
            segments = await hub.instances.history(instance if runs_code else instance.but(input="null"))
            waits = None
            if instance.waits and not instance.is_terminal:
                waits = waits_in(hub.instances.waits(instance), instance)
            replayed = await code.replay(instance, segments) if runs_code and code is not None else None
        except UNREADABLE as error:
            return Facts(hub=hub, now=now, instance=instance, inbox=loaded.inbox, problem=str(error), code=code)
        return Facts(
            hub=hub,
            now=now,
            instance=instance,
            inbox=[row for row in loaded.inbox if row.execution_id == instance.execution_id],
            history=History.of(segments),
            waits=waits,
            code=code,
            replayed=replayed,
        )

    return await while_it_moves(read)


def known_waits(facts: Facts) -> tuple[Wait, ...]:
    """What the code waits for: as the row says, else as a replay shows, else every call that has not ended."""
    if facts.waits is not None:
        return facts.waits
    if facts.replayed is not None and not facts.replayed.problem:
        return facts.replayed.waits
    return tuple(_wait_of(call) for call in facts.history.index.open_calls[:8])


def _wait_of(call: Call) -> Wait:
    match call.event:
        case TimerCreated(task_id=task_id, fire_at=due, line=line):
            return Wait("timer", "", line, task_id, call.since, due)
        case SubOrchestrationCreated(task_id=task_id, name=name, line=line):
            return Wait("child", name, line, task_id, call.since)
        case TaskScheduled(task_id=task_id, name=name, line=line):
            return Wait("activity", name, line, task_id, call.since)
        case EntityCalled(task_id=task_id, line=line):
            return Wait("entity", call.name, line, task_id, call.since)
        case LockRequested(task_id=task_id, line=line):
            return Wait("lock", call.name, line, task_id, call.since)
