"""Deletes ended instances once they are older than their status is kept: ``DURABLE_RETENTION``.

A round is one bite of limited size, done by the recovery timer. It reads the closed catalogue rows that were created
before the shortest retention began, a page of each shard, and goes on after that page in the next round; rows that are
not due yet are passed over. A purge that dies half way is done again by a later round.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ..errors import ExecutionGoneError
from ..hub.catalog import CLOSED, Entry
from ..hub.taskhub import TaskHub
from ..hub.times import inverted_ms
from ..models import RuntimeStatus
from .clock import Clock
from .listing import LOOKED_AT_ONCE, UNREADABLE
from .purge import Purge

PAGE = 1000
"""Rows of each shard that are read in a round: one operation."""

BITE_SECONDS = 20.0
"""The time after which a round begins no further purge: the timer has other things to do."""

logger = logging.getLogger("durable_core.recovery")


class Retention:
    """keep: for how long instances that ended with a status are kept; those of other statuses are kept for ever."""

    def __init__(self, hub: TaskHub, clock: Clock, purge: Purge, keep: Mapping[RuntimeStatus, timedelta]) -> None:
        self._hub, self._clock, self._purge, self._keep = hub, clock, purge, keep
        self._after: dict[str, str] = {}  # shard → key after which the next round goes on

    async def run(self) -> int:
        """One bite. Returns the number of deleted instances."""
        if not self._keep:
            return 0
        loop, now, deleted = asyncio.get_running_loop(), self._clock.now(), 0
        end = loop.time() + BITE_SECONDS
        oldest = CLOSED + inverted_ms(now - min(self._keep.values()))
        for shard in self._hub.catalog.shards:
            entries = await self._hub.catalog.read(shard, CLOSED, self._after.pop(shard, oldest), PAGE)
            at = 0
            while at < len(entries) and loop.time() < end:
                some = entries[at : at + LOOKED_AT_ONCE]
                deleted += await self._purge_due(some, now)
                at += len(some)
            if at < len(entries) or len(entries) >= PAGE - 1:  # the key that was given takes the place of a row
                self._after[shard] = entries[at - 1].key if at else oldest
        if deleted:
            logger.info("%d instances were deleted, which ended longer ago than DURABLE_RETENTION says", deleted)
        return deleted

    async def _purge_due(self, entries: Sequence[Entry], now: datetime) -> int:
        due = [entry for entry in entries if self._is_due(entry, now)]
        return sum(await asyncio.gather(*(self._purge_one(entry) for entry in due)))

    def _is_due(self, entry: Entry, now: datetime) -> bool:
        keep = self._keep.get(entry.status)
        return entry.is_readable and keep is not None and entry.updated <= now - keep

    async def _purge_one(self, entry: Entry) -> int:
        try:
            deleted = await self._purge.one(entry.instance_id, entry.execution_id, recursive=False)
        except ExecutionGoneError:  # started again: its own closed row is what is left to delete
            deleted = 0
        except UNREADABLE as error:  # the other instances are purged all the same
            logger.warning("instance '%s' is kept, whatever DURABLE_RETENTION says: %s", entry.instance_id, error)
            return 0
        if not deleted and await self._is_of_nothing(entry):
            await self._hub.catalog.forget_closed(entry)
        return deleted

    async def _is_of_nothing(self, entry: Entry) -> bool:
        """Whether the execution of the entry no longer exists."""
        instance = await self._hub.instances.get(entry.instance_id)
        return instance is None or instance.execution_id != entry.execution_id
