"""Entities as they are shown: read from their rows alone, without their code."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..entities import EntityId
from ..errors import CodecError, DamagedRowError, InvalidInputError, NewerFormatError
from ..hub.entities.catalog import EntityEntry, by_name
from ..hub.entities.row import EntityRow, Lock
from ..hub.entities.store import StoredParcel
from ..hub.payloads import PayloadGoneError
from ..hub.taskhub import TaskHub
from ..hub.times import iso
from ..instance_ids import FORBIDDEN_IN_KEYS
from ..lazy_dataclass import dataclass
from ..models import JSON

READ_TRIES = 20
READ_AT_ONCE = 16
CHUNK = 100  # catalogue rows that one read of a list returns
WAITING_SHOWN = 100  # parcels


@dataclass(frozen=True, slots=True)
class EntityLock:
    """Who has locked an entity. ``section``: the id of the task that requested the lock."""

    instance_id: str
    execution_id: str
    section: int
    since: datetime

    def to_json(self) -> JSON:
        return {
            "instanceId": self.instance_id,
            "executionId": self.execution_id,
            "section": self.section,
            "since": iso(self.since),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityState:
    """An entity as its last batch has left it.

    exists: whether it has a state. state: a value of the type asked for, else plain JSON; None if it was not read.
    last_operation_time: when its last batch was stored. lock: who has locked it; None: nobody.
    stuck_reason: why no host can run its operations; None: it is not stuck, as far as is known.
    """

    entity_id: EntityId
    exists: bool
    state: Any
    created_time: datetime
    last_operation_time: datetime
    lock: EntityLock | None = None
    stuck_reason: str | None = None

    def to_json(self) -> JSON:
        """As the HTTP API shows it in a list."""
        return {
            "entityId": {"name": self.entity_id.name, "key": self.entity_id.key},
            "exists": self.exists,
            "state": self.state,
            "createdTime": iso(self.created_time),
            "lastOperationTime": iso(self.last_operation_time),
            "lockedBy": None if self.lock is None else self.lock.to_json(),
            "stuckReason": self.stuck_reason,
        }


@dataclass(frozen=True, slots=True)
class WaitingParcel:
    """Operations of one sender that wait. ``why``: '' if they are applied next."""

    sender: str
    number: int
    since: datetime
    why: str

    def to_json(self) -> JSON:
        return {"sender": self.sender, "number": self.number, "since": iso(self.since), "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityDetails:
    """An entity with its mailbox.

    queue_length: parcels in the mailbox: the operations of one commit of a sender are one parcel. waiting: the first of
    them. scheduled: the due times of scheduled operations, one for each row of them. senders: how many are remembered.
    """

    entity: EntityState | None
    queue_length: int
    waiting: Sequence[WaitingParcel]
    scheduled: Sequence[datetime]
    senders: int

    def to_json(self) -> JSON:
        shown: dict[str, JSON] = {} if self.entity is None else dict(self.entity.to_json())
        return shown | {
            "queueLength": self.queue_length,
            "waiting": [each.to_json() for each in self.waiting],
            "scheduled": [iso(due) for due in self.scheduled],
            "senders": self.senders,
        }


@dataclass(frozen=True, slots=True)
class EntityPage:
    """A page of ``list_entities``. ``continuation_token`` None: this is the last page."""

    entities: Sequence[EntityState]
    continuation_token: str | None


async def read_entity(hub: TaskHub, entity: EntityId, *, fetch_state: bool = True) -> EntityState | None:
    """The entity; None if it has no row. CodecError, NewerFormatError, DamagedRowError."""
    for tries in range(READ_TRIES):
        try:
            row = await hub.entities.read(entity)
            return None if row is None else await _state_of(hub, row, fetch_state=fetch_state)
        except PayloadGoneError:  # another batch was stored meanwhile
            if tries + 1 == READ_TRIES:
                raise
    raise AssertionError("unreachable")


async def read_details(hub: TaskHub, entity: EntityId) -> EntityDetails | None:
    """The entity and its mailbox; None if there is nothing of it. Errors as ``read_entity``."""
    for tries in range(READ_TRIES):
        try:
            loaded = await hub.entities.load(entity)
            row = loaded.row
            if row is None and not loaded.parcels and not loaded.scheduled:
                return None
            parcels = sorted(loaded.parcels, key=lambda parcel: parcel.order)
            return EntityDetails(
                entity=None if row is None else await _state_of(hub, row, fetch_state=True),
                queue_length=len(parcels),
                waiting=[_waiting(row, parcel) for parcel in parcels[:WAITING_SHOWN]],
                scheduled=sorted(each.due for each in loaded.scheduled),
                senders=0 if row is None else len(row.cursors),
            )
        except PayloadGoneError:
            if tries + 1 == READ_TRIES:
                raise
    raise AssertionError("unreachable")


async def list_entities(
    hub: TaskHub,
    *,
    name: str,
    last_operation_from: datetime | None,
    last_operation_to: datetime | None,
    fetch_state: bool,
    size: int,
    token: str | None,
) -> EntityPage:
    """See ``DurableClient.list_entities``. InvalidInputError for a page size or a token that is not valid."""
    if not isinstance(size, int) or size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"the page size must be a whole number of at least 1, not {size!r}")
    after = _read_token(token)
    found: list[EntityState] = []
    while True:
        entries, is_last = await _next_entries(hub, name, after)
        for at in range(0, len(entries), READ_AT_ONCE):
            group = entries[at : at + READ_AT_ONCE]
            states = await asyncio.gather(*(_listed(hub, entry.entity, fetch_state) for entry in group))
            for entry, state in zip(group, states, strict=True):
                if len(found) == size:
                    return EntityPage(found, _token(after))
                after = entry.key
                if state is not None and _is_between(state, last_operation_from, last_operation_to):
                    found.append(state)
        if is_last:
            return EntityPage(found, None)


async def _next_entries(hub: TaskHub, name: str, after: str) -> tuple[list[EntityEntry], bool]:
    """The next catalogue rows of all shards, in order, and whether there are no more."""
    shards = hub.entity_catalog.shards
    chunks = await asyncio.gather(*(hub.entity_catalog.page(shard, after, CHUNK, name) for shard in shards))
    full = [chunk[-1].key for chunk in chunks if len(chunk) >= CHUNK - 1]
    entries = by_name([entry for chunk in chunks for entry in chunk])
    if not full:
        return entries, True
    return [entry for entry in entries if entry.key <= min(full)], False


async def _listed(hub: TaskHub, entity: EntityId, fetch_state: bool) -> EntityState | None:
    try:
        found = await read_entity(hub, entity, fetch_state=fetch_state)
    except (CodecError, NewerFormatError, DamagedRowError) as error:
        return _unreadable(entity, error)
    return found if found is not None and (found.exists or found.lock or found.stuck_reason) else None


def _unreadable(entity: EntityId, error: Exception) -> EntityState:
    never = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return EntityState(
        entity_id=entity,
        exists=True,
        state=None,
        created_time=never,
        last_operation_time=never,
        stuck_reason=str(error),
    )


def _is_between(state: EntityState, earliest: datetime | None, latest: datetime | None) -> bool:
    moment = state.last_operation_time
    return (earliest is None or moment >= earliest) and (latest is None or moment <= latest)


async def _state_of(hub: TaskHub, row: EntityRow, *, fetch_state: bool) -> EntityState:
    return EntityState(
        entity_id=row.entity,
        exists=row.exists,
        state=json.loads(await hub.entities.state_text(row)) if row.exists and fetch_state else None,
        created_time=row.created,
        last_operation_time=row.updated,
        lock=None if row.lock is None else _lock_of(row.lock),
        stuck_reason=row.stuck or None,
    )


def _lock_of(lock: Lock) -> EntityLock:
    holder = lock.holder
    return EntityLock(holder.instance_id, holder.execution_id, holder.task_id, lock.since)


def _waiting(row: EntityRow | None, parcel: StoredParcel) -> WaitingParcel:
    why = ""
    cursor = None if row is None else row.cursors.get(parcel.stream)
    if parcel.previous > (-1 if cursor is None else cursor.number):
        why = f"parcel {parcel.number} waits for parcel {parcel.previous} of the same sender"
    elif row is not None and row.lock is not None and row.lock.holder.execution_id != parcel.stream:
        why = f"the entity is locked by '{row.lock.holder.instance_id}'"
    return WaitingParcel(parcel.sender, parcel.number, parcel.timestamp, why)


def _token(after: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([1, after]).encode()).decode()


def _read_token(token: str | None) -> str:
    if not token:
        return ""
    try:
        form, position = json.loads(base64.urlsafe_b64decode(token.encode()))
        if form != 1 or not isinstance(position, str) or FORBIDDEN_IN_KEYS.search(position):
            raise ValueError(form)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise InvalidInputError(
            "the continuation token was not issued by this task hub; start again without one"
        ) from None
    return position
