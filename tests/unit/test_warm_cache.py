"""The warm cache is bounded, and a busy orchestrator is never taken from under its turn."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.settings import Settings
from durable_core.testing.world import World


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
            assert world.hosts[0].app.dispatcher.warm_instances <= 5
        for instance_id in ids:
            assert (await world.client.get_status(instance_id)).output == 3

    world.run(scenario)
    assert not world.errors
    assert not world.failures
