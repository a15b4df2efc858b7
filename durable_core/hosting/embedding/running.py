"""Serves a task hub inside any asyncio program, such as a web application: a host without functions.

It does what the local host does for the functions of ``durable_core``: it listens to the queues of the hub, with leases
and poison queues, and runs recovery every five minutes. The program owns the process: its signals, its log, its port.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from ...codec import PayloadCodec
from ...engine.callbacks import CallbackUrls
from ...registry import Registry
from ...runtime.app import DurableApp
from ...settings import Settings
from ...storage.ports import QueueMessage, Storage
from ...telemetry.setup import gauges_of
from ..app_opener import open_app
from ..local.config import LOCAL_POLLING_INTERVAL, QueueOptions
from ..local.invoker import InvocationFailedError
from ..local.message_lease import LOCAL_LEASE
from ..local.queue_listener import QueueListener
from ..local.serving import drain
from ..local.store_lock import free_leases, live_on_store
from ..local.timers import TimerFiring, TimerListener, TimeSpanSchedule
from ..storage_pool import acquire_storage, release_storage

if TYPE_CHECKING:
    from ...runtime.client import DurableClient
    from .management_api import ManagementApi

log = logging.getLogger("durable_core.hosting.embedding")

RECOVERY_INTERVAL = timedelta(minutes=5)

_Handler: TypeAlias = Callable[[QueueMessage], Awaitable[None]]


@asynccontextmanager
async def running(
    registry: Registry,
    *,
    store: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
    codec: PayloadCodec | None = None,
    http: ManagementApi | None = None,
    grace: float = 10.0,
) -> AsyncGenerator[DurableClient]:
    """Serve the task hub of these settings inside the block, and yield its client.

    registry: the orchestrators and activities that this process runs.
    store: path of the embedded SQLite file, or ``:memory:``; it takes the place of the store, and of the connection, in
        the settings.
    settings: None reads them from the environment, with the local host's lease of 30 seconds unless
        ``DURABLE_MESSAGE_LEASE`` gives another.
    codec: transforms values before they are stored and after they are read, such as to encrypt them.
    http: answers requests from now on; outside of the block it answers 503.
    grace: seconds for running turns and activities at the end of the block. The messages of what still runs after that
        go back to their queues; nothing is lost.

    ConfigurationError if the settings do not fit, or if this process serves the embedded store already.
    """
    settings = _settings(settings, store)
    async with AsyncExitStack() as stack:
        storage = acquire_storage(settings)
        stack.push_async_callback(release_storage, storage)
        queues = DurableApp.queue_names(settings, registry).queues
        if settings.is_embedded and settings.store != ":memory:":
            await stack.enter_async_context(live_on_store(settings, partial(free_leases, storage, queues)))
        urls: CallbackUrls | None = None if http is None else http.callback_urls(settings)
        app = await stack.enter_async_context(open_app(registry, settings, codec, callback_urls=urls))
        app.serve(queues)
        if http is not None:
            stack.enter_context(http.answering_for(app))
        await stack.enter_async_context(_listening(app, storage, settings, grace))
        yield app.client


@asynccontextmanager
async def _listening(app: DurableApp, storage: Storage, settings: Settings, grace: float) -> AsyncGenerator[None]:
    """Deliver messages to the app, and run its recovery, inside the block."""
    names = app.hub.names
    handlers = {name: _control(app) for name in names.control}
    handlers |= {name: _work(app, own) for own, found in names.all_work.items() for name in found}
    options = QueueOptions(max_polling_interval=LOCAL_POLLING_INTERVAL)
    listeners = [
        QueueListener(storage, name, _failing_aloud(name, handler), options=options, lease=settings.message_lease)
        for name, handler in handlers.items()
    ]

    async def recover(_: TimerFiring) -> None:
        try:
            await app.recover()
            if (gauges := gauges_of(app.observer)) is not None:
                gauges.saw(await app.client.hub_overview())
        except Exception:
            log.exception("recovery failed; it runs again in five minutes")

    timer = TimerListener(TimeSpanSchedule(RECOVERY_INTERVAL), recover)
    async with AsyncExitStack() as stack:
        for name, listener in zip(handlers, listeners, strict=True):
            stack.callback(storage.on_send(name, listener.wake))
        loops = [*listeners, timer]
        tasks = {asyncio.create_task(loop.run()) for loop in loops}
        try:
            yield
        finally:
            for loop in loops:
                loop.stop()
            await drain(tasks, grace)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _control(app: DurableApp) -> _Handler:
    async def handle(message: QueueMessage) -> None:
        await app.on_control_message(message.body, message.dequeue_count, message.inserted_at)

    return handle


def _work(app: DurableApp, queue: str) -> _Handler:
    async def handle(message: QueueMessage) -> None:
        await app.on_work_message(message.body, message.dequeue_count, queue, message.inserted_at)

    return handle


def _failing_aloud(queue: str, handler: _Handler) -> _Handler:
    """The handler as the listener wants it: an error is logged, and the message is delivered again."""

    async def handle(message: QueueMessage) -> None:
        try:
            await handler(message)
        except Exception as error:
            log.exception("a message of %s failed (delivery %d)", queue, message.dequeue_count)
            raise InvocationFailedError(queue, f"raised {type(error).__name__}") from error

    return handle


def _settings(settings: Settings | None, store: str | os.PathLike[str] | None) -> Settings:
    if settings is None:
        settings = Settings.from_environment({"DURABLE_MESSAGE_LEASE": LOCAL_LEASE, **os.environ})
    return settings if store is None else replace(settings, store=os.fspath(store), connection={})
