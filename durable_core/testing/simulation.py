"""The simulation: hosts over one in-memory store, in virtual time, deterministic for a seed.

A simulated host works like the Functions host: it receives messages under a lease, calls the app, deletes messages or
returns them, and moves them to the poison queue after five deliveries. When a host crashes, its memory is lost, its
messages are redelivered when their leases expire, and a new host replaces it. It also crashes, as in Azure, when the
handling of a message takes longer than the settings' ``function_timeout``.
"""

from __future__ import annotations

import asyncio
import base64
import heapq
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, TypeVar

from ..codec import PayloadCodec
from ..engine.callbacks import CallbackTicket
from ..errors import CapabilityError, LeaseLostError, StorageUnavailableError
from ..hub.timers import arming_interval
from ..lazy_dataclass import dataclass
from ..registry import Registry
from ..runtime.app import DurableApp
from ..runtime.client import DurableClient
from ..runtime.completion import Completions
from ..runtime.host_identity import HostIdentity
from ..runtime.observer import NOBODY, Observer
from ..settings import Settings
from ..storage.counting import CountingStorage
from ..storage.ports import Queue, QueueMessage, Storage
from ..storage.sqlite.store import SqliteStorage
from .faults import FaultPlan, FaultyStorage, HostCrashError
from .generations import Generations
from .virtual_time import START, VirtualTimeLoop, run_virtual

T = TypeVar("T")

LEASE = 30.0
LONGEST_WAIT = 300.0  # virtual seconds between polls of an empty queue
LONGEST_POLL = 300.0  # of the outside client; it is notified of an end unless the host dies
BATCH = 16
MAX_DEQUEUE = 5
RECOVERY_INTERVAL = 300.0

Handler = Callable[[str, int], Awaitable[None]]

Role = Literal["control", "work"]


@dataclass(slots=True)
class SkewedClock:
    """A host's clock that is ``seconds`` ahead of that of the ``World``. A test may set it."""

    world: VirtualTimeLoop
    seconds: float

    def now(self) -> datetime:
        return self.world.now() + timedelta(seconds=self.seconds)


@dataclass(slots=True)
class HostShape:
    """The properties of a host: its faults, its queues, and the seconds by which its clock is ahead.

    batch: the highest number of messages that it receives at once. The Functions host receives 16; with 1 there are
    more interleavings.
    """

    plan: FaultPlan = field(default_factory=FaultPlan)
    control: bool = True
    work: bool = True
    ahead: float = 0.0
    batch: int = 1
    registry: Registry | None = None  # None: that of the World
    build: str = ""  # "": that of the World
    alone: bool = False  # whether it knows that no other host runs

    @classmethod
    def of(cls, role: Role | None) -> HostShape:
        """A host without faults that listens to the queues of one role, or to all."""
        return cls(control=role != "work", work=role != "control")


class SimulatedHost:
    """One host process: an app and the listeners that feed it"""

    def __init__(self, world: World, shape: HostShape, seed: int) -> None:
        self._world = world
        self.shape = shape
        self.plan = plan = shape.plan
        self.clock = SkewedClock(world.loop, shape.ahead)
        self.app = DurableApp(
            shape.registry or world.registry,
            replace(world.settings, app_build=shape.build or world.settings.app_build),
            FaultyStorage(world.storage, plan),
            clock=self.clock,
            executor=None,
            source=random.Random(seed),
            callback_urls=world.callback_urls,
            ends=world.ends,
            codec=world.codec,
            is_alone=lambda: shape.alone,
            host=HostIdentity(f"{seed:08x}"[-8:], "simulated", seed),
            observer=world.observe(world),
        )
        if world.is_quiet:
            self.app.instance_cache.on_generation = world.generations.began
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        names, storage = self.app.hub.names, FaultyStorage(self._world.storage, self.plan)
        for name in names.control if self.shape.control else ():
            self._spawn(self._listen(storage.queue(name), self.app.on_control_message))
        for own, work in names.all_work.items() if self.shape.work else ():
            for name in work:
                self._spawn(self._listen(storage.queue(name), partial(self.app.on_work_message, queue=own)))
        if not self._world.is_quiet:
            self._spawn(self._recover())
            if (seconds := arming_interval(self.app.hub.timers.rows_from)) is not None:
                self._spawn(self._arm_timers(seconds))

    def recover(self) -> None:
        """Run one round of recovery now; for the driver of a quiet ``World``."""
        self._spawn(self._recover_once())

    async def stop(self) -> None:
        """Kill the host: all its tasks are cancelled."""
        self.plan.dead = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.app.instance_cache.abandon()
        self.app.presence.abandon()
        await self.app.close()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task = self._world.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, HostCrashError):
            self._world.errors.append(error)

    async def _listen(self, queue: Queue, handler: Handler) -> None:
        busy = asyncio.Semaphore(BATCH)
        while True:
            messages: list[QueueMessage] = []
            async with busy:
                with suppress(StorageUnavailableError):
                    messages = await queue.receive(self.shape.batch, LEASE)
            for message in messages:
                await busy.acquire()
                self._spawn(self._handle(queue, message, handler, busy))
            if not messages:
                await self._world.something_sent(queue.name)

    async def _handle(self, queue: Queue, received: QueueMessage, handler: Handler, busy: asyncio.Semaphore) -> None:
        holding = _Holding(received)
        renewing = self._world.loop.create_task(holding.renew(queue)) if self._world.is_quiet else None
        limit = self._world.settings.function_timeout
        overrun = None if limit is None else self._world.loop.call_later(limit, self._overrun, received)
        try:
            await self._answer(queue, holding, handler)
        finally:
            if overrun is not None:
                overrun.cancel()
            if renewing is not None:
                renewing.cancel()
            busy.release()

    def _overrun(self, message: QueueMessage) -> None:
        if not self.plan.dead:
            self._world.overruns.append(message.body)
            self.plan.crash()

    async def _answer(self, queue: Queue, holding: _Holding, handler: Handler) -> None:
        message = holding.message
        try:
            if message.dequeue_count > MAX_DEQUEUE:  # all its receivers died
                raise RuntimeError(f"set aside after {MAX_DEQUEUE} deliveries that did not end: {message.body}")
            await handler(message.body, message.dequeue_count)
        except Exception as error:  # noqa: BLE001 - the host's rule: whatever it was, the message comes back
            self._world.failures.append(error)
            with suppress(LeaseLostError, StorageUnavailableError):
                if message.dequeue_count >= MAX_DEQUEUE:
                    await self._world.storage.queue(f"{queue.name}-poison").send(message.body)
                    await queue.delete(holding.message)
                else:
                    await queue.extend(holding.message, 0.0)
        else:
            with suppress(LeaseLostError, StorageUnavailableError):
                await queue.delete(holding.message)

    async def _recover(self) -> None:
        while True:
            await asyncio.sleep(RECOVERY_INTERVAL)
            await self._recover_once()

    async def _arm_timers(self, seconds: int) -> None:
        while True:
            await asyncio.sleep(seconds)
            with suppress(StorageUnavailableError):
                await self.app.arm_timers()

    async def _recover_once(self) -> None:
        with suppress(StorageUnavailableError):  # the next round repeats it
            await self.app.recover()


@dataclass(slots=True)
class _Holding:
    """A received message, with the receipt that is valid now."""

    message: QueueMessage

    async def renew(self, queue: Queue) -> None:
        """Renew the lease while the message is handled, as the Functions host does."""
        with suppress(LeaseLostError, StorageUnavailableError, HostCrashError):
            while True:
                await asyncio.sleep(LEASE / 2)
                self.message = await queue.extend(self.message, LEASE)


class PlainCallbackUrls:
    """Unsigned URLs of callbacks, for simulations without HTTP: pass them to ``client.complete_callback``."""

    _BASE = "http://world.invalid/c/"

    def url_of(self, ticket: CallbackTicket) -> str:
        fields = {**asdict(ticket), "expires_at": ticket.expires_at.isoformat()}
        return self._BASE + base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()

    def ticket_of(self, url: str) -> CallbackTicket:
        try:
            fields: dict[str, Any] = json.loads(base64.urlsafe_b64decode(url.removeprefix(self._BASE)))
            fields["expires_at"] = datetime.fromisoformat(fields["expires_at"])
            return CallbackTicket(**fields)
        except (ValueError, TypeError, KeyError) as error:
            raise CapabilityError("this URL is not one that the app issued") from error


class World:
    """Hosts over one store. ``errors`` are bugs of the simulation or the runtime; ``failures`` failed deliveries;
    ``overruns`` the messages for which a host has died, as they took longer than the function timeout.

    hosts: their number, or the role of each (as on Flex Consumption, where every queue function has its own machines).
    counting: count the storage operations of all hosts and clients in ``counted``.
    quiet: nothing polls. Hosts read a queue only when a message was sent or has become visible, and the driver of the
        loop calls recovery. So time can jump over years to the next event.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        hosts: int | Sequence[Role] = 1,
        seed: int = 0,
        settings: Settings | None = None,
        codec: PayloadCodec | None = None,
        counting: bool = False,
        shape: Callable[[int], HostShape] | None = None,
        outside: FaultPlan | None = None,
        quiet: bool = False,
        observe: Callable[[World], Observer] | None = None,
    ) -> None:
        """``shape`` returns the properties of the host with a number; a host that replaces a dead one gets the next
        number. ``outside``: the fault plan of the client outside of all hosts. ``observe``: makes the observer
        of each of them."""
        self.registry = registry
        self.codec = codec
        self.is_quiet = quiet
        self.observe: Callable[[World], Observer] = observe or (lambda _: NOBODY)
        self.loop = VirtualTimeLoop()
        self.settings = replace(settings or Settings(), store=":memory:", message_lease=LEASE, app_build="simulated")
        self.storage: Storage = SqliteStorage(":memory:", now=lambda: START.timestamp() + self.loop.time())
        if counting:
            self.storage = CountingStorage(self.storage)
        self.ends = Completions()  # so that hosts notify the outside client of ends
        self.errors: list[BaseException] = []
        self.failures: list[Exception] = []
        self.overruns: list[str] = []
        self.plans: list[FaultPlan] = []
        self.hosts: list[SimulatedHost] = []
        roles: Sequence[Role | None] = [None] * hosts if isinstance(hosts, int) else hosts
        self._count = len(roles)

        def plain(number: int) -> HostShape:
            return HostShape.of(roles[number] if number < len(roles) else None)

        self._shape: Callable[[int], HostShape] = shape or plain
        self._plan_outside = outside or FaultPlan()
        self._plan_outside.on_hidden = self.hidden
        self._burials: set[asyncio.Task[None]] = set()
        self.callback_urls = PlainCallbackUrls()
        self.generations = Generations(self.loop.now)
        self._seed = seed
        self._sent: dict[str, asyncio.Event] = {}
        self._due: dict[str, list[float]] = {}
        self._outside: DurableApp | None = None

    @property
    def counted(self) -> CountingStorage:
        """The counting storage, if ``counting`` was given."""
        assert isinstance(self.storage, CountingStorage)
        return self.storage

    @property
    def client(self) -> DurableClient:
        """A client outside of all hosts; it never crashes."""
        assert self._outside is not None
        return self._outside.client

    @property
    def outside(self) -> DurableApp:
        assert self._outside is not None
        return self._outside

    def run(self, scenario: Callable[[World], Awaitable[T]], *plans: FaultPlan) -> T:
        """Run a scenario against hosts with these fault plans (none for those without)."""

        async def main() -> T:
            await self.open(*plans)
            try:
                return await scenario(self)
            finally:
                await self.close()

        return run_virtual(main(), self.loop)

    async def open(self, *plans: FaultPlan) -> None:
        """Create the hub and start the hosts. The caller runs ``loop`` and then calls ``close``."""
        self._outside = DurableApp(
            self.registry,
            self.settings,
            FaultyStorage(self.storage, self._plan_outside),
            clock=self.loop,
            executor=None,
            source=random.Random(self._seed),
            callback_urls=self.callback_urls,
            ends=self.ends,
            codec=self.codec,
            host=HostIdentity("outside0", "simulated", 0),
            observer=self.observe(self),
        )
        self._outside.client.longest_poll = LONGEST_POLL
        await self._outside.hub.create()
        for name in self._outside.hub.names.queues:
            event = self._sent[name] = asyncio.Event()
            self._due[name] = []
            self.storage.on_send(name, event.set)
        for index in range(self._count):
            self._begin_host(plans[index] if index < len(plans) else None)

    async def close(self) -> None:
        """Stop the hosts and close the store. The caller of ``open`` closes the loop."""
        while self._burials:
            await asyncio.gather(*self._burials)
        for host in self.hosts:
            await host.stop()
        if self._outside is not None:
            await self._outside.close()
        await self.storage.close()

    async def replace_hosts(self, codec: PayloadCodec | None) -> None:
        """Stop every host, and start as many that have this codec."""
        self.codec = codec
        stopped, self.hosts = self.hosts, []
        for host in stopped:
            await host.stop()
        for host in stopped:
            self._begin_host(None, host.shape)

    async def something_sent(self, queue: str) -> None:
        """Wait until the queue may have something to receive: a send, a delay that is over, a lease that expired."""
        event, due = self._sent[queue], self._due[queue]
        while due and due[0] <= self.loop.time():
            heapq.heappop(due)
        wait = due[0] - self.loop.time() if due else None if self.is_quiet else LONGEST_WAIT
        with suppress(TimeoutError):
            async with asyncio.timeout(None if wait is None else wait + (0.0 if self.is_quiet else 0.001)):
                await event.wait()
        event.clear()

    def hidden(self, queue: str, seconds: float) -> None:
        """Note that a message of this queue will become visible at that time."""
        if queue in self._due:  # no host listens to poison queues
            heapq.heappush(self._due[queue], self.loop.time() + seconds)
            self._sent[queue].set()  # a waiter for a later time must check again

    def add_host(
        self, registry: Registry | None = None, build: str = "", plan: FaultPlan | None = None
    ) -> SimulatedHost:
        """Start one more host, possibly with another build, other orchestrators and activities, or faults."""
        return self._begin_host(plan or FaultPlan(), HostShape(registry=registry, build=build))

    def _begin_host(self, plan: FaultPlan | None, like: HostShape | None = None) -> SimulatedHost:
        shape = self._shape(len(self.plans))
        if like is not None:
            shape.control, shape.work, shape.registry = like.control, like.work, like.registry
            shape.build = like.build
        if plan is not None:
            shape.plan = plan
        plan = shape.plan
        host = SimulatedHost(self, shape, self._seed + 1 + len(self.plans))
        self.plans.append(plan)
        self.hosts.append(host)
        plan.on_crash = lambda: self._replace(host)
        plan.on_hidden = self.hidden
        host.start()
        return host

    def _replace(self, host: SimulatedHost) -> None:
        """Stop a host and start a new one in its place."""
        self.hosts.remove(host)

        async def bury() -> None:
            await host.stop()
            self._begin_host(None, host.shape)

        burial = asyncio.get_running_loop().create_task(bury())
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)
