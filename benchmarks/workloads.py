"""What is measured in one process with the host. Each drives a client, in the size it is given, and checks results."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeVar

from durable_core.models import RuntimeStatus
from durable_core.runtime.client import DurableClient

WARM_UP = 10  # runs before those of W1 that count
STEPS = 10  # of each chain of W2 and W7
IN_FLIGHT = 200  # starts or events that are under way at once
SLEEP = 1.0  # seconds of each timer of W5
SETTLE = 3.0  # seconds that the instances of W6 wait before their events come
PATIENCE = 300.0  # seconds

T = TypeVar("T")
Figures = dict[str, Any]


async def call(client: DurableClient, orchestrator: str, data: object) -> Any:
    """Start an instance and wait for its output."""
    return await result_of(client, await client.start_new(orchestrator, None, data))


async def result_of(client: DurableClient, instance_id: str) -> Any:
    status = await client.wait_for_completion(instance_id, PATIENCE)
    if status.runtime_status is not RuntimeStatus.COMPLETED:
        raise RuntimeError(f"instance '{instance_id}' is {status.runtime_status}: {status.failure}")
    return status.output


async def bounded(calls: Iterable[Awaitable[T]]) -> list[T]:
    """All at once, but for IN_FLIGHT at most."""
    limit = asyncio.Semaphore(IN_FLIGHT)

    async def when_there_is_room(one: Awaitable[T]) -> T:
        async with limit:
            return await one

    return await asyncio.gather(*map(when_there_is_room, calls))


def check(result: object, expected: object) -> None:
    """RuntimeError if a workload computed something else than it should: what is wrong is not fast."""
    if result != expected:
        raise RuntimeError(f"a wrong result: {str(result)[:200]}")


async def latency(client: DurableClient, runs: int) -> Figures:
    """W1: one orchestration of one activity, start to result, one after another."""
    for _ in range(WARM_UP):
        await call(client, "one", 0)
    took: list[float] = []
    for number in range(runs):
        began = time.perf_counter()
        check(await call(client, "one", number), number)
        took.append((time.perf_counter() - began) * 1000)
    return latencies(took)


async def throughput(client: DurableClient, instances: int) -> Figures:
    """W2: many chains, all started at once."""
    began = time.perf_counter()
    ids = await bounded(client.start_new("chain", None, STEPS) for _ in range(instances))
    started = time.perf_counter() - began
    results = await asyncio.gather(*[result_of(client, instance_id) for instance_id in ids])
    wall = time.perf_counter() - began
    check(results, [STEPS] * instances)
    return rates(instances, wall, started)


async def fan_out(client: DurableClient, width: int) -> Figures:
    """W3: one orchestration that starts all its activities at once."""
    return await _fan_out(client, width, "fan")


async def short_fan_out(client: DurableClient, width: int) -> Figures:
    """The same with an activity that says that it is short."""
    return await _fan_out(client, width, "short_fan")


async def _fan_out(client: DurableClient, width: int, orchestrator: str) -> Figures:
    began = time.perf_counter()
    total = await call(client, orchestrator, width)
    wall = time.perf_counter() - began
    check(total, width * (width - 1) // 2)
    return {"wall_s": wall, "act_per_s": width / wall, "n": width}


async def long_chain(client: DurableClient, steps: int) -> Figures:
    """W4: one long chain; its activities note the time, so that the second half can be held against the first."""
    began = time.perf_counter()
    first, middle, last = await call(client, "long", steps)
    wall = time.perf_counter() - began
    halves = middle - first, last - middle
    return {
        "wall_s": wall,
        "first_half_s": halves[0],
        "second_half_s": halves[1],
        "ratio": halves[1] / halves[0],
        "n": steps,
    }


async def timers(client: DurableClient, instances: int) -> Figures:
    """W5: instances that each sleep a second; ideally they all end a second after the start."""
    began = time.perf_counter()
    ids = await bounded(client.start_new("sleeper", None, SLEEP) for _ in range(instances))
    started = time.perf_counter() - began
    results = await asyncio.gather(*[result_of(client, instance_id) for instance_id in ids])
    wall = time.perf_counter() - began
    check(results, [SLEEP] * instances)
    return {"wall_s": wall, "over_ideal_s": wall - SLEEP, "started_s": started}


async def events(client: DurableClient, instances: int) -> Figures:
    """W6: instances that wait; after a while each gets an event with a number, which it returns."""
    ids = await bounded(client.start_new("waiter", None, None) for _ in range(instances))
    await asyncio.sleep(SETTLE)
    began = time.perf_counter()
    waiting = asyncio.gather(*[result_of(client, instance_id) for instance_id in ids])
    await bounded(client.raise_event(instance_id, "go", number) for number, instance_id in enumerate(ids))
    sent = time.perf_counter() - began
    results = await waiting
    wall = time.perf_counter() - began
    lost = sum(result != number for number, result in enumerate(results))
    return {"wall_s": wall, "sent_s": sent, "lost": lost}


async def short_instances(client: DurableClient, instances: int) -> Figures:
    """W9: many instances of one activity, all started at once."""
    began = time.perf_counter()
    ids = await bounded(client.start_new("one", None, number) for number in range(instances))
    started = time.perf_counter() - began
    results = await asyncio.gather(*[result_of(client, instance_id) for instance_id in ids])
    wall = time.perf_counter() - began
    check(results, list(range(instances)))
    return {"wf_per_s": instances / wall, "wall_s": wall, "started_s": started, "n": instances}


def latencies(took: Sequence[float]) -> Figures:
    return {"p50_ms": percentile(took, 50), "p99_ms": percentile(took, 99), "max_ms": max(took), "n": len(took)}


def rates(instances: int, wall: float, started: float) -> Figures:
    return {
        "act_per_s": instances * STEPS / wall,
        "wf_per_s": instances / wall,
        "wall_s": wall,
        "started_s": started,
    }


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    return sorted(values)[max(0, math.ceil(share / 100 * len(values)) - 1)]
