"""Long timers: those more than ten minutes away are rows by due minute until the recovery function arms them.

(A delayed message for each would count as backlog for Azure's scale controller and would not outlive a purge.) A
setting puts the limit lower, down to a minute; recovery is too rare then, and a timer function of its own arms them.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from ..errors import RowExistsError, RowNotFoundError
from ..lazy_dataclass import dataclass
from ..storage.ports import Row, Table
from .names import shard_of
from .times import epoch_ms, from_iso, iso

LONG_TIMER = timedelta(minutes=10)
"""The limit unless the setting is given: twice the time between two rounds of recovery."""
_INTERVALS = (120, 60, 30)


def arming_interval(rows_from: timedelta) -> int | None:
    """Seconds between two rounds that arm timers; None if those of recovery are enough for this limit.

    At most half of the limit: a row is due later than that after it is written, so at least one whole round sees it.
    """
    if rows_from >= LONG_TIMER:
        return None
    return next(seconds for seconds in _INTERVALS if 2 * seconds <= rows_from.total_seconds())


@dataclass(frozen=True, slots=True)
class LongTimer:
    """A task whose timer, next attempt or deadline is due at ``due``. ``rewinds``: as in the message to be sent."""

    instance_id: str
    execution_id: str
    generation: int
    task_id: int
    due: datetime
    is_deadline: bool = False
    rewinds: int = 0


class LongTimers:
    """rows_from: a timer that is further away than this is a row; one that is nearer is a delayed message."""

    def __init__(self, table: Table, partitions: int, rows_from: timedelta = LONG_TIMER) -> None:
        self._table = table
        self._partitions = partitions
        self.rows_from = rows_from

    async def put(self, timer: LongTimer) -> None:
        """Insert the row of a timer; an existing one is kept: a redispatch writes the same key."""
        try:
            await self._table.insert(
                self._shard(timer),
                _key(timer),
                {
                    "instance": timer.instance_id,
                    "exec": timer.execution_id,
                    "gen": timer.generation,
                    "task": timer.task_id,
                    "due": iso(timer.due),
                    **({"deadline": True} if timer.is_deadline else {}),
                    **({"rewinds": timer.rewinds} if timer.rewinds else {}),
                },
            )
        except RowExistsError:
            return

    async def due_before(self, moment: datetime, limit: int = 1000) -> list[LongTimer]:
        """The next timers due before ``moment``, at most ``limit`` of each shard."""
        timers: list[LongTimer] = []
        for shard in range(self._partitions):
            found = await self._table.read_range(f"{shard:02}", "", _minute(moment), limit=limit)
            timers.extend(_timer(row) for row in found.rows)
        return timers

    async def page(self, limit: int, after: str = "") -> tuple[list[LongTimer], str]:
        """The next ``limit`` timers, the earliest due first, after a position; and the position of the last, '' if
        there are no more."""
        low = after + "\x20" if after else ""
        shards = [f"{shard:02}" for shard in range(self._partitions)]
        found = await asyncio.gather(*(self._table.read_range(shard, low, limit=limit + 1) for shard in shards))
        rows = sorted((row for each in found for row in each.rows if row.key != after), key=lambda row: row.key)
        return [_timer(row) for row in rows[:limit]], rows[limit - 1].key if len(rows) > limit else ""

    async def delete(self, timer: LongTimer) -> None:
        try:
            await self._table.delete(self._shard(timer), _key(timer))
        except RowNotFoundError:
            return  # another host has armed it too

    def _shard(self, timer: LongTimer) -> str:
        return f"{shard_of(timer.instance_id, self._partitions):02}"


def _timer(row: Row) -> LongTimer:
    return LongTimer(
        str(row.props["instance"]),
        str(row.props["exec"]),
        int(str(row.props["gen"])),
        int(str(row.props["task"])),
        from_iso(str(row.props["due"])),
        bool(row.props.get("deadline")),
        int(str(row.props.get("rewinds", 0))),
    )


def _minute(moment: datetime) -> str:
    return f"{epoch_ms(moment) // 60_000 + 1:010}"


def _key(timer: LongTimer) -> str:
    task = f"{timer.task_id}d" if timer.is_deadline else f"{timer.task_id}"  # its next attempt may be due then, too
    if timer.rewinds:
        task = f"{task}w{timer.rewinds}"
    return f"{epoch_ms(timer.due) // 60_000:010}-{timer.execution_id}-{timer.generation}-{task}-{timer.instance_id}"
