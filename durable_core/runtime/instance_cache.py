"""Keeps the actors of a process, limits the memory of warm instances, and notifies waiting clients of ended ones."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from ..engine.updates import UpdateAnswer
from ..hub.instance_row import Instance
from ..hub.messages import ControlMessage
from ..models import NO_OPERATIONS, Operations
from .completion import Completions
from .turn.actor import Actor
from .turn.delivery import AtWork, Delivery, Lease
from .turn.dispatched_commits import DispatchedCommits
from .turn.process_tasks import ProcessTasks
from .turn.services import Services


class InstanceCache:
    """One per process and task hub. ``conflicts`` counts commits that met another host's."""

    def __init__(self, services: Services, ends: Completions | None = None) -> None:
        self._services = services
        self._actors: dict[str, Actor] = {}
        self._weights: OrderedDict[Actor, int] = OrderedDict()  # least recently used first
        self._warm_bytes = 0
        self.ends = Completions() if ends is None else ends
        self.dispatched = DispatchedCommits()
        self.tasks = ProcessTasks()
        self.conflicts = 0
        self.on_generation: Callable[[Instance, str], None] = lambda _instance, _line: None
        """Called at every continue-as-new with the new generation and the ``file:line`` of the call."""

    async def deliver(
        self,
        message: ControlMessage,
        lease: Lease,
        *,
        redelivered: bool = False,
        seen: frozenset[tuple[int, int]] = frozenset(),
        operations: Operations = NO_OPERATIONS,
        at_work: AtWork | None = None,
    ) -> None:
        """Deliver content to its instance; returns when the commit that records it is durable and dispatched.

        operations, at_work: see ``Delivery``. After any error that is unknown: the message must be delivered again.
        """
        caller: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        delivery = Delivery(
            message=message,
            lease=lease,
            redelivered=redelivered or message.redelivered,
            seen=seen,
            operations=operations,
            at_work=at_work,
            callers=[caller],
        )
        actor = self._actors.get(message.instance_id)
        if actor is None:
            actor = self._actors[message.instance_id] = Actor(message.instance_id, self._services, self)
        actor.deliver(delivery)
        await caller

    def is_warm(self, instance_id: str) -> bool:
        """Whether this process keeps the live orchestrator of the instance, or is at work on it."""
        actor = self._actors.get(instance_id)
        return actor is not None and (actor.is_warm or actor.is_busy)

    def knows(self, instance_id: str, execution_id: str, tasks: Iterable[tuple[int, int]]) -> bool:
        """Whether this process is at work on the instance, or keeps a live orchestrator that has called these tasks
        (generation, task id)."""
        actor = self._actors.get(instance_id)
        return actor is not None and (actor.is_busy or actor.has_called(execution_id, tasks))

    def is_at_work(self, instance_id: str) -> bool:
        """Whether this process runs a turn, or a step, of the instance at this moment."""
        actor = self._actors.get(instance_id)
        return actor is not None and actor.is_busy

    @property
    def warm_instances(self) -> int:
        return len(self._weights)

    @property
    def warm_bytes(self) -> int:
        """The estimated bytes of all warm instances."""
        return self._warm_bytes

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for running turns and inline activities, at most so long; None: until they end. The caller must have
        stopped delivering messages."""
        await self.tasks.drain(seconds)

    def abandon(self) -> None:
        """Cancel running turns and drop all warm instances; other hosts receive the messages again."""
        self.tasks.cancel()
        for actor in list(self._actors.values()):
            actor.cool()

    # ---------------------------------------------------------------- called by actors

    def warmed(self, actor: Actor, weight: int) -> None:
        """An actor ends a turn and keeps its orchestrator, of ``weight`` bytes; drop others if the cache is full."""
        self._warm_bytes += weight - self._weights.pop(actor, 0)
        self._weights[actor] = weight
        settings = self._services.settings
        for _ in range(len(self._weights)):  # each once at most, and in a full cache one or two, however many there are
            if self._warm_bytes <= settings.warm_cache and len(self._weights) <= settings.warm_instances:
                return
            candidate = next(iter(self._weights))
            if candidate is actor or not candidate.is_turning:
                candidate.cool()
                self._forget(candidate)
            else:  # one in a turn stands on its orchestrator, and has just been used
                self._weights.move_to_end(candidate)

    def cooled(self, actor: Actor) -> None:
        self._warm_bytes -= self._weights.pop(actor, 0)

    def ended(self, instance: Instance) -> None:
        self.ends.ended(instance)

    def continued(self, instance: Instance, line: str) -> None:
        self.on_generation(instance, line)

    def answered(self, instance: Instance, answers: Sequence[UpdateAnswer]) -> None:
        self.ends.updates.told(instance, answers)

    def idle(self, actor: Actor) -> None:
        self._forget(actor)

    def _forget(self, actor: Actor) -> None:
        if not actor.is_busy and not actor.is_warm and self._actors.get(actor.instance_id) is actor:
            del self._actors[actor.instance_id]
