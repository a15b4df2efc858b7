"""The oracle: sees every write to the instances of a hub, whoever made it, and tells what must never have happened.

It stands between the store and all hosts, so it knows what was really written, also when the answer was lost. What it
holds them to are the invariants of docs/guarantees.md that show in what is stored; what activities did to the world
outside, and what came out, its user must compare.

Knows the layout of instance rows and their inbox. May not know how hosts come to their writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from ..engine.events import (
    Event,
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    ExecutionTerminated,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
    from_array,
)
from ..hub.encoding import Encoding
from ..hub.names import HubNames
from ..hub.taskhub import TaskHub
from ..models import RuntimeStatus
from ..storage.ports import Delete, Insert, Merge, Operation, Props, Replace, Storage, Table, Value
from ..storage.wrapper import AroundStorage, AroundTable, Call, TableCall

_END = (TaskCompleted, TaskFailed, TimerFired, SubOrchestrationCompleted, SubOrchestrationFailed)
_SEGMENT = re.compile(r"s(\d+)_0")


class Life(NamedTuple):
    """One generation of one execution of an instance."""

    instance_id: str
    execution_id: str
    generation: int


class Letter(NamedTuple):
    """An inbox row: what it is, the execution it is for, what became of it ('' as long as it lies there)."""

    kind: str
    execution_id: str
    fate: str = ""


@dataclass(slots=True)
class _Row:
    """What an instance row says now."""

    life: Life
    status: RuntimeStatus
    seq: int


@dataclass(slots=True)
class Oracle:
    """``violations``: what it has seen so far and what ``problems`` found, in words.

    lives: of each generation ever, the commits written, by number. letters: every inbox row ever, by instance and key.
    """

    names: HubNames
    encoding: Encoding = field(default_factory=Encoding)
    violations: list[str] = field(default_factory=list[str])
    lives: dict[Life, dict[int, str]] = field(default_factory=dict[Life, dict[int, str]])
    letters: dict[tuple[str, str], Letter] = field(default_factory=dict[tuple[str, str], Letter])
    _rows: dict[str, _Row] = field(default_factory=dict[str, _Row])
    _consumed: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def watch(self, storage: Storage) -> Storage:
        """The storage, as everybody must see it from now on."""
        return WatchedStorage(storage, self.names.instances, self.wrote)

    # ---------------------------------------------------------------- what is seen as it happens

    def wrote(self, instance_id: str, operations: Sequence[Operation]) -> None:
        """These were done, together."""
        instance = next((op for op in operations if op.key == "z"), None)
        for op in operations:
            if op.key.startswith("h") and isinstance(op, Insert):
                self._rolled(instance_id, op)
        before = self._rows.get(instance_id)
        match instance:
            case Insert(props=props) | Replace(props=props):
                self._whole_row(instance_id, props)
            case Merge(props=props):
                self._merged(instance_id, props)
            case Delete():
                del self._rows[instance_id]
            case None:
                pass
        for op in operations:
            if not op.key.startswith("i"):
                continue
            if isinstance(op, Insert):
                self.letters[instance_id, op.key] = Letter(str(op.props["kind"]), str(op.props["for"]))
            elif isinstance(op, Delete):
                is_consumed = instance is not None and not isinstance(instance, Delete)
                self._taken(instance_id, op.key, before if is_consumed else None, is_consumed=is_consumed)

    def _whole_row(self, instance_id: str, props: Props) -> None:
        life = Life(instance_id, str(props["exec"]), int(str(props["gen"])))
        before = self._rows.get(instance_id)
        after = _Row(life, RuntimeStatus(str(props["status"])), int(str(props["seq"])))
        self._rows[instance_id] = after
        self.lives.setdefault(life, {})
        if before is not None and before.life != life and before.life.execution_id == life.execution_id:
            if life.generation != before.life.generation + 1:
                self._say(7, f"generation {life.generation} of '{instance_id}' follows {before.life.generation}")
        elif before is not None and before.life != life and not before.status.is_terminal:
            self._say(1, f"'{instance_id}' was begun anew while it was {before.status}")
        self._segments(life, props, before)

    def _merged(self, instance_id: str, props: Props) -> None:
        row = self._rows[instance_id]
        before = _Row(row.life, row.status, row.seq)
        if "status" in props:
            row.status = RuntimeStatus(str(props["status"]))
        if "seq" in props:
            row.seq = int(str(props["seq"]))
        self._segments(row.life, props, before)

    def _segments(self, life: Life, props: Props, before: _Row | None) -> None:
        for name in props:
            if found := _SEGMENT.fullmatch(name):
                seq = int(found[1])
                is_next = before is None or before.life != life or seq >= before.seq
                self._recorded(life, seq, self._text(f"s{seq}_", props), is_next=is_next)
                if before is not None and before.life == life and before.status.is_terminal:
                    self._say(1, f"commit {seq} of '{life.instance_id}' was written after its end")

    def _rolled(self, instance_id: str, chunk: Insert) -> None:
        execution_id, generation, first = chunk.key[1:].rsplit("-", 2)
        life = Life(instance_id, execution_id, int(generation))
        texts: list[Any] = json.loads(self._text("d", chunk.props))
        for seq, text in enumerate(texts, int(first)):
            self._recorded(life, seq, str(text), is_next=False)

    def _recorded(self, life: Life, seq: int, text: str, *, is_next: bool) -> None:
        commits = self.lives.setdefault(life, {})
        if seq not in commits:
            commits[seq] = text
            if not is_next:
                self._say(1, f"commit {seq} of '{life.instance_id}' is in a chunk or rolled row, but was never written")
        elif is_next or commits[seq] != text:
            self._say(1, f"commit {seq} of '{life.instance_id}' was changed after it was written")

    def _taken(self, instance_id: str, key: str, by: _Row | None, *, is_consumed: bool) -> None:
        letter = self.letters.get((instance_id, key))
        if letter is None:
            return
        row = self._rows.get(instance_id)
        self.letters[instance_id, key] = letter._replace(fate="consumed" if is_consumed else "thrown away")
        if is_consumed and by is not None and by.life.execution_id != letter.execution_id:
            self._say(8, f"{letter.kind} for execution {letter.execution_id} was consumed by {by.life.execution_id}")
        is_live = row is not None and not row.status.is_terminal and row.life.execution_id == letter.execution_id
        if is_consumed:
            self._consumed.add((instance_id, key))
        elif is_live and (instance_id, key) not in self._consumed:  # else it was written again
            self._say(2, f"{letter.kind} for '{instance_id}' was thrown away, and it was running")

    def _text(self, prefix: str, props: Props) -> str:
        pieces: list[Value] = []
        while (piece := props.get(f"{prefix}{len(pieces)}")) is not None:
            pieces.append(piece)
        if isinstance(pieces[0], str):
            return pieces[0]
        return self.encoding.unpack(b"".join(piece for piece in pieces if isinstance(piece, bytes)))

    def _say(self, invariant: int, what: str) -> None:
        self.violations.append(f"invariant {invariant}: {what}")

    # ---------------------------------------------------------------- what is asked at rest

    async def problems(self, hub: TaskHub) -> list[str]:
        """All violations, those included that only show when nothing is under way any more."""
        for life in self.lives:
            self._check_order(life, self.events_of(life))
        for instance_id, row in self._rows.items():
            await self._check_stored(hub, instance_id, row)
        for (instance_id, _), letter in self.letters.items():
            row = self._rows.get(instance_id)
            if letter.fate or row is None or row.status.is_terminal:
                continue
            if letter.execution_id == row.life.execution_id:
                self._say(2, f"{letter.kind} for '{instance_id}' was accepted and nobody has looked at it")
        return self.violations

    def events_of(self, life: Life) -> list[Event]:
        """What was recorded of it, but for commits so large that they are stored elsewhere."""
        events: list[Event] = []
        for _, text in sorted(self.lives[life].items()):
            if text.startswith("["):
                events.extend(from_array(array) for array in json.loads(text)[2])
        return events

    def is_whole(self, life: Life) -> bool:
        """Whether all its commits are known: none is stored elsewhere, and it did not end by continuing as new, of
        which the last commit is the new row."""
        return life._replace(generation=life.generation + 1) not in self.lives and self._is_known(life)

    def _is_known(self, life: Life) -> bool:
        return all(text.startswith("[") for text in self.lives[life].values())

    def activities_ended(self) -> set[str]:
        """Idempotency keys of the activities of which a result was recorded."""
        keys: set[str] = set()
        for life in self.lives:
            events = self.events_of(life)
            called = {event.task_id for event in events if isinstance(event, TaskScheduled)}
            ended = {event.task_id for event in events if isinstance(event, TaskCompleted | TaskFailed)}
            keys |= {f"{life.execution_id}-{life.generation}-{task_id}" for task_id in called & ended}
        return keys

    def activities_called(self) -> set[str]:
        """Idempotency keys of the activities that were decided on, as far as it is known."""
        return {
            f"{life.execution_id}-{life.generation}-{event.task_id}"
            for life in self.lives
            for event in self.events_of(life)
            if isinstance(event, TaskScheduled)
        }

    def _check_order(self, life: Life, events: Iterable[Event]) -> None:
        begun: set[int] = set()
        ended: set[int] = set()
        inbox: set[str] = set()
        ends = starts = 0
        for event in events:
            match event:
                case TaskScheduled() | TimerCreated() | SubOrchestrationCreated():
                    if event.task_id in begun:
                        self._say(1, f"task {event.task_id} of {life} was scheduled twice")
                    begun.add(event.task_id)
                case StepCompleted():
                    if event.task_id in ended:
                        self._say(3, f"the result of step {event.task_id} of {life} was recorded twice")
                    ended.add(event.task_id)
                case _ if isinstance(event, _END):
                    if event.task_id in ended:
                        self._say(3, f"the result of task {event.task_id} of {life} was recorded twice")
                    if event.task_id not in begun and self._is_known(life):
                        self._say(8, f"task {event.task_id} of {life} ended, and was never scheduled")
                    ended.add(event.task_id)
                case ExecutionStarted():
                    starts += 1
                case ExecutionCompleted() | ExecutionTerminated():
                    ends += 1
                case _:
                    pass
            key = event.event_id if isinstance(event, EventRaised) else str(getattr(event, "event_id", ""))
            if key and key in inbox:
                self._say(1, f"inbox row {key} of {life} was recorded twice")
            inbox.add(key)
        if starts > 1 or ends > 1:
            self._say(1, f"{life} has {starts} starts and {ends} ends")

    async def _check_stored(self, hub: TaskHub, instance_id: str, row: _Row) -> None:
        """What a reader gets is what was written."""
        loaded = await hub.instances.load(instance_id)
        if loaded.instance is None:
            self._say(1, f"'{instance_id}' is gone, and was not purged")
            return
        if not self.is_whole(row.life):
            return
        read = [event for segment in await hub.instances.history(loaded.instance) for event in segment.events]
        written = self.events_of(row.life)
        if [_without_input(event) for event in read] != [_without_input(event) for event in written]:
            self._say(1, f"the history of '{instance_id}' is not what was written: {read} instead of {written}")


def _without_input(event: Event) -> Event:
    """The event as its row holds it: the input of an execution is kept once, in the instance row."""
    return replace(event, input=None) if isinstance(event, ExecutionStarted) else event


T = TypeVar("T")


Wrote = Callable[[str, Sequence[Operation]], None]


class _WatchedTable(AroundTable):
    def __init__(self, inner: Table, wrote: Wrote) -> None:
        super().__init__(inner)
        self._wrote = wrote

    async def _around(self, call: Call[T]) -> T:
        what = TableCall.of(call)
        result = await call()
        if not what.is_read:
            self._wrote(what.partition, what.operations)
        return result


class WatchedStorage(AroundStorage):
    """``wrote`` is called with the partition and what was done to it, of the table of this name."""

    def __init__(self, inner: Storage, table: str, wrote: Wrote) -> None:
        super().__init__(inner)
        self._watched = table
        self._wrote = wrote

    def table(self, name: str) -> Table:
        table = self._inner.table(name)
        return _WatchedTable(table, self._wrote) if name == self._watched else table
