"""A stage on which an interleaving is played exactly: hosts without listeners, whose every step the play decides.

A play takes a message to a host, holds the host before or after a storage operation, lets it go on, stops it for good.
In the end ``Stage.settle`` gives what is left to a fresh host, without recovery, which would hide what got lost.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from durable_core import Registry
from durable_core.errors import LeaseLostError, StorageUnavailableError
from durable_core.runtime.client import DurableClient
from durable_core.settings import Settings
from durable_core.storage.ports import Queue, QueueMessage
from durable_core.testing.faults import FaultPlan, FaultyStorage, HostCrashError, Moment
from durable_core.testing.oracle import Oracle
from durable_core.testing.simulation import LEASE, HostShape, SimulatedHost, World

from .oracle import check, watched
from .scenarios import Effects

Kind = Literal["control", "work"]

ROUNDS = 60  # of messages and waits, until what is left of a play is taken for a storm


class Hold:
    """A place where somebody is held, once: ``reached`` returns when he is there, ``let_go`` lets him on."""

    def __init__(self) -> None:
        self._reached, self._open = asyncio.Event(), asyncio.Event()

    async def stay(self) -> None:
        self._reached.set()
        await self._open.wait()

    async def reached(self) -> None:
        """AssertionError if a day of virtual time passes first."""
        try:
            async with asyncio.timeout(86_400):
                await self._reached.wait()
        except TimeoutError:
            raise AssertionError("the play expects a host at a place that it does not come to") from None

    def let_go(self) -> None:
        self._open.set()


class StagedHost(SimulatedHost):
    """A simulated host without listeners, with a clock ``ahead`` seconds ahead."""

    def __init__(self, world: World, *, ahead: float, seed: int) -> None:
        self._gates: list[tuple[re.Pattern[str], Moment, Hold | None]] = []
        super().__init__(world, HostShape(plan=FaultPlan(gate=self._gate), ahead=ahead), seed)

    @property
    def client(self) -> DurableClient:
        """A client in this host's process."""
        return self.app.client

    def hold(self, operation: str, moment: Moment = "before") -> Hold:
        """Hold the next storage operation that fits this pattern. See ``FaultPlan.operations`` for how they read."""
        hold = Hold()
        self._gates.append((re.compile(operation), moment, hold))
        return hold

    def crash_at(self, operation: str, moment: Moment = "before") -> None:
        """Let the host die at the next operation that fits this pattern."""
        self._gates.append((re.compile(operation), moment, None))

    async def begin(self, kind: Kind, containing: str = "") -> asyncio.Task[None]:
        """Receive the message that is next in the queue, and begin to handle it."""
        queue, message = await self._receive(kind, containing)
        turn = self._spawn(self._take(kind, queue, message))
        await asyncio.sleep(0)
        return turn

    async def handle(self, kind: Kind, containing: str = "") -> None:
        """Receive a message, handle it and delete it. Returns, too, when the host dies of it."""
        await asyncio.wait([await self.begin(kind, containing)])

    async def take_next(self) -> bool:
        """Handle one message, of whatever queue has one; whether there was any."""
        for kind in ("control", "work"):
            if (found := await self._peek(kind)) is not None:
                await self._take(kind, *found)
                return True
        return False

    async def _peek(self, kind: Kind) -> tuple[Queue, QueueMessage] | None:
        names = self.app.hub.names
        for name in names.control if kind == "control" else names.work:
            queue = self._world.storage.queue(name)
            if messages := await queue.receive(1, LEASE):
                return queue, messages[0]
        return None

    async def _receive(self, kind: Kind, containing: str) -> tuple[Queue, QueueMessage]:
        """Those before it in the queue stay there as they were."""
        passed: list[tuple[Queue, QueueMessage]] = []
        while (found := await self._peek(kind)) is not None and containing not in found[1].body:
            assert found[1].dequeue_count == 1, "the play would turn a redelivered message into a fresh one"
            passed.append(found)
        for queue, message in passed:
            await queue.delete(message)
            await queue.send(message.body)
        assert found is not None, f"the play expects a {kind} message"
        return found

    async def _take(self, kind: Kind, queue: Queue, message: QueueMessage) -> None:
        handler = self.app.on_control_message if kind == "control" else self.app.on_work_message
        seen = FaultyStorage(self._world.storage, self.plan).queue(queue.name)
        try:
            await handler(message.body, message.dequeue_count)
            await seen.delete(message)
        except LeaseLostError:
            return  # somebody else has the message now, or had it
        except (HostCrashError, StorageUnavailableError):
            if not self.plan.dead:
                raise

    async def _gate(self, operation: str, moment: Moment) -> None:
        for gate in self._gates:
            pattern, when, hold = gate
            if when == moment and pattern.search(operation):
                self._gates.remove(gate)
                if hold is None:
                    self.plan.dead = True
                    raise HostCrashError
                await hold.stay()
                if self.plan.dead:
                    raise HostCrashError
                return


class Stage:
    """What a play has: hosts to make, a client outside of them all, activities that it can hold by name.

    props: what the registry of a play keeps for it.
    """

    def __init__(self, world: World, effects: Effects, oracle: Oracle) -> None:
        self.world = world
        self.effects = effects
        self.oracle = oracle
        self.held: dict[str, list[Hold]] = {}
        self.props: dict[str, Any] = {}
        self._hosts: list[StagedHost] = []
        self.outside = self.host()

    @property
    def client(self) -> DurableClient:
        """Of a process without messages; it can be held, too: ``stage.outside.hold``."""
        return self.outside.client

    def host(self, *, ahead: float = 0.0) -> StagedHost:
        host = StagedHost(self.world, ahead=ahead, seed=len(self._hosts))
        self._hosts.append(host)
        return host

    def hold_activity(self, name: str) -> Hold:
        """Hold the next activity of this name after it has taken effect, before it returns."""
        hold = Hold()
        self.held.setdefault(name, []).append(hold)
        return hold

    async def during(self, name: str) -> None:
        """For activities: stay here while the play wants it."""
        if waiting := self.held.get(name):
            await waiting.pop(0).stay()

    async def lease_expires(self) -> None:
        """Let every message come back that somebody holds now."""
        await asyncio.sleep(LEASE + 1)

    async def settle(self) -> None:
        """Deliver what is left, to a host that knows nothing. AssertionError if there is no end of it."""
        fresh = self.host()
        names = self.world.outside.hub.names
        for _ in range(ROUNDS):
            if await fresh.take_next():
                continue
            if not any([await self.world.storage.queue(name).count() for name in names.queues]):
                return
            await self.lease_expires()
        raise AssertionError("a storm: there is no end of messages")

    async def ends_well(self, *, exactly_once: bool = False) -> None:
        """Settle; then every instance has ended, and all that must be true at rest is."""
        await self.settle()
        waiting = [s.instance_id for s in await self.world.client.get_status_all() if not s.is_terminal]
        assert not waiting, f"lost: no message is left, and these wait for ever: {waiting}"
        await check(self.world, self.effects, exactly_once=exactly_once, oracle=self.oracle)

    async def output(self, instance_id: str = "one") -> Any:
        return (await self.world.client.get_status(instance_id)).output

    async def close(self) -> None:
        for host in self._hosts:
            await host.stop()


def on_stage(
    make_registry: Callable[[Callable[[], Stage], Effects], Registry],
    play: Callable[[Stage], Awaitable[None]],
    *,
    turns_at_work: bool = False,
) -> None:
    """Play it in a world of its own. ``make_registry`` gets a way to the stage, for activities that can be held.

    turns_at_work: as the setting; without it every result has a message of its own, which a play can take to a host.
    """
    stages: list[Stage] = []
    effects = Effects()
    settings = Settings(turns_at_work=turns_at_work)
    world = World(make_registry(lambda: stages[0], effects), hosts=0, settings=settings)
    oracle = watched(world)

    async def main(world: World) -> None:
        stage = Stage(world, effects, oracle)
        stages.append(stage)
        try:
            await play(stage)
        finally:
            await stage.close()

    world.run(main)
    assert not world.errors, world.errors
