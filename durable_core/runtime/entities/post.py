"""Brings parcels to entities: the catalogue row first, then the parcel, then a wake-up (rule N7)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ...entities import EntityId
from ...hub.entities.operations import Parcel
from ...hub.messages import EntityWakeUp
from ...hub.taskhub import TaskHub

KNOWN_SECONDS = 3600.0  # for which a catalogue row that was seen is known to be there
MOST_KNOWN = 10_000


class Post:
    """One per process: it remembers which entities have a catalogue row."""

    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub
        self._known: dict[EntityId, float] = {}

    async def deliver(self, entity: EntityId, parcels: Sequence[Parcel]) -> None:
        """Put parcels into the mailbox of an entity, in this order, and wake it up. Done twice, it does no harm."""
        await self.enter(entity)
        for parcel in parcels:
            await self._hub.entities.put(entity, parcel)
        await self._hub.wake_up(EntityWakeUp(entity=entity))

    async def enter(self, entity: EntityId) -> None:
        """Make sure that the entity has a catalogue row."""
        now = asyncio.get_running_loop().time()
        if now < self._known.get(entity, now):
            return
        await self._hub.entity_catalog.enter(entity)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[entity] = now + KNOWN_SECONDS

    def forget(self, entity: EntityId) -> None:
        """The catalogue row of the entity may be gone."""
        self._known.pop(entity, None)
