"""Sends what a batch of an entity has decided: parcels, answers, starts; and arms scheduled operations.

All of it may be sent twice without harm: parcels are recognised by their numbers, answers by their tasks, starts by
their execution ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...entities import EntityId
from ...errors import UnknownOrchestratorError
from ...headers import NO_HEADERS
from ...hub.entities.operations import Answer
from ...hub.entities.row import EntityRow, SentParcel, SentStart
from ...hub.entities.timers import EntityTimer
from ...hub.instance_row import Instance
from ...hub.messages import ControlMessage, EntityWakeUp, TaskOutcome
from ...hub.taskhub import TaskHub
from ...log_context import durable_logger
from ...models import RuntimeStatus
from ...orchestrator_versions import UNDECIDED
from ...registry import Registry
from ..at_once import run_some_at_once
from ..clock import Clock
from ..turn.decision import bare_wake_up

if TYPE_CHECKING:
    from ..turn.dispatch import Dispatcher

SHORTEST_WAIT = 0.01  # seconds; a queue rounds less to none

logger = durable_logger("durable_core.runtime")


class Outgoing:
    """Sends for all entities of a process."""

    def __init__(self, hub: TaskHub, registry: Registry, clock: Clock, dispatcher: Dispatcher) -> None:
        self._hub = hub
        self._registry = registry
        self._clock = clock
        self._dispatcher = dispatcher

    async def send(self, row: EntityRow, *, again: bool) -> None:
        """Send what the last batch has decided. ``again``: it may have been sent before."""
        parcels: dict[str, list[SentParcel]] = {}
        answers: dict[tuple[str, str, int], list[Answer]] = {}
        work: list[Coroutine[Any, Any, None]] = []
        for index, sent in enumerate(row.out):
            match sent:
                case SentParcel():
                    parcels.setdefault(sent.entity, []).append(sent)
                case Answer(asker):
                    key = (asker.instance_id, asker.execution_id, asker.rewinds)
                    answers.setdefault(key, []).append(sent)
                case SentStart():
                    work.append(self._start(row, index, sent, again))
        for target, group in parcels.items():
            each = [replace(sent.parcel, again=again, sender=str(row.entity)) for sent in group]
            work.append(self._dispatcher.post.deliver(EntityId.parse(target), each))
        for (instance_id, execution_id, rewinds), group in answers.items():
            work.append(self._answer(instance_id, execution_id, rewinds, group))
        await run_some_at_once(work)

    async def arm(self, entity: EntityId, due: datetime) -> None:
        """Have the entity woken up when a scheduled operation is due."""
        wait = due - self._clock.now()
        if wait > self._hub.timers.rows_from:
            await self._hub.entity_timers.put(EntityTimer(entity, due))
            return
        seconds = wait.total_seconds()
        wake_up = EntityWakeUp(entity=entity, due=due.timestamp())
        await self._hub.wake_up(wake_up, max(seconds, SHORTEST_WAIT) if seconds > 0 else 0.0)

    async def _answer(self, instance_id: str, execution_id: str, rewinds: int, answers: list[Answer]) -> None:
        outcomes = tuple(
            TaskOutcome(answer.asker.generation, answer.asker.task_id, 1, answer.result, answer.failure)
            for answer in answers
        )
        message = ControlMessage(instance_id=instance_id, execution_id=execution_id, outcomes=outcomes, rewinds=rewinds)
        await self._hub.send(message)

    async def _start(self, row: EntityRow, index: int, start: SentStart, again: bool) -> None:
        """Start an orchestration; once, as its execution id follows from the batch."""
        execution_id = hashlib.sha256(f"{row.life}/{row.seq}/{index}".encode()).hexdigest()[:16]
        present = await self._hub.instances.get(start.instance_id) if again else None
        if present is None:
            version = start.version
            if version is None:
                try:
                    version = self._registry.orchestrator(start.name).version
                except UnknownOrchestratorError:  # the first host that has it decides; until then it is stuck
                    version = UNDECIDED
            present = await self._dispatcher.children.create(
                Instance(
                    instance_id=start.instance_id,
                    execution_id=execution_id,
                    name=start.name,
                    version=version,
                    status=RuntimeStatus.PENDING,
                    created=start.decided,
                    updated=start.decided,
                    input=await self._hub.payloads.store(start.instance_id, execution_id, start.input),
                    build=row.build,
                    headers=self._hub.instances.stored_headers(start.headers or NO_HEADERS),
                )
            )
        if present.execution_id != execution_id:
            logger.warning(
                "orchestration '%s' is not started by entity %s: there is an instance '%s' already",
                start.name,
                row.entity,
                start.instance_id,
            )
            return
        await self._hub.send(replace(bare_wake_up(present), redelivered=again))
