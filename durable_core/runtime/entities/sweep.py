"""The sweep: once a day it forgets senders that are gone, deletes what is left of entities, and releases lost locks.

A cursor is forgotten seven days after the last parcel of its sender, if the sender is no open instance and has nothing
in the mailbox (rules N21, N22). An ended instance sends nothing again when it ended more than half of that ago (N23). A
row without state stays for as long as it has cursors (N24); its catalogue row stays a day longer (N8).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from ...entities import EntityId
from ...errors import (
    PreconditionFailedError,
    RowNotFoundError,
)
from ...hub.catalog import OPEN
from ...hub.entities.catalog import EntityEntry
from ...hub.entities.keys import is_of_client, is_of_entity, stream_of_client
from ...hub.entities.operations import Operation, OperationKind, Parcel
from ...hub.entities.row import Cursor, EntityRow, Lock
from ...hub.entities.store import Whole
from ...hub.payloads import PayloadGoneError
from ...hub.taskhub import TaskHub
from ...lazy_dataclass import dataclass
from ...log_context import durable_logger
from ..clock import Clock
from ..listing import UNREADABLE
from ..turn.decision import entry_of
from .out import Outgoing
from .post import Post

EVERY = timedelta(days=1)
LOOKS_EVERY = timedelta(hours=1)  # whether another host has swept; an idle process asks for no more
FORGOTTEN_AFTER = timedelta(days=7)
LOST_AFTER = timedelta(minutes=5)
PAGE = 1000

logger = durable_logger("durable_core.recovery")


@dataclass(slots=True)
class SweepReport:
    """The numbers of what one sweep has done."""

    entities: int = 0
    forgotten: int = 0
    evicted: int = 0
    collected: int = 0
    orphans: int = 0
    released: int = 0


class Sweep:
    """One per process. ``post``, ``outgoing``: those of the process."""

    def __init__(self, hub: TaskHub, clock: Clock, post: Post, outgoing: Outgoing) -> None:
        self._hub = hub
        self._clock = clock
        self._post = post
        self._outgoing = outgoing
        self._next_look = clock.now() + LOOKS_EVERY

    async def run_when_due(self) -> SweepReport | None:
        """Sweep, if no host has done so for a day."""
        now = self._clock.now()
        if now < self._next_look:
            return None
        self._next_look = now + LOOKS_EVERY
        if not await self._hub.entity_catalog.claim_sweep(now, EVERY):
            return None
        return await self.run()

    async def run(self) -> SweepReport:
        """One sweep over all entities. It reads each of them, and the open instances if senders may be forgotten."""
        report = SweepReport()
        open_executions: set[str] | None = None
        for shard in self._hub.entity_catalog.shards:
            after = ""
            while entries := await self._hub.entity_catalog.page(shard, after, PAGE):
                after = entries[-1].key
                for entry in entries:
                    report.entities += 1
                    try:
                        whole = await self._hub.entities.whole(entry.entity)
                        if open_executions is None and _has_expired_orchestrations(whole, self._clock.now()):
                            open_executions = await self._open_executions()
                        await self._sweep(entry, whole, open_executions or set(), report)
                    except (PreconditionFailedError, RowNotFoundError, PayloadGoneError):
                        continue  # it is used at this moment: the next sweep
                    except UNREADABLE as error:
                        logger.warning("the sweep skips entity %s: %s", entry.entity, error)
                if len(entries) < PAGE:
                    break
        return report

    async def release_lost(self) -> int:
        """Release every lost lock; returns their number."""
        released = 0
        for shard in self._hub.entity_catalog.shards:
            after = ""
            while entries := await self._hub.entity_catalog.page(shard, after, PAGE):
                after = entries[-1].key
                for entry in entries:
                    with suppress(*UNREADABLE, PayloadGoneError):
                        row = await self._hub.entities.read(entry.entity)
                        if row is not None and row.lock is not None:
                            released += await self.release_if_lost(entry.entity, row.lock)
                if len(entries) < PAGE:
                    break
        return released

    async def release_if_lost(self, entity: EntityId, lock: Lock) -> bool:
        """Release a lock whose holder has ended, or is gone. Every end releases; this is for what no rule foresees."""
        if self._clock.now() - lock.since < LOST_AFTER or not await self._is_gone(lock):
            return False
        logger.warning(
            "entity %s is locked by instance '%s', which is gone: it is released", entity, lock.holder.instance_id
        )
        release = Operation(kind=OperationKind.RELEASE, section=lock.section, chain=lock.chain, position=lock.position)
        stream = stream_of_client(self._hub.ids.ulid(self._clock.now()))
        await self._post.deliver(entity, [Parcel(stream=stream, number=0, sender="recovery", operations=(release,))])
        return True

    # ------------------------------------------------------------ one entity

    async def _sweep(self, entry: EntityEntry, whole: Whole, open_executions: set[str], report: SweepReport) -> None:
        entity, entities, now = entry.entity, self._hub.entities, self._clock.now()
        row = whole.row
        if row is None:
            await self._sweep_without_row(entry, whole, report)
            return
        if row.lock is not None and await self.release_if_lost(entity, row.lock):
            report.released += 1
            return
        if whole.streams:  # a duplicate, perhaps: its host died before the wake-up, and its sender needs it no more
            await self._post.deliver(entity, [])
        old = to_forget(row.cursors, whole.streams, open_executions, now)
        if old:
            row = await entities.keep_cursors(
                row, {stream: row.cursors[stream] for stream in row.cursors if stream not in old}
            )
            report.forgotten += len(old)
        spilled_left = 0
        for key, cursors in whole.spilled.items():
            gone = to_forget(cursors, whole.streams, open_executions, now)
            if len(gone) == len(cursors):
                await entities.delete_row(entity, key)
                report.forgotten += len(gone)
            else:
                spilled_left += 1
        orphans = [key for key, written in whole.orphans.items() if now - written > FORGOTTEN_AFTER]
        for key in orphans:
            await entities.delete_row(entity, key)
        report.orphans += len(orphans)
        if is_empty(row, spilled_left, whole):
            await self._outgoing.send(row, again=True)
            await self._hub.entity_catalog.mark_gone(entity, now)  # first: no crash leaves an older mark
            await entities.evict(row)
            self._post.forget(entity)
            report.evicted += 1

    async def _sweep_without_row(self, entry: EntityEntry, whole: Whole, report: SweepReport) -> None:
        """The catalogue row of an entity that has no row: a sender may be about to write its first parcel."""
        now = self._clock.now()
        if whole.streams or whole.has_scheduled:
            await self._post.deliver(entry.entity, [])
        elif entry.gone is None:
            await self._hub.entity_catalog.mark_gone(entry.entity, now)
        elif may_be_collected(entry.gone, now):
            await self._hub.entity_catalog.forget(entry.entity)
            self._post.forget(entry.entity)
            again = await self._hub.entities.whole(entry.entity)
            if again.row is not None or again.streams:  # written at this moment
                await self._post.deliver(entry.entity, [])
            report.collected += 1

    async def _is_gone(self, lock: Lock) -> bool:
        try:
            holder = await self._hub.instances.get(lock.holder.instance_id)
        except UNREADABLE:
            return False
        if holder is None or holder.execution_id != lock.holder.execution_id:
            return True
        return holder.is_terminal and not await self._hub.catalog.is_open(entry_of(holder))

    async def _open_executions(self) -> set[str]:
        found: set[str] = set()
        for shard in self._hub.catalog.shards:
            after = ""
            while entries := await self._hub.catalog.read(shard, OPEN, after, PAGE):
                after = entries[-1].key
                found.update(entry.execution_id for entry in entries)
                if len(entries) < PAGE:
                    break
        return found


def to_forget(
    cursors: Mapping[str, Cursor], in_mailbox: Collection[str], open_executions: Collection[str], now: datetime
) -> list[str]:
    """The streams whose cursors are forgotten (rules N21, N22). Those of entities never are: an entity sends what its
    last batch has sent again, however long ago that was."""
    limit = (now - FORGOTTEN_AFTER).timestamp()
    return [
        stream
        for stream, cursor in cursors.items()
        if cursor.at < limit and not is_of_entity(stream) and stream not in in_mailbox and stream not in open_executions
    ]


def is_empty(row: EntityRow, spilled: int, whole: Whole) -> bool:
    """Whether nothing is left of an entity but its row (rule N24)."""
    return not (row.exists or row.lock or row.cursors or spilled or whole.streams or whole.has_scheduled)


def may_be_collected(gone: datetime, now: datetime) -> bool:
    """Whether the catalogue row of an entity may be deleted that has had no row since then: every process knows for an
    hour at most that it is there (rule N8)."""
    return now - gone > EVERY


def _has_expired_orchestrations(whole: Whole, now: datetime) -> bool:
    limit = (now - FORGOTTEN_AFTER).timestamp()
    cursors: Iterable[Mapping[str, Cursor]] = [{} if whole.row is None else whole.row.cursors, *whole.spilled.values()]
    return any(
        cursor.at < limit and not is_of_client(stream) and not is_of_entity(stream)
        for each in cursors
        for stream, cursor in each.items()
    )
