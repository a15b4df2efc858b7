"""Wrong code makes its instances stuck, and keeps their messages; once it is fixed they resume, nothing runs twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, RuntimeStatus, activity, orchestrator
from durable_core.errors import QueryFailedError
from durable_core.settings import Settings
from durable_core.testing.simulation import World

pytestmark = pytest.mark.parametrize("cache", [1 << 26, 0], ids=["warm", "cold"])

RECOVERED = 400  # virtual seconds in which recovery has woken up every stuck instance


def build(code: Callable[[OrchestrationContext], Orchestration[Any]], ran: Counter[str]) -> Registry:
    """A build of the app whose orchestrator 'order' has this code."""

    def act(name: str) -> str:
        ran[name] += 1
        return name

    return Registry().add(activity(name="act")(act), orchestrator(name="order")(code))


def right(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    first = yield from ctx.call_activity("act", "first")
    data = yield from ctx.wait_for_external_event("go")
    second = yield from ctx.call_activity("act", "second")
    return [first, data, second]


def looks_at_a_file_first(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    with open(__file__):
        return (yield from right(ctx))


def looks_at_a_file_after_the_first(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    first = yield from ctx.call_activity("act", "first")
    with suppress(Exception):  # which does not help
        open(__file__).close()
    data = yield from ctx.wait_for_external_event("go")
    return [first, data, (yield from ctx.call_activity("act", "second"))]


def looks_at_a_file_after_the_event(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    first = yield from ctx.call_activity("act", "first")
    data = yield from ctx.wait_for_external_event("go")
    open(__file__).close()
    return [first, data, (yield from ctx.call_activity("act", "second"))]


def calls_another_first(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    zero = yield from ctx.run("zero", str, "zero")
    return [zero, *(yield from right(ctx))]


async def deploy(world: World, registry: Registry) -> None:
    for host in world.hosts:
        host.shape.registry = registry
    await world.replace_hosts(None)


async def is_stuck(world: World, *texts: str) -> None:
    status = await world.client.get_status("one")
    assert status.runtime_status in (RuntimeStatus.RUNNING, RuntimeStatus.PENDING)
    for text in texts:
        assert text in (status.stuck_reason or ""), status
    (listed,) = await world.client.get_status_all()
    assert listed.stuck_reason


async def end_of(world: World) -> Any:
    for _ in range(10):
        await asyncio.sleep(RECOVERED)
        status = await world.client.get_status("one")
        if status.is_terminal:
            assert status.runtime_status is RuntimeStatus.COMPLETED, status
            assert status.stuck_reason is None
            return status.output
    raise AssertionError(str(await world.client.get_status("one")))


def in_world(scenario: Callable[[World, Counter[str]], Awaitable[None]], cache: int, first: Any) -> None:
    ran: Counter[str] = Counter()
    world = World(build(first, ran), settings=Settings(warm_cache=cache, guard=True))
    world.run(lambda world: scenario(world, ran))
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    assert ran == {"first": 1, "second": 1}


@pytest.mark.parametrize(
    "wrong", [looks_at_a_file_first, looks_at_a_file_after_the_first, looks_at_a_file_after_the_event]
)
def test_an_instance_whose_code_uses_a_file_waits_for_the_right_code(wrong: Any, cache: int) -> None:
    async def scenario(world: World, ran: Counter[str]) -> None:
        await world.client.start_new("order", "one")
        await asyncio.sleep(RECOVERED)
        await world.client.raise_event("one", "go", 7)
        await asyncio.sleep(5 * RECOVERED)  # recovery wakes it up again and again: it stays as it is
        await is_stuck(world, "open(", "faults/test_code_put_right.py:", "ctx.call_activity")
        await deploy(world, build(right, ran))
        assert await end_of(world) == ["first", 7, "second"]

    in_world(scenario, cache, wrong)


def test_code_that_came_to_use_a_file_while_its_instance_ran_parks_it_at_its_replay(cache: int) -> None:
    async def scenario(world: World, ran: Counter[str]) -> None:
        await world.client.start_new("order", "one")
        await asyncio.sleep(RECOVERED)
        assert ran == {"first": 1}
        await deploy(world, build(looks_at_a_file_first, ran))
        await world.client.raise_event("one", "go", 7)
        await asyncio.sleep(RECOVERED)
        await is_stuck(world, "open(", "faults/test_code_put_right.py:")
        await deploy(world, build(right, ran))
        assert await end_of(world) == ["first", 7, "second"]

    in_world(scenario, cache, right)


def test_code_that_no_longer_fits_its_history_parks_its_instance_until_it_fits(cache: int) -> None:
    async def scenario(world: World, ran: Counter[str]) -> None:
        await world.client.start_new("order", "one")
        await asyncio.sleep(RECOVERED)
        await deploy(world, build(calls_another_first, ran))
        await world.client.raise_event("one", "go", 7)
        await asyncio.sleep(RECOVERED)
        await is_stuck(world, "history holds", "TaskScheduled(task_id=1, name='act')", "what to do", "ctx.patched")
        await deploy(world, build(right, ran))
        assert await end_of(world) == ["first", 7, "second"]

    in_world(scenario, cache, right)


def calls_another_by_the_clock(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    if time.time() > 0:
        yield from ctx.create_timer(timedelta(days=1))
    return (yield from right(ctx))


def test_a_clock_in_code_that_no_longer_fits_is_named_as_the_likely_cause(cache: int) -> None:
    """Without the guard, which would have stopped it before."""
    ran: Counter[str] = Counter()
    world = World(build(right, ran), settings=Settings(warm_cache=cache))

    async def stuck(world: World) -> None:
        await world.client.start_new("order", "one")
        await asyncio.sleep(RECOVERED)
        await deploy(world, build(calls_another_by_the_clock, ran))
        await world.client.raise_event("one", "go", 7)
        await asyncio.sleep(RECOVERED)
        line = calls_another_by_the_clock.__code__.co_firstlineno + 1
        await is_stuck(
            world,
            "likely cause: the code reads a clock, random values or its environment: ",
            f"test_code_put_right.py:{line} has time.time()",
            "ctx.current_utc_datetime",
        )
        await deploy(world, build(right, ran))
        assert await end_of(world) == ["first", 7, "second"]

    world.run(stuck)
    assert ran == {"first": 1, "second": 1}


def asks_a_file(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    def stage() -> str:
        return Path(__file__).read_text()

    ctx.set_query_handler("stage", stage)
    return (yield from right(ctx))


def test_a_query_that_uses_a_file_fails_and_its_instance_goes_on(cache: int) -> None:
    async def scenario(world: World, ran: Counter[str]) -> None:
        await world.client.start_new("order", "one")
        await asyncio.sleep(RECOVERED)
        with pytest.raises(QueryFailedError, match=r"at faults/test_code_put_right\.py:\d+, .*ctx\.call_activity"):
            await world.client.query("one", "stage")
        await world.client.raise_event("one", "go", 7)
        assert await end_of(world) == ["first", 7, "second"]

    in_world(scenario, cache, asks_a_file)


def test_without_the_setting_nothing_is_looked_at(cache: int) -> None:
    ran: Counter[str] = Counter()
    world = World(build(looks_at_a_file_after_the_event, ran), settings=Settings(warm_cache=cache))

    async def scenario(world: World) -> Any:
        await world.client.start_new("order", "one")
        await world.client.raise_event("one", "go", 7)
        return await end_of(world)

    assert world.run(scenario) == ["first", 7, "second"]
