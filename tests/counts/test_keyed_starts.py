"""What starts with a key cost, counted at the storage ports. The numbers may only go down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Debounce, Deduplicate, Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.storage.counting import Counts
from durable_core.testing.simulation import World

BURST = Debounce(key="k", period=timedelta(seconds=30))
WINDOW = Deduplicate(key="k", window=timedelta(hours=1))


@orchestrator
def nothing(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.task_all([])
    return number


@orchestrator
def waits(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.wait_for_external_event("Go")
    return number


def counted(drive: Callable[[World], Awaitable[Any]]) -> Any:
    world = World(Registry().add(nothing, waits), counting=True)
    found = world.run(drive)
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    return found


async def cost_of(world: World, **options: Any) -> int:
    before = world.counted.counts
    await world.client.start_new("waits", client_input=1, **options)
    return (world.counted.counts - before).total


@pytest.mark.parametrize(
    ("options", "pause", "costs"),
    [({}, 0, [3, 3]), ({"debounce": BURST}, 5, [5, 3, 3]), ({"deduplicate": WINDOW}, 5, [4, 3, 3])],
    ids=["without a key", "debounced", "once in a window"],
)
def test_what_a_start_costs(options: dict[str, Any], pause: float, costs: list[int]) -> None:
    async def drive(world: World) -> list[int]:
        found: list[int] = []
        for _ in costs:
            found.append(await cost_of(world, **options))
            await asyncio.sleep(pause)
        return found

    found = counted(drive)
    assert all(cost <= most for cost, most in zip(found, costs, strict=True)), found


@pytest.mark.parametrize(("options", "pause"), [({"debounce": BURST}, 60), ({"deduplicate": WINDOW}, 4000)])
def test_the_next_instance_of_a_key_costs_six(options: dict[str, Any], pause: float) -> None:
    async def drive(world: World) -> int:
        await cost_of(world, **options)
        await asyncio.sleep(pause)
        return await cost_of(world, **options)

    assert counted(drive) <= 6


def test_a_hundred_starts_of_a_burst_cost_the_hosts_what_one_look_in_each_period_costs() -> None:
    async def drive(world: World) -> Counts:
        before = world.counted.counts
        for number in range(100):
            await world.client.start_new("nothing", client_input=number, debounce=BURST)
            await asyncio.sleep(3)
        await asyncio.sleep(60)
        return world.counted.counts - before

    counts = counted(drive)
    assert counts["queue.send"] <= 1 + 300 / 20, counts  # a reminder that is early is armed for the time that is left
    assert counts.total <= 100 * 3 + 100, counts


def test_a_purge_of_an_instance_with_a_key_costs_two_more() -> None:
    async def drive(world: World) -> list[int]:
        found: list[int] = []
        for deduplicate in (None, WINDOW):
            one = await world.client.start_new("nothing", client_input=1, deduplicate=deduplicate)
            await asyncio.sleep(60)
            before = world.counted.counts
            await world.client.purge_instance_history(one)
            found.append((world.counted.counts - before).total)
        return found

    plain, keyed = counted(drive)
    assert keyed - plain <= 2, (plain, keyed)
