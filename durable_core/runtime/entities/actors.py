"""Keeps the actors of the entities of a process."""

from __future__ import annotations

import asyncio

from ...entities import EntityId
from ...hub.messages import EntityWakeUp
from ..turn.delivery import Lease
from ..turn.process_tasks import ProcessTasks
from .actor import EntityActor, EntityDelivery, SentBatches
from .out import Outgoing
from .services import EntityServices


class EntityActors:
    """One per process and task hub."""

    def __init__(self, services: EntityServices, outgoing: Outgoing, tasks: ProcessTasks) -> None:
        self._services = services
        self._outgoing = outgoing
        self._tasks = tasks
        self._sent = SentBatches()
        self._actors: dict[EntityId, EntityActor] = {}

    async def deliver(self, message: EntityWakeUp, lease: Lease, *, redelivered: bool) -> None:
        """Wake up an entity; returns when its mailbox was read after this, and all that could be applied is.

        After any error that is unknown: the message must be delivered again.
        """
        caller: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        actor = self._actors.get(message.entity)
        if actor is None:
            actor = self._actors[message.entity] = EntityActor(
                message.entity, self._services, self._outgoing, self._sent, self._tasks, self._forget
            )
        actor.deliver(EntityDelivery(message, lease, redelivered or message.redelivered, caller))
        await caller

    def _forget(self, entity: EntityId) -> None:
        del self._actors[entity]
