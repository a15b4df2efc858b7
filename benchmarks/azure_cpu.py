"""What each storage operation costs the app over Azurite, beside the same request over a bare aiohttp session.

Run it by ``python -m benchmarks.azure_cpu``; ``--sdk`` measures the SDKs' own pipeline. One operation after another.
The figures are CPU time of this process, the time of the clock, and function calls, each for one operation.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, cast
from uuid import uuid4

from durable_core.storage.azure.store import AzureStorage
from durable_core.storage.ports import QueueMessage
from durable_core.testing.azurite import Azurite

from .bare_azurite import bare_azurite

PROPS = {"text": "y" * 120}

Step = Callable[[int], Awaitable[object]]
"""One operation, by its number."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one operation. cpu, wall: seconds. calls: of functions, as the profiler counts them."""

    cpu: float
    wall: float
    calls: float


async def cost(step: Step, times: int) -> Cost:
    """The mean of ``times`` operations; calls are counted apart from times, because counting takes time."""
    numbers = count()
    for _ in range(20):
        await step(next(numbers))
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(times):
        await step(next(numbers))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    profiled = max(times // 5, 20)
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(profiled):
        await step(next(numbers))
    profile.disable()
    calls = cast(int, cast(Any, pstats.Stats(profile)).total_calls)
    return Cost(cpu / times, wall / times, calls / profiled)


@asynccontextmanager
async def adapter_steps(azurite: Azurite, by_sdk: bool, times: int) -> AsyncGenerator[dict[str, Step]]:
    """Every operation that turns need, over the adapter. times: how often each will be done, for what must exist."""
    storage = AzureStorage({"": azurite.connection_string}, by_sdk=by_sdk)
    name = "bench" + uuid4().hex[:12]
    await storage.create([name], [name, f"{name}-deletes"])
    table, queue, deletes = storage.table(name), storage.queue(name), storage.queue(f"{name}-deletes")
    etag = await table.insert("p", "z", {"a": "x" * 200})
    for number in range(10):
        await table.insert("range", str(number), PROPS)
    received: list[QueueMessage] = []

    async def merge(number: int) -> None:
        nonlocal etag
        etag = await table.merge("p", "z", {f"s{number % 100}": "y" * 120}, etag)

    async def delete_message(_: int) -> None:
        await deletes.delete(received.pop())

    async def fill() -> None:
        for _ in range(times):
            await deletes.send("hello")
        while found := await deletes.receive(32, 600):
            received.extend(found)

    await fill()
    try:
        yield {
            "merge": merge,
            "insert": lambda number: table.insert("p", f"i{number:06}", PROPS),
            "get": lambda _: table.get("p", "i000000"),
            "range read": lambda _: table.read_range("range", "0", "z"),
            "send": lambda _: queue.send("hello" * 20),
            "receive": lambda _: queue.receive(1, 600),
            "delete message": delete_message,
            "delete": lambda number: table.delete("p", f"i{number:06}"),
        }
    finally:
        await storage.close()


@asynccontextmanager
async def bare_merge(azurite: Azurite) -> AsyncGenerator[Step]:
    """A guarded merge by the bare client: the least that Python needs for it."""
    storage = AzureStorage({"": azurite.connection_string})
    await storage.create(["barebench"], [])
    etag = await storage.table("barebench").insert("p", "z", {"a": "x" * 200})
    await storage.close()
    async with bare_azurite(azurite) as bare:

        async def merge(number: int) -> None:
            nonlocal etag
            body = f'{{"PartitionKey": "p", "RowKey": "z", "s{number % 100}": "{"y" * 120}"}}'.encode()
            etag = await bare.merge("barebench", "p", "z", body, etag)

        yield merge


async def measure(by_sdk: bool, times: int) -> None:
    azurite = Azurite().start()
    try:
        async with bare_merge(azurite) as step, adapter_steps(azurite, by_sdk, 2 * times + 40) as steps:
            bare = await cost(step, times)
            print(f"{'':16}   ms CPU  of bare  ms wall    calls")
            _line("bare session", bare, bare)
            for name, each in steps.items():
                _line(name, await cost(each, times), bare)
            _line("bare session", await cost(step, times), bare)
    finally:
        azurite.stop()


def _line(name: str, found: Cost, bare: Cost) -> None:
    ratio = found.cpu / bare.cpu
    print(f"{name:16} {found.cpu * 1000:8.2f} {ratio:8.2f} {found.wall * 1000:8.2f} {found.calls:8.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdk", action="store_true", help="by the SDKs' whole pipeline")
    parser.add_argument("--times", type=int, default=500)
    asked = parser.parse_args()
    asyncio.run(measure(asked.sdk, asked.times))
