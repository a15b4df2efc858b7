"""A small app to be fuzzed: an instance that waits, one that ended, one that failed, a schedule."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from durable_core import EntityId, OrchestrationContext, Registry, activity, entity, orchestrator
from durable_core.settings import Settings
from tests.support.function_host import FunctionHost, function_host

T = TypeVar("T")


class Order(BaseModel):
    sku: str
    count: int = 1


def same(value: Any) -> Any:
    return value


@activity
def measure(text: str) -> int:
    return len(text)


@orchestrator
def waits(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    ctx.set_query_handler("echo", same)
    return (yield from ctx.wait_for_external_event("Go"))


@orchestrator
def order(ctx: OrchestrationContext, wanted: Order) -> Generator[Any, Any, int]:
    return (yield from ctx.call_activity(measure, wanted.sku, inline=False)) * wanted.count


@orchestrator
def fails(ctx: OrchestrationContext) -> Generator[Any, Any, None]:
    yield from ctx.call_activity(measure, "x")
    raise ValueError("no")


@entity
class Tally:
    count: int = 0

    def add(self, number: int = 1) -> int:
        self.count += number
        return self.count


REGISTRY = Registry().add(waits, order, fails, measure, Tally)
SETTINGS = Settings(store=":memory:", signing_keys=("a key for fuzzing only",), hub="fuzzed")


class FuzzedApp:
    """The app on an event loop of its own, for tests whose inputs come from a synchronous generator."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self.host: FunctionHost
        self.uris: dict[str, str] = {}

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self._loop.run_until_complete(awaited())

    async def restock(self) -> None:
        """Have one instance of every kind, whatever was done to them."""
        await self.host.drain()
        client = await self.host.durable.client()
        for name, instance_id in (("waits", "live"), ("order", "ended"), ("fails", "failed")):
            value = Order(sku="tea") if name == "order" else None
            await client.start_new(name, instance_id, value, if_exists="restart_if_done")
        await client.signal_entity(EntityId("tally", "one"), Tally.add)
        await self.host.drain()
        assert not (await client.get_status("live")).is_terminal

    def __enter__(self) -> Self:
        async def start() -> None:
            self.host = await self._stack.enter_async_context(function_host(REGISTRY, self.settings))
            client = await self.host.durable.client()
            await client.create_schedule("nightly", order, interval=timedelta(days=1), client_input=Order(sku="tea"))
            await self.restock()
            started = await self.host.call("POST", "orchestrators/waits/by-url")
            self.uris = started.json()

        self.run(start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._stack.aclose())
        self._loop.close()
