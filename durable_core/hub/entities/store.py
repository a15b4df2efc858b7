"""Reading and writing the rows of entities.

A batch is one transaction: the row, guarded by its ETag, and the deletion of the parcels that it has applied. Payload
rows of a row are named by the id of the commit that wrote them, never by content alone: a state that returns to an
earlier value must not refer to rows that another host deletes (rule P1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from datetime import datetime

from ...entities import EntityId
from ...errors import DamagedRowError, RowExistsError, RowNotFoundError
from ...lazy_dataclass import dataclass
from ...models import JSON
from ...moments import from_epoch
from ...storage.ports import (
    MAX_TRANSACTION_ROWS,
    Delete,
    Insert,
    Replace,
    Row,
    Table,
    Value,
)
from ...storage.ports import (
    Operation as RowOperation,
)
from ..keys import payload_key
from ..payloads import Payloads, dumps, is_reference
from .keys import (
    LIVE_RANGE,
    PARCEL,
    PAYLOAD_RANGE,
    ROW_KEY,
    SCHEDULED,
    SPILLED_RANGE,
    parcel_key,
    payload_owner,
    scheduled_key,
    spilled_key,
)
from .operations import Answer, Operation, Parcel
from .row import (
    MAX_STUCK,
    Cursor,
    EntityRow,
    Sent,
    SentParcel,
    SentStart,
    check_format,
    read_row,
    row_props,
    sent_to_json,
)


@dataclass(frozen=True, slots=True)
class StoredParcel:
    """A parcel row as read; ``operations`` is a stored value. The cursor is compared before they are loaded."""

    stream: str
    number: int
    previous: int
    again: bool
    busy: bool
    sender: str
    operations: Value
    timestamp: datetime

    @property
    def key(self) -> str:
        return parcel_key(self.stream, self.number)

    @property
    def reference(self) -> str:
        """To the payload rows of its operations; '' if there are none."""
        return str(self.operations) if is_reference(self.operations) else ""

    @property
    def order(self) -> tuple[datetime, str]:
        """By the service's timestamps: signals of a client that awaits each keep their order."""
        return self.timestamp, self.key


@dataclass(frozen=True, slots=True)
class ScheduledRow:
    """Scheduled operations of one batch, the earliest first. ``operations`` is a stored value; due: of the first."""

    key: str
    due: datetime
    operations: Value

    @property
    def reference(self) -> str:
        """As of a parcel."""
        return str(self.operations) if is_reference(self.operations) else ""


@dataclass(frozen=True, slots=True)
class LoadedEntity:
    """An entity and its mailbox. row: None if there is none."""

    row: EntityRow | None
    parcels: list[StoredParcel]
    scheduled: list[ScheduledRow]


@dataclass(frozen=True, slots=True)
class Whole:
    """All that is stored of an entity, for the sweep.

    streams: those with a parcel in the mailbox. spilled: the cursors of each row of spilled ones. orphans: payload rows
    to which nothing refers, with the time at which they were written.
    """

    row: EntityRow | None
    streams: frozenset[str]
    has_scheduled: bool
    spilled: Mapping[str, Mapping[str, Cursor]]
    orphans: Mapping[str, datetime]


@dataclass(slots=True, kw_only=True)
class BatchCommit:
    """What one batch writes. ``consumed``: keys of parcels and scheduled rows that are deleted with it.

    row: the row after the batch, without ``state``, if ``state`` is given: the JSON text of a new state.
    scheduled: the operations of each row to insert, the earliest first. inserted: these rows, once they are written.
    spilled: cursors that leave the row.
    """

    row: EntityRow
    commit_id: str
    state: str | None = None
    consumed: list[str] = field(default_factory=lambda: [])
    scheduled: list[list[Operation]] = field(default_factory=lambda: [])
    spilled: Mapping[str, Cursor] = field(default_factory=lambda: {})
    inserted: list[ScheduledRow] = field(default_factory=lambda: [])


class Entities:
    """The entities table of one hub."""

    def __init__(self, table: Table, payloads: Payloads) -> None:
        self._table = table
        self._payloads = payloads

    # ------------------------------------------------------------ mailbox

    async def put(self, entity: EntityId, parcel: Parcel) -> None:
        """Insert a parcel; one that is there already is the same."""
        owner = payload_owner(parcel.stream, parcel.number)
        operations = [operation.to_json() for operation in parcel.operations]
        props: dict[str, Value] = {
            "prev": parcel.previous,
            "ops": await self._payloads.store(entity.partition, owner, operations),
        }
        for name, flag in (("again", parcel.again), ("busy", parcel.busy)):
            if flag:
                props[name] = True
        if parcel.sender:
            props["by"] = parcel.sender
        with suppress(RowExistsError):
            await self._table.insert(entity.partition, parcel_key(parcel.stream, parcel.number), props)

    async def operations_of(self, entity: EntityId, parcel: StoredParcel) -> tuple[Operation, ...]:
        """PayloadGoneError if another host has applied the parcel."""
        stored: list[JSON] = await self._payloads.load(entity.partition, parcel.operations)
        return tuple(Operation.from_json(each) for each in stored)

    async def due_operations(self, entity: EntityId, row: ScheduledRow) -> list[Operation]:
        """All operations of a scheduled row, the earliest first. PayloadGoneError as above."""
        stored: list[JSON] = await self._payloads.load(entity.partition, row.operations)
        return [Operation.from_json(each) for each in stored]

    # ------------------------------------------------------------ rows

    async def load(self, entity: EntityId) -> LoadedEntity:
        """The row, the mailbox and the scheduled operations, in one range read. PayloadGoneError if another host
        commits at this moment; NewerFormatError, DamagedRowError, CodecError."""
        found = await self._table.read_range(entity.partition, LIVE_RANGE)
        row: EntityRow | None = None
        parcels: list[StoredParcel] = []
        scheduled: list[ScheduledRow] = []
        for each in found.rows:
            if each.key == ROW_KEY:
                row = await self._row_of(entity, each)
            elif each.key.startswith(PARCEL):
                parcels.append(_parcel_of(each))
            else:
                scheduled.append(_scheduled_of(each.key, each.props.get("ops", "[]")))
        return LoadedEntity(row, parcels, scheduled)

    async def read(self, entity: EntityId) -> EntityRow | None:
        """The row alone. Errors as ``load``."""
        row = await self._table.get(entity.partition, ROW_KEY)
        return None if row is None else await self._row_of(entity, row)

    async def state_text(self, row: EntityRow) -> str:
        """The JSON text of the state. PayloadGoneError if another host has committed since."""
        return await self._payloads.load_text(row.entity.partition, row.state)

    async def commit(self, before: EntityRow | None, commit: BatchCommit) -> EntityRow:
        """Write a batch in one transaction, large values first. After a StorageError its outcome is unknown.

        PreconditionFailedError, RowExistsError, RowNotFoundError: another host has committed; nothing is written.
        """
        partition, owner = commit.row.entity.partition, payload_owner_of(commit)
        after = replace(commit.row, last=commit.commit_id)
        if commit.state is not None:
            state = await self._payloads.store_text(partition, owner, commit.state)
            after = replace(after, state=state)
        cursors = {stream: cursor.to_json() for stream, cursor in after.cursors.items()}
        stored_cursors = await self._payloads.store(partition, owner, cursors)
        stored_out = await self._payloads.store(partition, owner, [sent_to_json(each) for each in after.out])
        after = replace(after, references=_references(after.state if after.exists else "", stored_cursors, stored_out))
        props = row_props(after, stored_cursors, stored_out)
        written: list[RowOperation] = [
            Insert(ROW_KEY, props) if before is None else Replace(ROW_KEY, props, before.etag)
        ]
        written.extend(Delete(key) for key in commit.consumed)
        for index, operations in enumerate(commit.scheduled):
            stored = await self._payloads.store(partition, owner, [each.to_json() for each in operations])
            first = operations[0].due
            assert first is not None, "it is scheduled"
            row = Insert(scheduled_key(first, after.seq, index), {"ops": stored})
            written.append(row)
            commit.inserted.append(_scheduled_of(row.key, stored))
        if commit.spilled:
            gone = {stream: cursor.to_json() for stream, cursor in commit.spilled.items()}
            stored = await self._payloads.store(partition, owner, gone)
            written.append(Insert(spilled_key(after.life, after.seq), {"cursors": stored}))
        assert len(written) <= MAX_TRANSACTION_ROWS
        etags = await self._table.transact(partition, written)
        return replace(after, etag=str(etags[0]))

    async def mark_stuck(self, entity: EntityId, reason: str) -> None:
        """Show the entity as stuck; its next batch takes the mark away. RowNotFoundError if it has no row yet."""
        await self._table.merge(entity.partition, ROW_KEY, {"stuck": reason[:MAX_STUCK]})

    async def spilled(self, entity: EntityId) -> dict[str, Cursor]:
        """All cursors that have left the row: of each stream the newest."""
        found = await self._table.read_range(entity.partition, *SPILLED_RANGE)
        cursors: dict[str, Cursor] = {}
        for row in found.rows:
            stored: dict[str, JSON] = await self._payloads.load(entity.partition, row.props["cursors"])
            for stream, data in stored.items():
                cursor = Cursor.from_json(data)
                if stream not in cursors or cursors[stream].number < cursor.number:
                    cursors[stream] = cursor
        return cursors

    async def whole(self, entity: EntityId) -> Whole:
        """All rows, but for the content of payload rows. Errors as ``load``."""
        partition = entity.partition
        payload_rows = (await self._table.read_range(partition, *PAYLOAD_RANGE, select=["p"])).rows
        rows = (await self._table.read_range(partition, PAYLOAD_RANGE[1])).rows
        row = next((each for each in rows if each.key == ROW_KEY), None)
        spilled: dict[str, dict[str, Cursor]] = {}
        for each in rows:
            if each.key < SPILLED_RANGE[1]:
                stored: dict[str, JSON] = await self._payloads.load(partition, each.props["cursors"])
                spilled[each.key] = {stream: Cursor.from_json(data) for stream, data in stored.items()}
        values = [value for each in rows for value in each.props.values()]
        used = {str(value)[1:].rsplit("-", 1)[0] for value in values if is_reference(value)}
        parcels = [_parcel_of(each) for each in rows if each.key.startswith(PARCEL)]
        return Whole(
            None if row is None else await self._row_of(entity, row),
            frozenset(parcel.stream for parcel in parcels),
            any(each.key.startswith(SCHEDULED) for each in rows),
            spilled,
            {each.key: each.timestamp for each in payload_rows if each.key[1:].rsplit("-", 1)[0] not in used},
        )

    async def keep_cursors(self, row: EntityRow, cursors: Mapping[str, Cursor]) -> EntityRow:
        """Forget the other cursors. PreconditionFailedError, RowNotFoundError: a batch was stored meanwhile."""
        stored = dumps({stream: cursor.to_json() for stream, cursor in cursors.items()})
        packed = await self._payloads.store_text(row.entity.partition, f"{row.last}.swept", stored)
        etag = await self._table.merge(row.entity.partition, ROW_KEY, {"cursors": packed}, row.etag)
        return replace(row, cursors=cursors, etag=etag)

    async def evict(self, row: EntityRow) -> None:
        """Delete the row. PreconditionFailedError, RowNotFoundError as above."""
        await self._table.delete(row.entity.partition, ROW_KEY, row.etag)

    async def delete_row(self, entity: EntityId, key: str) -> None:
        """Delete a row to which nothing refers."""
        with suppress(RowNotFoundError):  # another host deletes it, too
            await self._table.delete(entity.partition, key)

    async def drop_payloads(self, entity: EntityId, references: Sequence[str]) -> None:
        """Delete payload rows that nothing refers to any more."""
        for reference in references:
            owner, digest, parts = reference[1:].rsplit("-", 2)
            for part in range(int(parts)):
                with suppress(RowNotFoundError):  # another host deletes it, too
                    await self._table.delete(entity.partition, payload_key(owner, digest, part))

    async def _row_of(self, entity: EntityId, row: Row) -> EntityRow:
        check_format(entity, row)
        partition = entity.partition
        try:
            cursors, out = row.props["cursors"], row.props["out"]
        except KeyError as error:
            raise DamagedRowError(f"the row of entity {entity} is damaged: it lacks {error}") from error
        sent: list[JSON] = await self._payloads.load(partition, out)
        read = read_row(entity, row, await self._payloads.load(partition, cursors), tuple(map(_sent_of, sent)))
        return replace(read, references=_references(read.state if read.exists else "", cursors, out))


def payload_owner_of(commit: BatchCommit) -> str:
    """By what the payload rows of a commit are named (rule P1): a row that another host deletes is never its own."""
    return commit.commit_id


def _references(*stored: Value) -> tuple[str, ...]:
    return tuple(str(each) for each in stored if is_reference(each))


def _sent_of(data: JSON) -> Sent:
    kind, *fields = data
    match kind:
        case "p":
            entity, stream, number, operations = fields
            parcel = Parcel(
                stream=stream, number=number, operations=tuple(Operation.from_json(each) for each in operations)
            )
            return SentParcel(entity, parcel)
        case "o":
            name, instance_id, value, version, decided, *headers = fields
            return SentStart(name, instance_id, value, version, from_epoch(decided), *headers)
        case _:
            return Answer.from_json(fields)


def _parcel_of(row: Row) -> StoredParcel:
    stream, _, number = row.key[len(PARCEL) :].rpartition("-")
    props = row.props
    return StoredParcel(
        stream,
        int(number),
        int(str(props.get("prev", -1))),
        bool(props.get("again")),
        bool(props.get("busy")),
        str(props.get("by", "")),
        props.get("ops", "[]"),
        row.timestamp,
    )


def _scheduled_of(key: str, operations: Value) -> ScheduledRow:
    due = key[len(SCHEDULED) :].partition("-")[0]
    return ScheduledRow(key, from_epoch(int(due) / 1000), operations)
