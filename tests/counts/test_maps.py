"""What a map costs for each item: storage operations, events of its histories, and Python's memory."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from typing import NamedTuple

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.definitions import MAP_NAME
from durable_core.testing.simulation import World

MANY = 100_000 if "DURABLE_SOAK" in os.environ else 6_000


@activity(short=True)
async def brief(number: int) -> int:
    return number * 2


@activity
async def plain(number: int) -> int:
    return number * 2


class Asked(NamedTuple):
    items: int
    kind: str
    width: int | None


@orchestrator
def doubled(ctx: OrchestrationContext, asked: Asked) -> Orchestration[int]:
    numbers = (number for number in range(asked.items))
    results = yield from ctx.map(brief if asked.kind == "short" else plain, numbers, max_concurrency=asked.width)
    return sum(results)


class Counted(NamedTuple):
    operations: float  # per item
    events: int  # of the longest history
    batches: int
    bytes: int  # of Python's memory at its highest; 0 if they were not counted


def count(asked: Asked, *, memory: bool = False) -> Counted:
    async def drive(world: World) -> Counted:
        instance_id = await world.client.start_new(doubled, client_input=asked)
        status = await world.client.wait_for_completion(instance_id, timeout=1e6)
        assert status.output == asked.items * (asked.items - 1)
        highest = tracemalloc.get_traced_memory()[1] if memory else 0
        await asyncio.sleep(100)
        batches = [each.instance_id for each in await world.client.get_status_by(name=MAP_NAME)]
        operations = events = 0
        for each in (instance_id, *batches):
            status = await world.client.get_status(each, show_history=True)
            assert status.operations is not None and status.history_events is not None
            operations += status.operations.total
            events = max(events, len(status.history_events))
        return Counted(operations / asked.items, events, len(batches), highest)

    world = World(Registry().add(brief, plain, doubled))
    if memory:
        tracemalloc.start()
    try:
        return world.run(drive)
    finally:
        if memory:
            tracemalloc.stop()


@pytest.mark.timeout(1800)
def test_a_map_costs_the_same_for_each_item_and_its_histories_have_a_bound() -> None:
    few, many = count(Asked(3_000, "short", None)), count(Asked(MANY, "short", None))
    assert (few.batches, many.batches) == (4, (MANY - 1_000) // 500)
    assert few.operations <= 0.14 and many.operations <= 0.14, "one message holds 32 calls"
    for counted in (few, many):
        assert counted.events <= 2_030 + 3 * counted.batches, "1,000 direct calls, and what a batch leaves here"


@pytest.mark.parametrize(
    ("kind", "width", "most"), [("short", 100, 0.18), ("plain", None, 2.5), ("plain", 20, 3.4), ("plain", 1, 1.05)]
)
def test_what_a_window_costs(kind: str, width: int | None, most: float) -> None:
    assert count(Asked(3_000, kind, width)).operations <= most


def test_one_item_more_takes_little_memory() -> None:
    """With the input and the result of each in a history, and the results in a list, in one process with all hosts."""
    few, many = count(Asked(3_000, "short", None), memory=True), count(Asked(9_000, "short", None), memory=True)
    assert (many.bytes - few.bytes) / 6_000 <= 800
