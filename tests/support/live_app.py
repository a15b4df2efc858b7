"""A ``DurableApp`` that runs in this process on a real store, in real time: what a host does, without the host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from durable_core import PayloadCodec, Registry
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.ports import Queue, QueueMessage, Storage

Handler = Callable[[str, int], Awaitable[None]]


@asynccontextmanager
async def running(
    registry: Registry, settings: Settings, storage: Storage, codec: PayloadCodec | None = None
) -> AsyncGenerator[DurableApp]:
    """The app, its queues listened to. An error of a handler fails the test that runs it."""
    app = await DurableApp.open(registry, settings, storage, codec=codec)
    async with serving(app, storage):
        yield app
    await app.close()


@asynccontextmanager
async def serving(app: DurableApp, storage: Storage) -> AsyncGenerator[None]:
    """The queues of an app that is open are listened to inside the block."""
    async with asyncio.TaskGroup() as group:
        queues = [(name, app.on_control_message) for name in app.hub.names.control]
        queues += [(name, app.on_work_message) for name in app.hub.names.work]
        listeners = [group.create_task(_listen(storage, name, handler, group)) for name, handler in queues]
        try:
            yield
        finally:
            for listener in listeners:
                listener.cancel()


async def _listen(storage: Storage, name: str, handler: Handler, group: asyncio.TaskGroup) -> None:
    queue, sent = storage.queue(name), asyncio.Event()
    stop = storage.on_send(name, sent.set)
    try:
        while True:
            sent.clear()
            messages = await queue.receive(16, 60.0)
            for message in messages:
                group.create_task(_handle(queue, handler, message))
            if not messages:
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await sent.wait()
    finally:
        stop()


async def _handle(queue: Queue, handler: Handler, message: QueueMessage) -> None:
    await handler(message.body, message.dequeue_count)
    await queue.delete(message)
