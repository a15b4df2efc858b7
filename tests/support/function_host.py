"""The functions of an app in this process, reached by URL and queue as the Functions host would: without sockets.

Routes are matched by the local host's own router; queues are handed over on demand, with the host's five tries.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func
from azure.functions.queue import QueueMessage

from durable_core import PayloadCodec, Registry
from durable_core.hosting.functions import Durable
from durable_core.hosting.local.routes import Route, Router, parse_template
from durable_core.hosting.storage_pool import acquire_storage, release_storage
from durable_core.settings import Settings
from durable_core.storage.ports import Queue, Storage

ORIGIN = "http://localhost:7071"
BASE = f"{ORIGIN}/api/durabletask"
MAX_DEQUEUE = 5
PATIENCE = 60.0  # seconds after which a request or a message has hung; the machine may be slow


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class FunctionHost:
    """``failures`` are the errors of messages that failed; a host logs them and tries again."""

    def __init__(self, durable: Durable, storage: Storage, functions: Iterable[func.Function]) -> None:
        self.durable, self.storage = durable, storage
        self.failures: list[Exception] = []
        routes: list[Route[Any]] = []
        self._queues: dict[str, Any] = {}
        for function in functions:
            binding = json.loads(function.get_raw_bindings()[0])
            call: Any = function.get_user_function()
            if binding["type"] == "httpTrigger":
                methods = frozenset(str(method).upper() for method in binding["methods"])
                routes.append(Route(parse_template(f"api/{binding['route']}"), methods, call))
            elif binding["type"] == "queueTrigger":
                self._queues[binding["queueName"]] = call
        self._router = Router(routes)

    async def request(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer | None:
        """The answer; None where no route fits, which a host answers itself, with 404. TimeoutError if it hangs."""
        url = url if url.startswith("http") else f"{BASE}/{url}"
        parts = urlsplit(url)
        found = self._router.find(method, parts.path)
        if found is None:
            return None
        call, route = found
        params = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = func.HttpRequest(method, url, headers=headers, params=params, route_params=route, body=body)
        async with asyncio.timeout(PATIENCE):
            response: func.HttpResponse = await call(request)
        return Answer(response.status_code, dict(response.headers), response.get_body())

    async def call(self, method: str, url: str, value: Any = None, **headers: str) -> Answer:
        """The same with a JSON value, where a route must fit."""
        answer = await self.request(method, url, b"" if value is None else json.dumps(value).encode(), headers)
        assert answer is not None, f"no route for {method} {url}"
        return answer

    async def drain(self, limit: int = 10_000) -> int:
        """Hand over messages until there are none; returns how many. TimeoutError if one hangs."""
        handed = 0
        busy = True
        while busy and handed < limit:
            busy = False
            for name in list(self._queues):
                queue = self.storage.queue(name)
                for message in await queue.receive(32):
                    busy, handed = True, handed + 1
                    await self._hand_over(name, queue, message)
        return handed

    async def _hand_over(self, name: str, queue: Queue, message: Any) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._queues[name](QueueMessage(body=message.body, dequeue_count=message.dequeue_count))
        except TimeoutError:
            raise
        except Exception as error:  # noqa: BLE001  the host's rule: whatever it was, the message comes back
            self.failures.append(error)
            if message.dequeue_count >= MAX_DEQUEUE:
                await self.storage.queue(f"{name}-poison").send(message.body)
                await queue.delete(message)
            else:
                await queue.extend(message, 0.0)
        else:
            await queue.delete(message)


@asynccontextmanager
async def function_host(
    registry: Registry, settings: Settings, codec: PayloadCodec | None = None
) -> AsyncGenerator[FunctionHost]:
    durable = Durable(registry, settings=settings, codec=codec)
    app = func.FunctionApp()
    app.register_functions(durable.blueprint())
    async with host_of(durable, app.get_functions()) as host:
        yield host


@asynccontextmanager
async def host_of(durable: Durable, functions: Iterable[func.Function]) -> AsyncGenerator[FunctionHost]:
    """The functions of an app that has been indexed, with its ``Durable``."""
    storage = acquire_storage(durable.settings)
    try:
        await durable.start()
        try:
            yield FunctionHost(durable, storage, functions)
        finally:
            await durable.stop()
    finally:
        await release_storage(storage)
