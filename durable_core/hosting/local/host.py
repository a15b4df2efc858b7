"""Assembles the local host: app, storage, listeners, HTTP server; starts them, and stops them in good order.

Theory of operation. Everything runs on one event loop. Host and app share one storage object, so that the app's sends
wake the listeners of the host. Callers wait for a start after a crash, so it takes the shortest way to the first
message: the port is opened first (requests wait in its backlog), then app and store are loaded, then the listeners
start, and while the first messages are handled the HTTP server is imported and started. Stopping is done in the reverse
order: no new messages and requests are accepted, running functions get ``grace`` seconds, the rest is cancelled and its
messages are returned to their queues, then the app's hooks and the storage are closed.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ...errors import ConfigurationError
from ...lazy_dataclass import dataclass
from ...settings import Settings
from ...storage.ports import QueueMessage, Storage
from ..storage_pool import acquire_storage, release_storage
from .config import HostConfig, apply_local_settings, host_key, look_key, read_host_config
from .functions_index import HttpTrigger, IndexedFunction, QueueTrigger, TimerTrigger, load_functions
from .gc_tuning import seldom_collecting
from .http_routing import HttpRouter, http_router
from .http_sites import SitePolicy, is_loopback, name_of_url
from .http_sockets import listening_sockets, port_of
from .invoker import Invoker
from .message_lease import LOCAL_LEASE
from .queue_listener import QueueListener
from .serving import drain
from .store_lock import free_leases, live_on_store
from .timers import TimerFiring, TimerListener, parse_schedule
from .worker_restart import Expired

if TYPE_CHECKING:
    from .http_server import HttpServer

log = logging.getLogger(__name__)

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOptions:
    """What the command line says.

    app: folder of function_app.py. port: 0 picks a free one. only: serve the queues whose name contains ``-control``
    (with HTTP and timers), or those with ``-work``, or with ``work:gpu`` the work queue "gpu" alone; None serves all.
    azure_like: a send wakes no listener. key: required by functions that are not anonymous; None: the value of
    DURABLE_HOST_KEY, and without it no key is required. look_key: accepted for GET; None: DURABLE_HOST_LOOK_KEY.
    grace: seconds for running functions when the host stops.
    """

    app: Path
    host: str = "127.0.0.1"
    port: int = 7071
    only: str | None = None
    azure_like: bool = False
    key: str | None = None
    look_key: str | None = None
    grace: float = 10.0


@runtime_checkable
class DurableHooks(Protocol):
    """``__durable_hooks__`` of a function of the app: the local host calls them at its start and stop."""

    async def start(self, queues: Sequence[str] = ()) -> None: ...

    async def stop(self) -> None: ...


async def run_host(
    options: HostOptions, *, stop: asyncio.Event, say: Callable[[str], None], on_timeout: Expired | None = None
) -> bool:
    """Serve the app until ``stop`` is set. ``say`` gets the lines meant for the user; the last is the ready line.

    on_timeout: called by a thread when a function exceeds functionTimeout, instead of cancelling it.
    Returns whether every thread has ended. ConfigurationError if the app, its settings or a route do not fit.
    """
    folder = options.app.resolve()
    apply_local_settings(folder, os.environ)
    os.environ.setdefault("DURABLE_MESSAGE_LEASE", LOCAL_LEASE)
    os.environ.setdefault("DURABLE_INSTANCE_LOG", "true")
    os.environ.setdefault("DURABLE_GUARD", "true")  # for developers: names the line that is not deterministic
    config, settings = read_host_config(folder, azure_like=options.azure_like), Settings.from_environment()
    functions = load_functions(folder)
    key = host_key(options.key, os.environ)
    looks = look_key(options.look_key, os.environ, key)
    served = [function for function in functions if _is_served(function, options.only)]
    if not served:
        queues = ", ".join(sorted(f.trigger.queue for f in functions if isinstance(f.trigger, QueueTrigger)))
        raise ConfigurationError(f"no function of the app serves '{options.only}'; its queues are: {queues}")
    invoker = Invoker(folder, config.function_timeout, on_timeout=on_timeout)
    router = http_router(served, prefix=config.route_prefix, has_key=key is not None)
    timers = _timer_listeners(served, invoker)

    async with AsyncExitStack() as stack:
        stack.enter_context(seldom_collecting())
        sockets = () if router is None else stack.enter_context(listening_sockets(options.host, options.port))
        port = port_of(sockets) if sockets else None
        os.environ.setdefault("WEBSITE_HOSTNAME", f"{_shown(options.host)}:{port or options.port}")  # as func does
        storage = acquire_storage(settings)
        stack.push_async_callback(release_storage, storage)
        if settings.is_embedded and settings.store != ":memory:":
            # All queues, also those that --only leaves to other hosts: no other host runs.
            queues = sorted({f.trigger.queue for f in functions if isinstance(f.trigger, QueueTrigger)})
            await stack.enter_async_context(live_on_store(settings, partial(free_leases, storage, queues)))
        await stack.enter_async_context(_hooks(functions, served))
        listeners = _queue_listeners(served, invoker, storage, config, settings)
        if not options.azure_like:
            for name, listener in listeners:
                stack.callback(storage.on_send(name, listener.wake))

        async def serve_http() -> HttpServer | None:
            if router is None:
                http = None
            else:
                sites = None if key is not None else _sites(options.host, settings.base_url, sockets)
                http = await _http_server(router, invoker, sites, key=key, look_key=looks)
                await http.start(sockets, grace=options.grace)
            _announce(served, config, options, port, say)
            return http

        loops = [*(listener for _, listener in listeners), *timers]
        await _serve([loop.run() for loop in loops], [loop.stop for loop in loops], serve_http, options.grace, stop)
    return invoker.close()


async def _serve(
    runs: Sequence[Coroutine[Any, Any, None]],
    stops: Sequence[Callable[[], None]],
    serve_http: Callable[[], Awaitable[HttpServer | None]],
    grace: float,
    stop: asyncio.Event,
) -> None:
    """Run the listeners until ``stop``, or until one fails: a host that serves half an app must not stay up."""
    tasks = {asyncio.create_task(run) for run in runs}
    stopping = asyncio.create_task(stop.wait())
    http: HttpServer | None = None
    try:
        http = await serve_http()
        await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        for stop_one in stops:
            stop_one()
        await asyncio.gather(drain(tasks, grace), *([http.stop()] if http else []))
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _is_served(function: IndexedFunction, only: str | None) -> bool:
    role, _, own = (only or "").partition(":")
    match function.trigger, role:
        case _, "":
            return True
        case QueueTrigger(queue=queue), "work" if own:  # a hub of several partitions numbers its queues
            return re.search(rf"-work-{re.escape(own)}(-\d\d)?$", queue) is not None
        case QueueTrigger(queue=queue), "control" | "work":
            return f"-{role}" in queue
        case _:
            return role == "control"


async def _http_server(
    router: HttpRouter, invoker: Invoker, sites: SitePolicy | None, *, key: str | None, look_key: str | None
) -> HttpServer:
    # In a thread: while it reads files and certificates, the first messages are at work.
    module = await asyncio.to_thread(importlib.import_module, f"{__package__}.http_server")
    return module.HttpServer(router, invoker.invoke, key=key, look_key=look_key, sites=sites)


def _sites(host: str, base_url: str, sockets: Sequence[socket.socket]) -> SitePolicy:
    on_loopback = all(is_loopback(str(listening.getsockname()[0])) for listening in sockets)
    return SitePolicy((host, name_of_url(base_url)), only_known_names=on_loopback)


def _queue_listeners(
    functions: Sequence[IndexedFunction], invoker: Invoker, storage: Storage, config: HostConfig, settings: Settings
) -> list[tuple[str, QueueListener]]:
    def listener(function: IndexedFunction, queue: str) -> QueueListener:
        async def invoke(message: QueueMessage) -> None:
            await invoker.invoke(function, _queue_message(message, settings.message_lease))

        return QueueListener(storage, queue, invoke, options=config.queues, lease=settings.message_lease)

    return [(f.trigger.queue, listener(f, f.trigger.queue)) for f in functions if isinstance(f.trigger, QueueTrigger)]


def _queue_message(message: QueueMessage, lease: float) -> object:
    from azure.functions.queue import QueueMessage as TriggerMessage

    return TriggerMessage(
        id=message.id,
        body=message.body,
        dequeue_count=message.dequeue_count,
        insertion_time=message.inserted_at,
        expiration_time=_NEVER,
        time_next_visible=datetime.now(UTC) + timedelta(seconds=lease),
        pop_receipt=message.receipt,
    )


def _timer_listeners(functions: Sequence[IndexedFunction], invoker: Invoker) -> list[TimerListener]:
    def listener(function: IndexedFunction, trigger: TimerTrigger) -> TimerListener:
        async def invoke(firing: TimerFiring) -> None:
            await invoker.invoke(function, _timer_request(firing))

        # Every timer runs once soon after the start; a laptop's host may not live until the first due time.
        schedule = parse_schedule(trigger.schedule)
        return (
            TimerListener(schedule, invoke, startup_delay=0.0)
            if trigger.run_on_startup
            else TimerListener(schedule, invoke)
        )

    return [listener(f, f.trigger) for f in functions if isinstance(f.trigger, TimerTrigger)]


def _timer_request(firing: TimerFiring) -> object:
    from azure.functions.timer import TimerRequest

    last = firing.last.isoformat() if firing.last else datetime.min.isoformat()
    return TimerRequest(
        past_due=firing.past_due,
        schedule_status={"Last": last, "Next": firing.due.isoformat(), "LastUpdated": last},
        schedule={"AdjustForDST": True},
    )


@asynccontextmanager
async def _hooks(functions: Sequence[IndexedFunction], served: Sequence[IndexedFunction]) -> AsyncGenerator[None]:
    queues = [function.trigger.queue for function in served if isinstance(function.trigger, QueueTrigger)]
    found = dict[int, DurableHooks]()
    for function in functions:
        hooks = getattr(function.call, "__durable_hooks__", None)
        if isinstance(hooks, DurableHooks):
            found[id(hooks)] = hooks
    async with AsyncExitStack() as stack:
        for hooks in found.values():
            await hooks.start(queues)
            stack.push_async_callback(hooks.stop)
        yield


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _announce(
    functions: Sequence[IndexedFunction],
    config: HostConfig,
    options: HostOptions,
    port: int | None,
    say: Callable[[str], None],
) -> None:
    base = f"http://{_shown(options.host)}:{port}"
    say("functions:")
    for function in functions:
        match function.trigger:
            case HttpTrigger(route=route, methods=methods):
                path = "/".join(part for part in (config.route_prefix, route.strip("/")) if part)
                answered = getattr(function.call, "__durable_methods__", methods)  # the others are told which these are
                say(f"  {function.name}: [{','.join(sorted(answered)) or 'ALL'}] {base}/{path}")
            case QueueTrigger(queue=queue):
                say(f"  {function.name}: queue {queue}")
            case TimerTrigger(schedule=schedule):
                say(f"  {function.name}: timer {schedule}")
    say(f"listening on {base}" if port is not None else "listening on queues only")
