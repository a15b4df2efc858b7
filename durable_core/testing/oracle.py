"""The oracle: sees every write to the instances of a hub, and reports what must never happen.

It stands between the store and all hosts, so it sees what was really written, also when the answer was lost. It checks
those invariants of docs/guarantees.md that concern stored data. Tests compare the results of instances, and the effects
of activities, themselves.

Uses the layout of instance rows and of the inbox. It does not use the code by which hosts compute their writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace
from typing import Any, NamedTuple, TypeVar

from ..engine.events import (
    Event,
    EventRaised,
    ExecutionCompleted,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionTerminated,
    Segment,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
    UpdateAccepted,
    UpdateEnded,
    from_array,
)
from ..hub.encoding import Encoding
from ..hub.names import HubNames
from ..hub.taskhub import TaskHub
from ..hub.voiding import without_void
from ..lazy_dataclass import dataclass
from ..models import RuntimeStatus
from ..moments import from_epoch
from ..storage.ports import Delete, Insert, Merge, Operation, Props, Replace, Storage, Table, Value
from ..storage.wrapper import AroundStorage, AroundTable, Call, TableCall

_END = (TaskCompleted, TaskFailed, TimerFired, SubOrchestrationCompleted, SubOrchestrationFailed)
_SEGMENT = re.compile(r"s(\d+)_0")
_UPDATE = re.compile(r"a[0-9A-Za-z_.]+-update-")


class Generation(NamedTuple):
    """One generation of one execution of an instance."""

    instance_id: str
    execution_id: str
    number: int


class InboxEntry(NamedTuple):
    """An inbox row. execution_id: the execution it is for. fate: how it was removed; '' while it exists. rewinds: how
    often the sender saw the execution rewound."""

    kind: str
    execution_id: str
    fate: str = ""
    rewinds: int = 0

    def is_for(self, row: _Row) -> bool:
        """Whether it may be told to this row: a request is not for a later run."""
        is_late = self.kind not in ("event", "update", "results") and self.rewinds < row.rewinds
        return self.execution_id == row.generation.execution_id and not is_late


@dataclass(slots=True)
class _Row:
    """The present content of an instance row."""

    generation: Generation
    status: RuntimeStatus
    seq: int
    rewinds: int = 0


@dataclass(slots=True)
class Oracle:
    """``violations``: descriptions of what it has seen so far, and of what ``problems`` has found.

    generations: for each generation that ever existed, its commits by number.
    inbox: every inbox row that ever existed, by instance and key.
    updates: the answers of accepted updates, by instance and key of the row: kind, value, and how often the instance
        was rewound.
    """

    names: HubNames
    encoding: Encoding = field(default_factory=Encoding)
    violations: list[str] = field(default_factory=list[str])
    generations: dict[Generation, dict[int, str]] = field(default_factory=dict[Generation, dict[int, str]])
    inbox: dict[tuple[str, str], InboxEntry] = field(default_factory=dict[tuple[str, str], InboxEntry])
    updates: dict[tuple[str, str], tuple[str, Value, int]] = field(
        default_factory=dict[tuple[str, str], tuple[str, Value, int]]
    )
    _rows: dict[str, _Row] = field(default_factory=dict[str, _Row])
    _consumed: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def watch(self, storage: Storage) -> Storage:
        """Wrap the storage. All hosts must use the returned one from now on."""
        return WatchedStorage(storage, self.names.instances, self.wrote)

    # ---------------------------------------------------------------- what is seen as it happens

    def wrote(self, instance_id: str, operations: Sequence[Operation]) -> None:
        """Check operations that were done in one transaction."""
        instance = next((op for op in operations if op.key == "z"), None)
        for op in operations:
            if op.key.startswith("h") and isinstance(op, Insert):
                self._rolled(instance_id, op)
        before = self._rows.get(instance_id)
        for op in operations:
            if _UPDATE.match(op.key) and isinstance(op, Insert | Merge) and "kind" in op.props:
                self._answered(instance_id, op, is_commit=instance is not None)
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
                rewinds = int(str(op.props.get("rewinds", 0)))
                self.inbox[instance_id, op.key] = InboxEntry(str(op.props["kind"]), str(op.props["for"]), "", rewinds)
            elif isinstance(op, Delete):
                is_consumed = instance is not None and not isinstance(instance, Delete)
                if not is_consumed and any(_UPDATE.match(other.key) for other in operations):
                    self.inbox[instance_id, op.key] = self.inbox[instance_id, op.key]._replace(fate="withdrawn")
                    continue
                self._taken(instance_id, op.key, before if is_consumed else None, is_consumed=is_consumed)

    def _answered(self, instance_id: str, op: Insert | Merge, *, is_commit: bool) -> None:
        """Check the answer to an update: it is part of the commit that records its end, and is never changed."""
        kind, value = str(op.props["kind"]), op.props["value"]
        row = self._rows.get(instance_id)
        rewinds = 0 if row is None else row.rewinds
        if not is_commit:
            self._say(1, f"update {op.key} of '{instance_id}' was answered without a commit")
        before = self.updates.get((instance_id, op.key))
        if kind not in ("completed", "failed"):
            if before is not None:
                self._say(1, f"update {op.key} of '{instance_id}' was accepted, and then {kind}")
            return
        if before is not None and before[2] == rewinds:
            self._say(1, f"update {op.key} of '{instance_id}' was answered twice: {before[:2]}, {(kind, value)}")
        self.updates[instance_id, op.key] = kind, value, rewinds

    def _whole_row(self, instance_id: str, props: Props) -> None:
        generation = Generation(instance_id, str(props["exec"]), int(str(props["gen"])))
        before = self._rows.get(instance_id)
        rewinds = int(str(props.get("rewinds", 0)))
        after = _Row(generation, RuntimeStatus(str(props["status"])), int(str(props["seq"])), rewinds)
        self._rows[instance_id] = after
        self.generations.setdefault(generation, {})
        if (
            before is not None
            and before.generation != generation
            and before.generation.execution_id == generation.execution_id
        ):
            if generation.number != before.generation.number + 1:
                self._say(7, f"generation {generation.number} of '{instance_id}' follows {before.generation.number}")
        elif before is not None and before.generation != generation and not before.status.is_terminal:
            self._say(1, f"'{instance_id}' was started again while it was {before.status}")
        self._segments(generation, props, before)

    def _merged(self, instance_id: str, props: Props) -> None:
        row = self._rows[instance_id]
        before = _Row(row.generation, row.status, row.seq, row.rewinds)
        if "status" in props:
            row.status = RuntimeStatus(str(props["status"]))
        if "seq" in props:
            row.seq = int(str(props["seq"]))
        self._segments(row.generation, props, before)

    def _segments(self, generation: Generation, props: Props, before: _Row | None) -> None:
        for name in props:
            if found := _SEGMENT.fullmatch(name):
                seq = int(found[1])
                is_next = before is None or before.generation != generation or seq >= before.seq
                self._recorded(generation, seq, self._text(f"s{seq}_", props), is_next=is_next)
                is_ended = before is not None and before.generation == generation and before.status.is_terminal
                if is_ended and is_next and not self._is_rewind(generation, seq):
                    self._say(1, f"commit {seq} of '{generation.instance_id}' was written after its end")

    def _is_rewind(self, generation: Generation, seq: int) -> bool:
        text = self.generations[generation][seq]
        return not text.startswith("[") or isinstance(from_array(json.loads(text)[2][0]), ExecutionRewound)

    def _rolled(self, instance_id: str, chunk: Insert) -> None:
        execution_id, number, first = chunk.key[1:].rsplit("-", 2)
        generation = Generation(instance_id, execution_id, int(number))
        texts: list[Any] = json.loads(self._text("d", chunk.props))
        for seq, text in enumerate(texts, int(first)):
            self._recorded(generation, seq, str(text), is_next=False)

    def _recorded(self, generation: Generation, seq: int, text: str, *, is_next: bool) -> None:
        commits = self.generations.setdefault(generation, {})
        if seq not in commits:
            commits[seq] = text
            if not is_next and generation.instance_id in self._rows:  # else it is of a fork, which copies a history
                self._say(
                    1, f"commit {seq} of '{generation.instance_id}' is in a chunk or rolled row, but was never written"
                )
        elif is_next or commits[seq] != text:
            self._say(1, f"commit {seq} of '{generation.instance_id}' was changed after it was written")

    def _taken(self, instance_id: str, key: str, by: _Row | None, *, is_consumed: bool) -> None:
        entry = self.inbox.get((instance_id, key))
        if entry is None:
            return
        row = self._rows.get(instance_id)
        self.inbox[instance_id, key] = entry._replace(fate="consumed" if is_consumed else "dropped")
        if is_consumed and by is not None and by.generation.execution_id != entry.execution_id:
            self._say(
                8, f"{entry.kind} for execution {entry.execution_id} was consumed by {by.generation.execution_id}"
            )
        is_live = row is not None and not row.status.is_terminal and entry.is_for(row)
        if is_consumed:
            self._consumed.add((instance_id, key))
        elif is_live and (instance_id, key) not in self._consumed:  # else it was written a second time
            self._say(2, f"{entry.kind} for '{instance_id}' was dropped while the instance was running")

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
        """All violations, including those that can be found only after all work has ended."""
        for generation in self.generations:
            self._check_order(generation, self.events_of(generation))
        for instance_id, row in self._rows.items():
            await self._check_stored(hub, instance_id, row)
        for (instance_id, _), entry in self.inbox.items():
            row = self._rows.get(instance_id)
            if entry.fate or row is None or row.status.is_terminal:
                continue
            if entry.is_for(row):
                self._say(2, f"{entry.kind} for '{instance_id}' was accepted and was never read")
        return self.violations

    def events_of(self, generation: Generation, *, with_void: bool = False) -> list[Event]:
        """The recorded events of a generation, except those of commits that are stored in payload rows.

        with_void: also the events of commits that a rewind has made void.
        """
        segments: list[Segment] = []
        for seq, text in sorted(self.generations[generation].items()):
            commit: tuple[str, float, list[Any]] = json.loads(text) if text.startswith("[") else ("", 0, [])
            commit_id, at, arrays = commit
            segments.append(Segment(seq, commit_id, from_epoch(at), tuple(from_array(array) for array in arrays)))
        return [event for segment in (segments if with_void else without_void(segments)) for event in segment.events]

    def is_whole(self, generation: Generation) -> bool:
        """Whether all commits of a generation are known: none is in payload rows, and it has not continued as new, as
        that commit has no segment."""
        return generation._replace(number=generation.number + 1) not in self.generations and self._is_known(generation)

    def _is_known(self, generation: Generation) -> bool:
        return all(text.startswith("[") for text in self.generations[generation].values())

    def activities_ended(self) -> set[str]:
        """Idempotency keys of the activities whose result was recorded."""
        keys: set[str] = set()
        for generation in self.generations:
            events = self.events_of(generation)
            called = {event.task_id for event in events if isinstance(event, TaskScheduled)}
            ended = {event.task_id for event in events if isinstance(event, TaskCompleted | TaskFailed)}
            keys |= {f"{generation.execution_id}-{generation.number}-{task_id}" for task_id in called & ended}
        return keys

    def activities_called(self) -> set[str]:
        """Idempotency keys of the activities that were scheduled, as far as they are known."""
        return {
            f"{generation.execution_id}-{generation.number}-{event.task_id}"
            for generation in self.generations
            for event in self.events_of(generation, with_void=True)
            if isinstance(event, TaskScheduled)
        }

    def _check_order(self, generation: Generation, events: Iterable[Event]) -> None:
        begun: set[int] = set()
        ended: set[int] = set()
        inbox: set[str] = set()
        accepted: set[str] = set()
        answered: set[str] = set()
        ends = starts = 0
        for event in events:
            match event:
                case TaskScheduled() | TimerCreated() | SubOrchestrationCreated():
                    if event.task_id in begun:
                        self._say(1, f"task {event.task_id} of {generation} was scheduled twice")
                    begun.add(event.task_id)
                case StepCompleted():
                    if event.task_id in ended:
                        self._say(3, f"the result of step {event.task_id} of {generation} was recorded twice")
                    ended.add(event.task_id)
                case _ if isinstance(event, _END):
                    if event.task_id in ended:
                        self._say(3, f"the result of task {event.task_id} of {generation} was recorded twice")
                    if event.task_id not in begun and self._is_known(generation):
                        self._say(8, f"task {event.task_id} of {generation} ended, and was never scheduled")
                    ended.add(event.task_id)
                case UpdateAccepted(update_id=update_id):
                    if update_id in accepted:
                        self._say(1, f"update {update_id} of {generation} was accepted twice")
                    accepted.add(update_id)
                case UpdateEnded(update_id=update_id):
                    if update_id in answered:
                        self._say(1, f"the end of update {update_id} of {generation} was recorded twice")
                    if update_id not in accepted and self._is_known(generation):
                        self._say(1, f"update {update_id} of {generation} ended, and was never accepted")
                    answered.add(update_id)
                case ExecutionStarted():
                    starts += 1
                case ExecutionCompleted() | ExecutionTerminated():
                    ends += 1
                case _:
                    pass
            key = event.event_id if isinstance(event, EventRaised) else str(getattr(event, "event_id", ""))
            if key and key in inbox:
                self._say(1, f"inbox row {key} of {generation} was recorded twice")
            inbox.add(key)
        if starts > 1 or ends > 1:
            self._say(1, f"{generation} has {starts} starts and {ends} ends")

    async def _check_stored(self, hub: TaskHub, instance_id: str, row: _Row) -> None:
        """Check that a reader gets the history that was written."""
        loaded = await hub.instances.load(instance_id)
        if loaded.instance is None:
            self._say(1, f"'{instance_id}' is gone, and was not purged")
            return
        if not self.is_whole(row.generation):
            return
        read = [event for segment in await hub.instances.history(loaded.instance) for event in segment.events]
        written = self.events_of(row.generation)
        if [_without_input(event) for event in read] != [_without_input(event) for event in written]:
            self._say(1, f"the history of '{instance_id}' is not what was written: {read} instead of {written}")


def _without_input(event: Event) -> Event:
    """The event as the segment holds it: the input of an execution is stored only in the instance row."""
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
    """A storage that calls ``wrote`` with the partition and the operations of every write to the table of this name."""

    def __init__(self, inner: Storage, table: str, wrote: Wrote) -> None:
        super().__init__(inner)
        self._watched = table
        self._wrote = wrote

    def table(self, name: str) -> Table:
        table = self._inner.table(name)
        return _WatchedTable(table, self._wrote) if name == self._watched else table
