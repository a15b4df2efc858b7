"""The warm cache is bounded, and a busy orchestrator is never taken from under its turn."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.settings import Settings
from durable_core.testing.simulation import World


@orchestrator
def waits(ctx: OrchestrationContext) -> Orchestration[int]:
    total = 0
    for _ in range(3):
        total += yield from ctx.wait_for_external_event("Add", int)
    return total


def test_a_small_cache_keeps_few_orchestrators_and_loses_nothing() -> None:
    world = World(Registry().add(waits), settings=replace(Settings(), warm_cache=20_000))

    async def scenario(world: World) -> None:
        ids = [await world.client.start_new(waits, f"i{n}") for n in range(40)]
        for _ in range(3):
            await asyncio.gather(*(world.client.raise_event(i, "Add", 1) for i in ids))
            await asyncio.sleep(30)
            assert world.hosts[0].app.instance_cache.warm_instances <= 5
        for instance_id in ids:
            assert (await world.client.get_status(instance_id)).output == 3

    world.run(scenario)
    assert not world.errors
    assert not world.failures


def test_the_number_of_warm_orchestrators_is_bounded_too() -> None:
    world = World(Registry().add(waits), settings=replace(Settings(), warm_instances=7))

    async def scenario(world: World) -> None:
        for n in range(20):
            await world.client.start_new(waits, f"i{n}")
        await asyncio.sleep(30)
        assert world.hosts[0].app.instance_cache.warm_instances == 7

    world.run(scenario)
    assert not world.errors


SHARED = [f"{n}" * 100 for n in range(1000)]
KILO = 1000


@activity
def text_of(size: int) -> str:
    return "z" * size


@orchestrator
def holds_text(ctx: OrchestrationContext, size: int) -> Orchestration[int]:
    text = ctx.instance_id * (size // len(ctx.instance_id))
    yield from ctx.wait_for_external_event("Go")
    return len(text)


@orchestrator
def holds_rows(ctx: OrchestrationContext, size: int) -> Orchestration[int]:
    rows = [{"name": f"{ctx.instance_id}-{n}", "prices": [n + 0.5, str(n)]} for n in range(size // 400)]
    yield from ctx.wait_for_external_event("Go")
    return len(rows)


def _waits_with(ctx: OrchestrationContext, size: int) -> Orchestration[int]:
    buffer = bytearray(size)
    yield from ctx.wait_for_external_event("Go")
    return len(buffer)


@orchestrator
def holds_in_a_helper(ctx: OrchestrationContext, size: int) -> Orchestration[int]:
    return (yield from _waits_with(ctx, size))


@orchestrator
def holds_in_history(ctx: OrchestrationContext, size: int) -> Orchestration[None]:
    yield from ctx.call_activity(text_of, size)
    yield from ctx.wait_for_external_event("Go")


def _weights(orchestrator: Callable[..., Any], data: object, count: int = 20) -> tuple[float, float]:
    """What one weighs by the estimate, and by what is free when all are cooled."""
    world = World(Registry().add(orchestrator, text_of), settings=replace(Settings(), warm_cache=1 << 40))

    async def scenario(world: World) -> tuple[float, float]:
        instance_cache = world.hosts[0].app.instance_cache
        tracemalloc.start()
        try:
            for n in range(count):
                await world.client.start_new(orchestrator, f"instance-{n}", data)
            await asyncio.sleep(60)
            assert instance_cache.warm_instances == count
            gc.collect()
            estimate, before = instance_cache.warm_bytes, tracemalloc.get_traced_memory()[0]
            instance_cache.abandon()
            gc.collect()
            return estimate / count, (before - tracemalloc.get_traced_memory()[0]) / count
        finally:
            tracemalloc.stop()

    return world.run(scenario)


@pytest.mark.parametrize("size", [KILO, 30 * KILO, 300 * KILO])
@pytest.mark.parametrize("orchestrator", [holds_text, holds_rows, holds_in_a_helper, holds_in_history])
def test_an_orchestrator_weighs_about_what_it_holds(orchestrator: Callable[..., Any], size: int) -> None:
    estimate, real = _weights(orchestrator, size)
    assert real / 2 < estimate < real * 3, f"{estimate:,.0f} of {real:,.0f}"


@orchestrator
def holds_what_is_shared(ctx: OrchestrationContext) -> Orchestration[int]:
    names = SHARED
    yield from ctx.wait_for_external_event("Go")
    return len(names)


def test_what_the_module_holds_is_not_counted_once_more_for_each_instance() -> None:
    estimate, real = _weights(holds_what_is_shared, None)
    assert estimate < real * 3


class Hostile(list[int]):
    """Answers nothing that it is asked about itself."""

    def __sizeof__(self) -> int:
        raise AssertionError("asked for its size")

    def __len__(self) -> int:
        raise AssertionError("asked for its length")

    def __iter__(self) -> Any:
        raise AssertionError("asked for its items")

    def __hash__(self) -> int:  # type: ignore[override]
        raise AssertionError("hashed")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")


@orchestrator
def holds_what_is_hostile(ctx: OrchestrationContext) -> Orchestration[str]:
    hostile = [Hostile(), {"one": Hostile()}]
    yield from ctx.wait_for_external_event("Go")
    return type(hostile).__name__


def test_no_code_of_the_users_is_run_to_learn_what_it_weighs() -> None:
    world = World(Registry().add(holds_what_is_hostile))

    async def scenario(world: World) -> None:
        await world.client.start_new(holds_what_is_hostile, "one")
        await asyncio.sleep(30)
        await world.client.raise_event("one", "Go")
        assert (await world.client.wait_for_completion("one", timeout=60)).output == "list"

    world.run(scenario)
    assert not world.errors
    assert not world.failures
