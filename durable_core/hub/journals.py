"""Rows of journals: what the steps of a journaled activity have returned, an entry for each.

The entries of one call are a log, numbered from 0: entry *p* is inserted only by a run that has read all entries before
it, so a successful insert means that the run knew everything before (rule J1). An entry is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from ..errors import DamagedRowError, RowExistsError
from ..lazy_dataclass import dataclass
from ..models import JSON, FailureDetails
from ..storage.ports import Insert, Row, Table, Value
from .keys import after_prefix, journal_key, journal_prefix
from .payloads import NOTHING, PLAIN_CHARS, ROW_BYTES, Payloads, dumps, is_reference, join_bytes, split_bytes

if TYPE_CHECKING:
    from ..engine.events import TaskScheduled
    from .messages import Call

MAX_TOGETHER = 90  # entries of one transaction
MAX_BYTES_TOGETHER = 2 * 1024 * 1024

EntryKind: TypeAlias = Literal["begin", "step", "wait"]


class JournalKey(NamedTuple):
    """Which journal: that of the call of an activity."""

    instance_id: str
    execution_id: str
    generation: int
    task_id: int


class StepId(NamedTuple):
    """The identity of a step in its journal. key: as given; None: it is the occurrence that counts, from 0."""

    name: str
    key: str | None
    occurrence: int

    def __str__(self) -> str:
        if self.key is not None:
            return f"'{self.name}' (key {self.key!r})"
        return f"'{self.name}' (call {self.occurrence + 1} of this name)"


def root_of(call: Call | TaskScheduled) -> int:
    """The number of the first part of a journaled activity's call, by which its journal and its idempotency key are
    known. Of any other call, its own."""
    options: dict[str, JSON] | None = call.options
    journal: JSON = None if options is None else options.get("journal")
    return call.task_id if journal is None else journal[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as written.

    entry: random, of this one insert. run: random, of one run of an attempt. attempt: the number of that attempt, of
        the part of the call with this task id.
    kind: "begin": a run leads from here on; its ``text`` has the waits that have ended before. "step": the end of a
        step, with the fields that follow. "wait": the end of a wait; it is no entry of its own, but in that of a begin.
    number: its place in the log; -1 before it is written.
    ordinal: the how-manieth step of the activity's own asyncio task it was, from 0; -1 if it was called beside others.
    line: ``file:line`` of the call. started: seconds since 1970; took: seconds, with all tries. tries: how many.
    text: the value as JSON. failure: of a step that has failed.
    """

    entry: str
    run: str
    attempt: int
    kind: EntryKind
    part: int = 0
    number: int = -1
    step: StepId | None = None
    ordinal: int = -1
    line: str = ""
    started: float = 0.0
    took: float = 0.0
    tries: int = 1
    text: str = "null"
    failure: FailureDetails | None = None

    @property
    def size(self) -> int:
        return len(self.text)

    def waits(self) -> list[Entry]:
        """The ends of waits that a begin has."""
        return [
            replace(
                self,
                kind="wait",
                step=StepId(*json.loads(woke["id"])),
                ordinal=woke["place"],
                line=woke["line"],
                text=dumps(woke.get("value")),
                failure=FailureDetails.from_json(woke["failure"]) if "failure" in woke else None,
            )
            for woke in json.loads(self.text) or ()
        ]


class Journals:
    def __init__(self, table: Table, payloads: Payloads) -> None:
        self._table = table
        self._payloads = payloads

    async def insert(self, key: JournalKey, entries: Sequence[Entry]) -> None:
        """Write entries, all or none. RowExistsError if a number is taken, perhaps by an earlier try of this insert."""
        rows = [(self._key(key, each.number), await self._props(key, each)) for each in entries]
        if len(rows) == 1:
            await self._table.insert(key.instance_id, *rows[0])
        else:
            await self._table.transact(key.instance_id, [Insert(*row) for row in rows])

    async def read(self, key: JournalKey, number: int = 0) -> list[Entry]:
        """The entries from this number on, up to the first gap. CodecError, DamagedRowError, PayloadGoneError."""
        prefix = journal_prefix(key.execution_id, key.generation, key.task_id)
        found = await self._table.read_range(key.instance_id, f"{prefix}{number:06}", after_prefix(prefix))
        entries: list[Entry] = []
        for at, row in enumerate(found.rows, number):
            if row.key != f"{prefix}{at:06}":
                break
            entries.append(await self._entry(key, row, at))
        return entries

    async def copy(self, key: JournalKey, entries: Sequence[Entry]) -> None:
        """Write a log from its beginning. What an earlier try of the same copy has written is left as it is.

        RowExistsError: another log is there.
        """
        batch, size = list[Entry](), 0
        for entry in entries:
            if batch and (len(batch) == MAX_TOGETHER or size + entry.size > MAX_BYTES_TOGETHER):
                await self._copy(key, batch)
                batch, size = [], 0
            batch.append(entry)
            size += entry.size
        if batch:
            await self._copy(key, batch)

    async def _copy(self, key: JournalKey, batch: Sequence[Entry]) -> None:
        try:
            await self.insert(key, batch)
        except RowExistsError:
            there = await self.read(key, batch[0].number)
            if any(found.entry != entry.entry for found, entry in zip(there, batch, strict=False)):
                raise
            if left := batch[len(there) :]:
                await self.insert(key, left)

    async def calls(self, instance_id: str, execution_id: str, generation: int) -> set[int]:
        """The calls of a generation that have a journal, by the numbers of their first parts."""
        prefix = journal_prefix(execution_id, generation)
        found = await self._table.read_range(instance_id, prefix, after_prefix(prefix), select=["kind"])
        return {int(row.key[len(prefix) :].partition("-")[0]) for row in found.rows}

    async def heads(
        self, instance_id: str, execution_id: str, generation: int, task_id: int | None = None
    ) -> list[Entry]:
        """The steps of all calls of a generation, in the order of the calls, without their values and failures: of one
        that has failed the failure has no message. CodecError, DamagedRowError.

        task_id: only those of the call whose first part has this number.
        """
        prefix = journal_prefix(execution_id, generation, task_id)
        select = ["id", "run", "attempt", "part", "kind", "step", "failed"]
        found = await self._table.read_range(instance_id, prefix, after_prefix(prefix), select=select)
        entries: list[Entry] = []
        for row in found.rows:
            if row.props.get("kind") == "step":
                text = '{"type":"","message":""}' if row.props.get("failed") else NOTHING
                entries.append(self._step(row, int(row.key.rpartition("-")[2]), text))
        return entries

    def _key(self, key: JournalKey, number: int) -> str:
        return journal_key(key.execution_id, key.generation, key.task_id, number)

    async def _props(self, key: JournalKey, entry: Entry) -> dict[str, Value]:
        props: dict[str, Value] = {
            "id": entry.entry,
            "run": entry.run,
            "attempt": entry.attempt,
            "part": entry.part,
            "kind": entry.kind,
        }
        encoding = self._payloads.encoding
        if entry.step is not None:
            head: list[JSON] = [*entry.step, entry.ordinal, entry.line, entry.started, entry.took, entry.tries]
            props["step"] = encoding.pack(dumps(head)) if encoding.hides else dumps(head)
        text = entry.text
        if entry.failure is not None:
            props["failed"], text = True, dumps(entry.failure.to_json())
        if text == NOTHING or (len(text) <= PLAIN_CHARS and not encoding.hides):
            props["c0"] = text
        elif len(packed := encoding.pack(text)) <= ROW_BYTES - PLAIN_CHARS:
            props |= split_bytes("c", packed)
        else:
            props["c0"] = await self._payloads.put(key.instance_id, key.execution_id, packed)
        return props

    async def _text(self, key: JournalKey, row: Row) -> str:
        stored, encoding = row.props["c0"], self._payloads.encoding
        if isinstance(stored, bytes):
            return encoding.unpack(join_bytes("c", row.props))
        if is_reference(stored):
            return encoding.unpack(await self._payloads.get(key.instance_id, str(stored)))
        return str(stored)

    async def _entry(self, key: JournalKey, row: Row, number: int) -> Entry:
        props = row.props
        try:
            text = await self._text(key, row)
            if props["kind"] == "step":
                return self._step(row, number, text)
            if props["kind"] != "begin":
                raise ValueError(f"an entry of the unknown kind '{props['kind']}'")
            json.loads(text)
            return Entry(
                entry=str(props["id"]),
                run=str(props["run"]),
                attempt=int(props["attempt"]),  # type: ignore[arg-type]
                part=int(props["part"]),  # type: ignore[arg-type]
                kind="begin",
                number=number,
                text=text,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedRowError(f"row '{row.key}' of instance '{row.partition}' is damaged: {error}") from error

    def _step(self, row: Row, number: int, text: str) -> Entry:
        props = row.props
        try:
            head, encoding = props["step"], self._payloads.encoding
            fields = json.loads(encoding.unpack(head) if isinstance(head, bytes) else str(head))
            name, step_key, occurrence, ordinal, line, started, took, tries = fields
            return Entry(
                entry=str(props["id"]),
                run=str(props["run"]),
                attempt=int(props["attempt"]),  # type: ignore[arg-type]
                part=int(props["part"]),  # type: ignore[arg-type]
                kind="step",
                number=number,
                step=StepId(str(name), None if step_key is None else str(step_key), int(occurrence)),
                ordinal=int(ordinal),
                line=str(line),
                started=float(started),
                took=float(took),
                tries=int(tries),
                text=NOTHING if props.get("failed") else text,
                failure=FailureDetails.from_json(json.loads(text)) if props.get("failed") else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedRowError(f"row '{row.key}' of instance '{row.partition}' is damaged: {error}") from error
