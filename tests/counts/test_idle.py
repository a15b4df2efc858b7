"""What an idle host costs: nothing but polls, as rare as ``maxPollingInterval`` allows."""

from __future__ import annotations

import asyncio

import pytest

from durable_core.hosting.local.config import QueueOptions
from durable_core.hosting.local.queue_listener import QueueListener
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage
from durable_core.storage.ports import QueueMessage
from durable_core.storage.sqlite import SqliteStorage
from durable_core.testing.virtual_time import START, VirtualTimeLoop, run_virtual

HOUR = 3600.0


@pytest.mark.parametrize("interval", [2.0, 60.0])
def test_an_idle_host_polls_each_of_two_queues_once_per_polling_interval(interval: float) -> None:
    loop = VirtualTimeLoop()
    queues = DurableApp.queue_names(Settings()).queues
    assert len(queues) == 2

    async def never(message: QueueMessage) -> None:
        raise AssertionError(f"a message from nowhere: {message}")

    async def main() -> CountingStorage:
        storage = SqliteStorage(":memory:", now=lambda: START.timestamp() + loop.time())
        await storage.create((), queues)
        counting = CountingStorage(storage)
        options = QueueOptions(max_polling_interval=interval)
        listeners = [QueueListener(counting, name, never, options=options, lease=30) for name in queues]
        running = [asyncio.create_task(listener.run()) for listener in listeners]
        await asyncio.sleep(HOUR)  # by then the back-off has long reached its longest wait
        counting.reset()
        await asyncio.sleep(HOUR)
        for listener in listeners:
            listener.stop()
        await asyncio.gather(*running)
        await storage.close()
        return counting

    counts = run_virtual(main(), loop).counts
    assert counts.total == 0, counts
    assert counts.idle_polls <= 2 * HOUR / interval + 2, f"{counts.idle_polls} polls an hour"
    assert set(counts.by_name) == set(queues)
