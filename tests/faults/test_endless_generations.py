"""An orchestrator that continues as new for ever, without a wait or with inline work alone, obeys who manages it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    Orchestration,
    OrchestrationContext,
    Registry,
    RuntimeStatus,
    TaskCancelledError,
    activity,
    orchestrator,
)
from durable_core.settings import Settings
from durable_core.testing.simulation import World

from .oracle import check, come_to_rest
from .scenarios import Effects


@activity
async def light(number: int) -> int:
    await asyncio.sleep(0.5)
    return number + 1


@orchestrator
def never_waits(ctx: OrchestrationContext, number: int) -> Orchestration[Any]:
    ctx.set_custom_status(number)
    ctx.continue_as_new(number + 1)
    yield from ()


@orchestrator
def waits_for_work(ctx: OrchestrationContext, number: int) -> Orchestration[Any]:
    number = yield from ctx.call_activity(light, number)
    ctx.continue_as_new(number)


CODES = [never_waits, waits_for_work]
REGISTRY = Registry().add(light, *CODES)


def in_world(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def whole(world: World) -> None:
        await scenario(world)
        await come_to_rest(world)
        await check(world, Effects(), exactly_once=False)

    world = World(REGISTRY, settings=Settings())
    world.run(whole)
    assert not world.errors, world.errors
    assert not world.failures, world.failures


async def begun(world: World, code: Any) -> None:
    """Started, and some generations on."""
    await world.client.start_new(code, "one", 1)
    for _ in range(2000):
        await asyncio.sleep(0)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.__name__)
@pytest.mark.parametrize("how", ["terminate", "cancel"])
def test_it_can_be_ended(code: Any, how: str) -> None:
    async def scenario(world: World) -> None:
        await begun(world, code)
        await getattr(world.client, how)("one", "enough")
        done = await world.client.wait_for_completion("one", timeout=60)
        assert done.runtime_status is (RuntimeStatus.TERMINATED if how == "terminate" else RuntimeStatus.CANCELED)
        assert done.output == "enough"

    in_world(scenario)


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.__name__)
def test_it_can_be_suspended_and_goes_on_when_it_is_resumed(code: Any) -> None:
    async def scenario(world: World) -> None:
        await begun(world, code)
        await world.client.suspend("one")
        await asyncio.sleep(60)  # passes, as nothing goes on
        suspended = await world.client.get_status("one")
        assert suspended.runtime_status is RuntimeStatus.SUSPENDED
        await world.replace_hosts(None)
        await asyncio.sleep(600)
        assert (await world.client.get_status("one")).custom_status == suspended.custom_status
        await world.client.resume("one")
        for _ in range(2000):
            await asyncio.sleep(0)
        resumed = await world.client.get_status("one")
        assert resumed.runtime_status is RuntimeStatus.RUNNING
        if code is never_waits:
            assert resumed.custom_status != suspended.custom_status
        await world.client.terminate("one")
        await world.client.wait_for_completion("one", timeout=60)

    in_world(scenario)


def test_one_that_is_suspended_can_be_ended() -> None:
    async def scenario(world: World) -> None:
        await begun(world, never_waits)
        await world.client.suspend("one")
        await asyncio.sleep(60)
        await world.client.terminate("one", "enough")
        assert (await world.client.wait_for_completion("one", timeout=60)).output == "enough"

    in_world(scenario)


def test_the_time_allowed_to_the_run_ends_it() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(waits_for_work, "one", 1, timeout=timedelta(seconds=30))
        done = await world.client.wait_for_completion("one", timeout=120)
        assert done.runtime_status is RuntimeStatus.FAILED

    in_world(scenario)


def test_events_wait_while_it_is_suspended_and_come_in_order() -> None:
    @orchestrator
    def takes_events(ctx: OrchestrationContext, got: list[int]) -> Orchestration[list[int]]:
        got.append((yield from ctx.wait_for_external_event("e")))
        if len(got) < 6:
            ctx.continue_as_new(got)
        return got

    async def scenario(world: World) -> None:
        await world.client.start_new("takes_events", "one", list[int]())
        for number in range(3):
            await world.client.raise_event("one", "e", number)
        await world.client.suspend("one")
        for number in range(3, 6):
            await world.client.raise_event("one", "e", number)
        await asyncio.sleep(60)
        assert (await world.client.get_status("one")).runtime_status is RuntimeStatus.SUSPENDED
        await world.client.resume("one")
        assert (await world.client.wait_for_completion("one", timeout=60)).output == [0, 1, 2, 3, 4, 5]

    world = World(Registry().add(takes_events))
    world.run(scenario)
    assert not world.errors, world.errors
    assert not world.failures, world.failures


def test_events_that_a_generation_leaves_go_on_from_one_to_the_next_until_they_are_taken() -> None:
    @orchestrator
    def takes_one_each(ctx: OrchestrationContext, got: list[int]) -> Orchestration[list[int]]:
        if not got:  # meanwhile they come
            yield from ctx.create_timer(timedelta(seconds=30))
        got.append((yield from ctx.wait_for_external_event("e")))
        if len(got) < 6:
            ctx.continue_as_new(got)
        return got

    async def scenario(world: World) -> None:
        await world.client.start_new("takes_one_each", "one", list[int]())
        await asyncio.sleep(5)
        for number in range(6):
            await world.client.raise_event("one", "e", number)
        assert (await world.client.wait_for_completion("one", timeout=60)).output == [0, 1, 2, 3, 4, 5]

    world = World(Registry().add(takes_one_each))
    world.run(scenario)
    assert not world.errors, world.errors


def test_a_cancellation_between_two_generations_reaches_the_code_where_it_waits_next() -> None:
    @orchestrator
    def cleans_up(ctx: OrchestrationContext, number: int) -> Orchestration[str]:
        try:
            yield from ctx.create_timer(timedelta(seconds=10))
        except TaskCancelledError:
            return f"cleaned up {(yield from ctx.call_activity(light, 1))}"
        ctx.continue_as_new(number + 1)
        return ""

    async def scenario(world: World) -> None:
        await world.client.start_new(cleans_up, "one", 1)
        await asyncio.sleep(35)
        await world.client.cancel("one", "enough")
        done = await world.client.wait_for_completion("one", timeout=60)
        assert done.output == "cleaned up 2"

    world = World(Registry().add(cleans_up, light))
    world.run(scenario)
    assert not world.errors, world.errors
