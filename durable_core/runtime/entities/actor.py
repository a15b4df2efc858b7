"""One entity in one process: wake-ups come in, batches go out, one at a time.

A turn: load the row and the mailbox with one read; send again what the last batch has sent, unless this process knows
that it is sent; apply parcels; commit; send; delete the message. Rules N1 to N30 are those of docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import field, replace
from datetime import datetime

from ...entities import EntityId, HeldState
from ...errors import (
    CodecError,
    DamagedRowError,
    NewerFormatError,
    PreconditionFailedError,
    RowExistsError,
    RowNotFoundError,
    StorageUnavailableError,
    UnknownEntityError,
)
from ...hub.entities.row import EntityRow
from ...hub.entities.store import LoadedEntity
from ...hub.messages import REDISPATCH_ALL, EntityWakeUp
from ...hub.payloads import PayloadGoneError
from ...lazy_dataclass import dataclass
from ...log_context import durable_logger
from ...moments import from_epoch
from ..turn.delivery import Lease
from ..turn.process_tasks import ProcessTasks
from .batch import Batch, Mailbox
from .code import EntityCode
from .out import Outgoing
from .services import EntityServices

MAX_CONFLICTS = 5  # after that, another host works on the entity: wake it up again
LONGEST_WAIT = 600.0  # seconds between two tries of an entity that no host can run
SENT_KEPT = 10_000

_CONFLICTS = (PreconditionFailedError, RowExistsError, RowNotFoundError, PayloadGoneError)

logger = durable_logger("durable_core.runtime")


@dataclass(eq=False, slots=True)
class EntityDelivery:
    """A wake-up on its way into a turn."""

    message: EntityWakeUp
    lease: Lease
    redelivered: bool
    caller: asyncio.Future[None]


@dataclass(slots=True)
class SentBatches:
    """The batches of which this process knows that all is sent: for each entity the last (rules N6, N10); and for when
    it was woken up last."""

    _known: OrderedDict[EntityId, tuple[tuple[str, int], datetime | None]] = field(
        default_factory=lambda: OrderedDict()
    )

    def has(self, row: EntityRow) -> bool:
        known = self._known.get(row.entity)
        return known is not None and known[0] == row.known_as

    def is_armed(self, entity: EntityId, due: datetime) -> bool:
        known = self._known.get(entity)
        return known is not None and known[1] == due

    def note(self, row: EntityRow, due: datetime | None) -> None:
        self._known[row.entity] = row.known_as, due
        self._known.move_to_end(row.entity)
        if len(self._known) > SENT_KEPT:
            self._known.popitem(last=False)


class EntityActor:
    def __init__(
        self,
        entity: EntityId,
        services: EntityServices,
        outgoing: Outgoing,
        sent: SentBatches,
        tasks: ProcessTasks,
        idle: Callable[[EntityId], None],
    ) -> None:
        self._entity = entity
        self._services = services
        self._outgoing = outgoing
        self._sent = sent
        self._tasks = tasks
        self._idle = idle
        self._pool: list[EntityDelivery] = []
        self._running = False

    def deliver(self, delivery: EntityDelivery) -> None:
        """Pool a wake-up for the next turn, which reads after this."""
        self._pool.append(delivery)
        if not self._running:
            self._running = True
            self._tasks.spawn(self._run())

    async def _run(self) -> None:
        try:
            while self._pool:
                turn, self._pool = self._pool, []
                try:
                    await self._turn(turn)
                except BaseException as error:
                    for delivery in turn:
                        _fail(delivery, error)
                    if not isinstance(error, Exception):
                        raise
                else:
                    for delivery in turn:
                        if not delivery.caller.done():
                            delivery.caller.set_result(None)
        finally:
            self._running = False
            self._idle(self._entity)

    async def _turn(self, turn: list[EntityDelivery]) -> None:
        """Try until the mailbox holds nothing that may be applied, then the messages of the turn may be deleted."""
        conflicts = 0
        is_all = any(delivery.message.after == REDISPATCH_ALL for delivery in turn)
        while True:
            try:
                loaded = await self._services.hub.entities.load(self._entity)
                await self._move(loaded, turn, is_all=is_all)
                await self._arm_again(turn)
                return
            except (UnknownEntityError, CodecError, NewerFormatError, DamagedRowError) as error:
                await self._wait(turn, error)
                return
            except _CONFLICTS as error:
                conflicts += 1
                logger.debug("conflict %d on entity %s: %s", conflicts, self._entity, error)
                if conflicts > MAX_CONFLICTS:
                    await self._hand_over(turn, 0.0, None)
                    return

    async def _move(self, loaded: LoadedEntity, turn: list[EntityDelivery], *, is_all: bool) -> None:
        services, hub = self._services, self._services.hub
        row = loaded.row
        mailbox = Mailbox.of(loaded.parcels, loaded.scheduled)
        if row is None and not mailbox.parcels and not mailbox.scheduled:
            return
        if row is None:
            await hub.entity_catalog.enter(self._entity)  # rule N7
        elif is_all or not self._sent.has(row):  # rule N6
            await self._send(row, mailbox, again=True)
        lease = _longest(turn)
        stored = None if row is None or not row.exists else await hub.entities.state_text(row)
        state = HeldState() if stored is None else HeldState(True, json.loads(stored))
        while mailbox.parcels or mailbox.scheduled:
            before, now = row, services.clock.now()
            current = row if row is not None else self._fresh()
            batch = Batch(current, state, mailbox, hub.entities, lambda: self._code(lease), now, lease.budget)
            if not await batch.run():
                return
            commit = batch.commit(hub.ids.commit_id(), services.build, state, stored)
            row = await hub.entities.commit(before, commit)  # rules N3, N4
            consumed = batch.consumed()
            mailbox.parcels = [parcel for parcel in mailbox.parcels if parcel.key not in consumed]
            mailbox.scheduled = [each for each in mailbox.scheduled if each.key not in consumed]
            mailbox.scheduled.extend(commit.inserted)
            stored = commit.state if commit.state is not None else stored if state.exists else None
            if mailbox.spilled is not None:
                mailbox.spilled |= commit.spilled
            await self._send(row, mailbox, again=False)
            gone = [] if before is None else [each for each in before.references if each not in row.references]
            gone.extend(parcel.reference for parcel in consumed.values() if parcel.reference)
            await hub.entities.drop_payloads(self._entity, gone)
            if asyncio.get_running_loop().time() > lease.budget and (mailbox.parcels or mailbox.scheduled):
                await hub.wake_up(EntityWakeUp(entity=self._entity))
                return

    async def _send(self, row: EntityRow, mailbox: Mailbox, *, again: bool) -> None:
        await self._outgoing.send(row, again=again)
        due = mailbox.due
        if due is not None and (again or not self._sent.is_armed(self._entity, due)):
            await self._outgoing.arm(self._entity, due)
        self._sent.note(row, due)

    async def _arm_again(self, turn: list[EntityDelivery]) -> None:
        """Send wake-ups that are early again: by this clock nothing is due."""
        now = self._services.clock.now()
        for due in {each.message.due for each in turn if each.message.due is not None}:
            if (moment := from_epoch(due)) > now:
                await self._outgoing.arm(self._entity, moment)

    def _fresh(self) -> EntityRow:
        """The row of an entity that has none (rule N9)."""
        now = self._services.clock.now()
        life = self._services.hub.ids.execution_id()
        return EntityRow(entity=self._entity, life=life, created=now, updated=now, seq=-1)

    def _code(self, lease: Lease) -> EntityCode:
        """UnknownEntityError if this host lacks the entity."""
        services = self._services
        definition = services.registry.entity(self._entity.name)
        until = max(lease.leave, lease.budget)
        return EntityCode(
            definition,
            self._entity,
            services.converter,
            services.hub.ids.instance_id,
            services.clock.now(),
            until - TO_COMMIT * (until - lease.budget),
        )

    # ------------------------------------------------------------ when it cannot go on here

    async def _wait(self, turn: list[EntityDelivery], error: Exception) -> None:
        """Send the wake-up back with a delay: another host, or a later build, may be able to run the entity."""
        marker, hub = self._services.stuck_marker, self._services.hub
        since = min((each.message.since for each in turn if each.message.since), default=marker.stamp())
        logger.warning("entity %s cannot go on in this host: %s", self._entity, error)
        row = None
        try:
            row = await hub.entities.read(self._entity)
            if row is not None and row.stuck != str(error):
                await hub.entities.mark_stuck(self._entity, str(error))
        except (CodecError, NewerFormatError, DamagedRowError, RowNotFoundError, PayloadGoneError):
            logger.debug("entity %s cannot be shown as stuck", self._entity)
        waited = marker.age(since)
        await self._hand_over(turn, min(max(waited / 2, marker.delay(0.0)), LONGEST_WAIT), since)

    async def _hand_over(self, turn: list[EntityDelivery], delay: float, since: float | None) -> None:
        first = turn[0].message
        redelivered = any(delivery.redelivered for delivery in turn)
        after = next((each.message.after for each in turn if each.message.after is not None), None)
        message = replace(first, redelivered=redelivered, after=after, since=since)
        await self._services.hub.wake_up(message, delay)


TO_COMMIT = 0.2  # of the time between the end of the budget and the deadline that is left for the commit


def _longest(turn: list[EntityDelivery]) -> Lease:
    return Lease.longest([delivery.lease for delivery in turn])


def _fail(delivery: EntityDelivery, error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError):
        error = StorageUnavailableError("this process stopped before the message was dealt with")
    if not delivery.caller.done():
        delivery.caller.set_exception(error)
