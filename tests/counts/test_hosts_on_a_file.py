"""Hosts on one embedded file wake each other: none of them has to poll for what another one sends."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from durable_core.hosting.local.backoff import PollingBackoff
from durable_core.hosting.local.config import QueueOptions
from durable_core.hosting.local.queue_listener import QueueListener
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage
from durable_core.storage.ports import QueueMessage
from durable_core.storage.sqlite import SqliteStorage
from tests.support.programs import make_registry

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets on Windows")

PATIENCE = 60.0
INSTANCES, STEPS = 10, 5
SETTINGS = Settings(inline_default=False)

Role = Literal["control", "work", "both"]


class Never(PollingBackoff):
    """Polls in an hour: within a test, what nobody tells is not found."""

    def next_delay(self) -> float:
        return 3600.0


@asynccontextmanager
async def hosting(store: str, role: Role) -> AsyncGenerator[tuple[DurableApp, CountingStorage]]:
    """A host with a storage object of its own, as another process has."""
    storage = CountingStorage(SqliteStorage(store))
    app = await DurableApp.open(make_registry(), SETTINGS, storage)

    async def control(message: QueueMessage) -> None:
        await app.on_control_message(message.body, message.dequeue_count)

    async def work(message: QueueMessage) -> None:
        await app.on_work_message(message.body, message.dequeue_count)

    names = app.hub.names
    handlers = {
        **({} if role == "work" else dict.fromkeys(names.control, control)),
        **({} if role == "control" else dict.fromkeys(names.work, work)),
    }
    listeners = [
        QueueListener(storage, name, handler, options=QueueOptions(), lease=30.0, backoff=Never(3600.0))
        for name, handler in handlers.items()
    ]
    for name, listener in zip(handlers, listeners, strict=True):
        storage.on_send(name, listener.wake)
    running = [asyncio.create_task(listener.run()) for listener in listeners]
    try:
        yield app, storage
    finally:
        for listener in listeners:
            listener.stop()
        await asyncio.gather(*running)
        await app.close()
        await storage.close()


@pytest.mark.parametrize("roles", [("control", "work"), ("both", "both"), ("control", "work", "work")], ids="+".join)
@pytest.mark.parametrize("program", ["chain", "fan"])
async def test_hosts_on_one_file_find_all_work_without_a_poll(program: str, roles: tuple[Role, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as folder:
        store = str(Path(folder, "hub.db"))
        async with hosting(store, roles[0]) as (app, counted), hosting(store, roles[1]), hosting(store, roles[-1]):
            started = [await app.client.start_new(program, None, STEPS) for _ in range(INSTANCES)]
            statuses = await asyncio.gather(*(app.client.wait_for_completion(each, PATIENCE) for each in started))
            assert [status.runtime_status.value if status.runtime_status else "" for status in statuses] == [
                "Completed"
            ] * INSTANCES
            # Woken together with the other hosts, a listener may come too late; it looks once for each time.
            most = INSTANCES * (2 * STEPS + 2)
            assert counted.counts.idle_polls <= most, counted.counts
