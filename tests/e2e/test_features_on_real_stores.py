"""What an orchestrator's author reaches for works on the embedded file and on Azurite, in real time and threads.

The examples of the docs are driven by a real app with its own listeners. Those that wait for minutes and more of
virtual time run in the simulated world only (test_docs_examples.py).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from durable_core import Registry
from durable_core.errors import LeaseLostError
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from durable_core.storage.ports import Queue, QueueMessage, Storage
from durable_core.testing.azurite import Azurite
from tests.support.azurite import azurite
from tests.support.examples import EXAMPLES, example_module

__all__ = ["azurite"]

IN_REAL_TIME = {
    "chaining",
    "encryption",
    "failures",
    "fan_out",
    "heartbeat",
    "large_payloads",
    "models",
    "queries",
    "run_step",
    "saga",
}
LEASE = 30.0
POLL = 0.05


@pytest.fixture(params=["file", "azurite"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Storage]:
    settings = Settings(store=str(tmp_path / "hub.db"))
    if request.param == "azurite":
        server: Azurite = request.getfixturevalue("azurite")
        settings = Settings(connection={"": server.connection_string})
    opened = open_storage(settings)
    yield opened
    await opened.close()


async def listen(queue: Queue, handler: Callable[[str, int], Awaitable[None]]) -> None:
    """What the Functions host does with a queue, without its refinements."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(message: QueueMessage) -> None:
        await handler(message.body, message.dequeue_count)
        with suppress(LeaseLostError):
            await queue.delete(message)

    try:
        while True:
            for message in await queue.receive(16, LEASE):
                task = asyncio.create_task(handle(message))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(POLL)
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("path", [p for p in EXAMPLES if p.stem in IN_REAL_TIME], ids=lambda path: path.stem)
async def test_a_feature_works_on_a_real_store(path: Path, storage: Storage) -> None:
    with example_module(path) as module:
        settings = replace(
            getattr(module, "SETTINGS", Settings()), hub=f"t{uuid.uuid4().hex[:12]}", message_lease=LEASE
        )
        app = await DurableApp.open(Registry.scan(module), settings, storage, codec=getattr(module, "CODEC", None))
        names = app.hub.names
        listeners = [
            *(asyncio.create_task(listen(storage.queue(name), app.on_control_message)) for name in names.control),
            *(asyncio.create_task(listen(storage.queue(name), app.on_work_message)) for name in names.work),
        ]
        try:
            async with asyncio.timeout(60):
                await module.example(app.client)
        finally:
            for listener in listeners:
                listener.cancel()
            await asyncio.gather(*listeners, return_exceptions=True)
            await app.close()
