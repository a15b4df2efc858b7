"""The catalogue rows of entities: one for each entity, so that lists and recovery find it.

They are in the shards of the hub's catalogue; their keys begin with a letter of their own, so no list of instances has
them. The row is inserted before anything else of the entity is written (rule N7).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from ...entities import EntityId
from ...errors import PreconditionFailedError, RowExistsError, RowNotFoundError
from ...lazy_dataclass import dataclass
from ...storage.ports import Row, Table
from ..names import shard_of
from ..times import from_iso, iso

ENTITY = "n"
_END = "o"
_SWEEPS, _SWEEP = "entities", "sweep"


@dataclass(frozen=True, slots=True)
class EntityEntry:
    """The catalogue row of an entity. ``gone``: since when the entity has no row, as a sweep has noted; None: it may
    have one."""

    entity: EntityId
    key: str
    gone: datetime | None = None


class EntityCatalog:
    def __init__(self, table: Table, partitions: int) -> None:
        self._table = table
        self._partitions = partitions

    @property
    def shards(self) -> list[str]:
        return [f"{index:02}" for index in range(self._partitions)]

    async def enter(self, entity: EntityId) -> None:
        """Insert the row of an entity, unless it is there."""
        with suppress(RowExistsError):
            await self._table.insert(self._shard(entity), f"{ENTITY}{entity.partition}", {"entity": str(entity)})

    async def forget(self, entity: EntityId) -> None:
        """Delete the row of an entity of which nothing is left (rule N8)."""
        with suppress(RowNotFoundError):
            await self._table.delete(self._shard(entity), f"{ENTITY}{entity.partition}")

    async def mark_gone(self, entity: EntityId, at: datetime) -> None:
        """Note that the entity has no row."""
        with suppress(RowNotFoundError):
            await self._table.merge(self._shard(entity), f"{ENTITY}{entity.partition}", {"gone": iso(at)})

    async def claim_sweep(self, now: datetime, every: timedelta) -> bool:
        """Whether a sweep is due, and this host is the one that does it."""
        row = await self._table.get(_SWEEPS, _SWEEP)
        if row is None:
            try:
                await self._table.insert(_SWEEPS, _SWEEP, {"at": iso(now)})
            except RowExistsError:
                return False
            return False  # of a new hub: a day from now
        if now - from_iso(str(row.props["at"])) < every:
            return False
        try:
            await self._table.merge(_SWEEPS, _SWEEP, {"at": iso(now)}, row.etag)
        except (PreconditionFailedError, RowNotFoundError):
            return False
        return True

    async def page(self, shard: str, after: str = "", limit: int | None = None, name: str = "") -> list[EntityEntry]:
        """Rows of one shard by name and key, after the key ``after``. ``name``: only entities of this name."""
        prefix = f"{ENTITY}{name}@" if name else ENTITY
        high = f"{ENTITY}{name}A" if name else _END  # the character after "@"
        found = await self._table.read_range(shard, f"{after}\x20" if after else prefix, high, limit=limit)
        return [_entry_of(row) for row in found.rows if row.key != after]

    def _shard(self, entity: EntityId) -> str:
        return f"{shard_of(entity.partition, self._partitions):02}"


def _entry_of(row: Row) -> EntityEntry:
    gone = row.props.get("gone")
    return EntityEntry(EntityId.parse(str(row.props["entity"])), row.key, None if gone is None else from_iso(str(gone)))


def by_name(entries: Sequence[EntityEntry]) -> list[EntityEntry]:
    return sorted(entries, key=lambda entry: entry.key)
