"""Due times of scheduled operations that are more than ten minutes away, until recovery sends their wake-ups.

The rows are in the timers table, in partitions of their own: a host that does not know entities leaves them there.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from ...entities import EntityId
from ...errors import RowExistsError, RowNotFoundError
from ...lazy_dataclass import dataclass
from ...storage.ports import Row, Table
from ..names import shard_of
from ..times import epoch_ms, from_iso, iso


@dataclass(frozen=True, slots=True)
class EntityTimer:
    """An entity with an operation that is due then."""

    entity: EntityId
    due: datetime


class EntityTimers:
    def __init__(self, table: Table, partitions: int) -> None:
        self._table = table
        self._partitions = partitions

    async def put(self, timer: EntityTimer) -> None:
        """Insert a row, unless the entity has one for this moment."""
        with suppress(RowExistsError):
            await self._table.insert(
                self._shard(timer), _key(timer), {"entity": str(timer.entity), "due": iso(timer.due)}
            )

    async def due_before(self, moment: datetime, limit: int = 1000) -> list[EntityTimer]:
        """The next ones due before ``moment``, at most ``limit`` of each shard."""
        timers: list[EntityTimer] = []
        for index in range(self._partitions):
            high = f"{max(epoch_ms(moment), 0) + 1:015}"
            found = await self._table.read_range(_partition(index), "", high, limit=limit)
            timers.extend(_timer(row) for row in found.rows)
        return timers

    async def delete(self, timer: EntityTimer) -> None:
        with suppress(RowNotFoundError):  # another host has sent it, too
            await self._table.delete(self._shard(timer), _key(timer))

    def _shard(self, timer: EntityTimer) -> str:
        return _partition(shard_of(timer.entity.partition, self._partitions))


def _partition(index: int) -> str:
    return f"entities-{index:02}"


def _key(timer: EntityTimer) -> str:
    return f"{max(epoch_ms(timer.due), 0):015}-{timer.entity.partition}"


def _timer(row: Row) -> EntityTimer:
    return EntityTimer(EntityId.parse(str(row.props["entity"])), from_iso(str(row.props["due"])))
