"""A hub in a storage account, and the machines that work for it, in virtual time.

Machines are as on Flex Consumption, where each queue function has its own, or as on other plans, where each machine
serves every queue. Listening to queues is the local host's, which keeps the rules of the Functions host.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from durable_core import Registry, activity
from durable_core.hosting.local.backoff import PollingBackoff
from durable_core.hosting.local.config import QueueOptions
from durable_core.hosting.local.invoker import InvocationFailedError
from durable_core.hosting.local.queue_listener import QueueListener
from durable_core.runtime.app import DurableApp
from durable_core.runtime.completion import Completions
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage
from durable_core.storage.ports import QueueMessage
from durable_core.storage.sqlite import SqliteStorage
from durable_core.testing.virtual_time import START, VirtualTimeLoop
from tests.support.programs import registry_of

from .ledger import Ledger, LedgerStorage

LATENCY = 0.010  # seconds of one storage operation, as assumed throughout
_LEASE = 600.0
_LONGEST_WAIT = 36_000.0  # virtual seconds

Handler = Callable[[str, int], Awaitable[None]]


@dataclass(slots=True)
class Tally:
    """activities: how many ran. executions: function executions, which are messages handled."""

    activities: int = 0
    executions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is deployed.

    apart: each queue has a machine of its own (Flex Consumption); else one machine serves all of them.
    activity_seconds: that an ordinary activity waits.
    """

    apart: bool = True
    settings: Settings = field(default_factory=Settings)
    options: QueueOptions = field(default_factory=lambda: QueueOptions(max_polling_interval=2.0))
    activity_seconds: float = 0.0


def make_registry(tally: Tally, seconds: float) -> Registry:
    """Activities take so many seconds, of waiting."""

    @activity
    async def add_one(number: int) -> int:
        tally.activities += 1
        if seconds:
            await asyncio.sleep(seconds)
        return number + 1

    @activity(short=True)
    async def add_one_soon(number: int) -> int:
        tally.activities += 1
        return number + 1

    return registry_of(add_one, add_one_soon)


class Hub:
    """One hub, its machines, and a client outside of them."""

    def __init__(self, shape: Shape, loop: VirtualTimeLoop, tally: Tally) -> None:
        self._shape, self._loop, self._tally = shape, loop, tally
        self._store = SqliteStorage(":memory:", now=lambda: START.timestamp() + loop.time())
        self.counted = CountingStorage(self._store)
        self._seeds = random.Random("0/0")
        self.ledger = Ledger(LATENCY, random.Random(self._seeds.random()))
        self._storage = LedgerStorage(self.counted, self.ledger)
        self._settings = replace(
            shape.settings,
            store=":memory:",
            message_lease=_LEASE,
            app_build="simulated",
        )
        self._ends = Completions()
        self._registry = make_registry(tally, shape.activity_seconds)
        self._apps: list[DurableApp] = []
        self._listeners: list[tuple[QueueListener, asyncio.Task[None]]] = []
        self.names = DurableApp.queue_names(self._settings, self._registry)
        self._outside = self._app()

    async def run(self, orchestrator_name: str, instance_id: str, data: int) -> None:
        """Start an instance and be told of its end, without looking: a starter that waits would pay for its looks."""
        ended = self._ends.watch(instance_id)
        await self._outside.client.start_new(orchestrator_name, instance_id, data)
        if await ended.next(_LONGEST_WAIT) is None:
            raise TimeoutError(f"instance '{instance_id}' did not end")
        self._ends.unwatch(instance_id, ended)

    async def open(self) -> None:
        await self._outside.hub.create()
        queues = [*self.names.control, *self.names.work]
        for served in [[queue] for queue in queues] if self._shape.apart else [queues]:
            self._begin_machine(served)

    async def close(self) -> None:
        for listener, _ in self._listeners:
            listener.stop()
        await asyncio.gather(*(task for _, task in self._listeners))
        for app in self._apps:
            await app.close()
        await self._store.close()

    def _begin_machine(self, queues: list[str]) -> None:
        app = self._app()
        for name in queues:
            handler: Handler = app.on_control_message if name in self.names.control else app.on_work_message
            source = random.Random(self._seeds.random())
            listener = QueueListener(
                self._storage,
                name,
                partial(self._handle, handler),
                options=self._shape.options,
                lease=_LEASE,
                backoff=PollingBackoff(self._shape.options.max_polling_interval, partial(source.uniform, 0.8, 1.2)),
            )
            self._storage.on_send(name, listener.wake)
            self._listeners.append((listener, self._loop.create_task(listener.run())))

    async def _handle(self, handler: Handler, message: QueueMessage) -> None:
        self._tally.executions += 1
        try:
            await handler(message.body, message.dequeue_count)
        except Exception as error:
            raise InvocationFailedError("on_message", f"raised {error}") from error

    def _app(self) -> DurableApp:
        app = DurableApp(
            self._registry,
            self._settings,
            self._storage,
            clock=self._loop,
            executor=None,
            source=random.Random(self._seeds.random()),
            ends=self._ends,
        )
        self._apps.append(app)
        return app
