"""What is measured. Each workload drives a client and returns its figures; each checks the results it gets."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from durable_core.models import RuntimeStatus
from durable_core.runtime.client import DurableClient

W1_RUNS, W1_WARM_UP = 200, 10
W2_INSTANCES, W2_STEPS = 200, 10
W3_WIDTH = 1000
W4_STEPS = 1000
PATIENCE = 300.0  # seconds

Figures = dict[str, float | int]


async def call(client: DurableClient, orchestrator: str, data: object) -> Any:
    """Start an instance and wait for its output."""
    return await result_of(client, await client.start_new(orchestrator, None, data))


async def result_of(client: DurableClient, instance_id: str) -> Any:
    status = await client.wait_for_completion(instance_id, PATIENCE)
    if status.runtime_status is not RuntimeStatus.COMPLETED:
        raise RuntimeError(f"instance '{instance_id}' is {status.runtime_status}: {status.failure}")
    return status.output


async def latency(client: DurableClient) -> Figures:
    """One orchestration of one activity, start to result, one after another."""
    for _ in range(W1_WARM_UP):
        await call(client, "one", 0)
    took: list[float] = []
    for number in range(W1_RUNS):
        began = time.perf_counter()
        if await call(client, "one", number) != number:
            raise RuntimeError("a wrong result")
        took.append((time.perf_counter() - began) * 1000)
    return {"p50_ms": percentile(took, 50), "p99_ms": percentile(took, 99), "max_ms": max(took), "n": len(took)}


async def throughput(client: DurableClient) -> Figures:
    """Many chains, all started at once."""
    began = time.perf_counter()
    ids = await asyncio.gather(*[client.start_new("chain", None, W2_STEPS) for _ in range(W2_INSTANCES)])
    started = time.perf_counter() - began
    results = await asyncio.gather(*[result_of(client, instance_id) for instance_id in ids])
    wall = time.perf_counter() - began
    if results != [W2_STEPS] * W2_INSTANCES:
        raise RuntimeError("a wrong result")
    return {
        "act_per_s": W2_INSTANCES * W2_STEPS / wall,
        "wf_per_s": W2_INSTANCES / wall,
        "wall_s": wall,
        "started_s": started,
    }


async def fan_out(client: DurableClient, orchestrator: str = "fan") -> Figures:
    """One orchestration that starts all its activities at once."""
    began = time.perf_counter()
    total = await call(client, orchestrator, W3_WIDTH)
    wall = time.perf_counter() - began
    if total != W3_WIDTH * (W3_WIDTH - 1) // 2:
        raise RuntimeError("a wrong result")
    return {"wall_s": wall, "act_per_s": W3_WIDTH / wall, "n": W3_WIDTH}


async def short_fan_out(client: DurableClient) -> Figures:
    """The same with an activity that says that it is short."""
    return await fan_out(client, "short_fan")


async def long_chain(client: DurableClient) -> Figures:
    """One long chain; its activities note the time, so that the second half can be held against the first."""
    began = time.perf_counter()
    first, middle, last = await call(client, "long", W4_STEPS)
    wall = time.perf_counter() - began
    halves = middle - first, last - middle
    return {
        "wall_s": wall,
        "first_half_s": halves[0],
        "second_half_s": halves[1],
        "ratio": halves[1] / halves[0],
        "n": W4_STEPS,
    }


@dataclass(frozen=True, slots=True)
class Workload:
    """``shown``: the figures of the table, with their labels."""

    name: str
    title: str
    run: Callable[[DurableClient], Awaitable[Figures]]
    shown: Sequence[tuple[str, str]]


WORKLOADS = (
    Workload("w1", "one activity, start to result", latency, (("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"))),
    Workload("w2", f"{W2_INSTANCES} chains of {W2_STEPS}", throughput, (("act_per_s", "activities/s"),)),
    Workload("w3", f"fan-out of {W3_WIDTH:,}", fan_out, (("wall_s", "s"),)),
    Workload("w3short", f"fan-out of {W3_WIDTH:,}, short=True", short_fan_out, (("wall_s", "s"),)),
    Workload("w4", f"one chain of {W4_STEPS:,}", long_chain, (("wall_s", "s"), ("ratio", "2nd half / 1st"))),
)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank."""
    return sorted(values)[max(0, math.ceil(share / 100 * len(values)) - 1)]
