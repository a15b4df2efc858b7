"""How often the embedded store must flush its file: once per step of a chain."""

from __future__ import annotations

import asyncio
from pathlib import Path

from durable_core.hosting.local.config import QueueOptions
from durable_core.hosting.local.queue_listener import QueueListener
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.ports import QueueMessage
from durable_core.storage.sqlite import SqliteStorage
from tests.support.programs import make_registry


async def _flushes_of_chain(path: Path, steps: int) -> int:
    storage = SqliteStorage(str(path))
    app = await DurableApp.open(make_registry(), Settings(), storage)

    async def control(message: QueueMessage) -> None:
        await app.on_control_message(message.body, message.dequeue_count)

    names = DurableApp.queue_names(app.settings)
    listener = QueueListener(storage, names.control[0], control, options=QueueOptions(), lease=30)
    storage.on_send(names.control[0], listener.wake)
    running = asyncio.create_task(listener.run())
    before = storage.flushes
    instance_id = await app.client.start_new("chain", None, steps)
    status = await app.client.wait_for_completion(instance_id, 60)
    assert status.output == steps
    listener.stop()
    await running
    await app.close()
    flushes = storage.flushes - before
    await storage.close()
    return flushes


async def test_a_step_of_a_chain_flushes_the_file_once(tmp_path: Path) -> None:
    ten = await _flushes_of_chain(tmp_path / "ten.db", 10)
    fifty = await _flushes_of_chain(tmp_path / "fifty.db", 50)
    # The start is one flush, as the last commit and the catalogue are; leases and deletes need none of their own.
    assert ten <= 10 + 2, f"a chain of 10 took {ten} flushes"
    assert fifty - ten <= 40 + 2, f"40 more steps took {fifty - ten} flushes"
