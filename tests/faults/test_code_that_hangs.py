"""Code in an endless loop is interrupted, its instance set aside and not run into again; all others go on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from durable_core import (
    ActivityFailedError,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    activity,
    orchestrator,
)
from durable_core.errors import CodeHangsError, InstanceStuckError
from durable_core.hang_watch import HangWatch
from durable_core.testing.simulation import World
from tests.environment.programs import double  # of another file: with it the code is another build

from .oracle import come_to_rest

LIMIT = 0.25  # real seconds
ENTERED: Counter[str] = Counter()
TWICE = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=1))


def spin(where: str) -> Any:
    ENTERED[where] += 1
    while True:
        pass


class Slow(BaseModel):
    k: str

    @field_validator("k")
    @classmethod
    def check(cls, value: str) -> str:
        return spin("validator")


@activity
async def light(number: int) -> int:
    return number + 1


@activity
async def spins() -> None:
    await asyncio.sleep(1)
    spin("activity")


@activity
async def fails() -> None:
    raise ValueError("no")


@orchestrator
def healthy(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.create_timer(timedelta(seconds=number))
    return (yield from ctx.call_activity(light, number))


@orchestrator
def at_once(ctx: OrchestrationContext) -> Orchestration[Any]:
    spin("at_once")
    yield from ()


@orchestrator
def after_a_step(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield from ctx.call_activity(light, 1)
    spin("after_a_step")


@orchestrator
def on_event(ctx: OrchestrationContext) -> Orchestration[Any]:
    ctx.on_event("e", lambda _: spin("on_event"))
    yield from ctx.wait_for_external_event("never")


@orchestrator
def condition(ctx: OrchestrationContext) -> Orchestration[Any]:
    came: list[object] = []
    ctx.on_event("e", came.append)
    yield from ctx.wait_condition(lambda: came and spin("condition"))


@orchestrator
def validator(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.wait_for_external_event("e", returns=Slow))


HANGING = [at_once, after_a_step, on_event, condition, validator]


@orchestrator(name="after_a_step")
def mended(ctx: OrchestrationContext) -> Orchestration[Any]:
    first = yield from ctx.call_activity(light, 1)
    return [first, (yield from ctx.wait_for_external_event("e"))]


@orchestrator
def calls(ctx: OrchestrationContext) -> Orchestration[Any]:
    try:
        yield from ctx.call_activity(spins, retry=TWICE)
    except ActivityFailedError as error:
        return error.failure.type


@orchestrator
def asks_whether(ctx: OrchestrationContext) -> Orchestration[Any]:
    try:
        yield from ctx.call_activity(fails, retry=RetryPolicy(max_attempts=2, retry_if=lambda _: spin("retry_if")))
    except ActivityFailedError as error:
        return error.failure.type


@orchestrator
def answers(ctx: OrchestrationContext) -> Orchestration[Any]:
    ctx.set_query_handler("spins", lambda: spin("query"))
    return (yield from ctx.wait_for_external_event("e"))


REGISTRY = Registry().add(light, spins, fails, healthy, calls, asks_whether, answers, *HANGING)
MENDED = Registry().add(light, double, healthy, mended)


@pytest.fixture(autouse=True)
def watch() -> Iterator[None]:
    ENTERED.clear()
    watch = HangWatch.start(LIMIT)
    assert watch is not None
    yield
    watch.stop()


def in_world(scenario: Callable[[World], Awaitable[None]]) -> None:
    world = World(REGISTRY)
    world.run(scenario)
    assert not world.errors, world.errors
    assert not world.failures, world.failures


async def hung(world: World, code: Any) -> str:
    """The reason for which the instance 'one' of this code is stuck."""
    await world.client.start_new(code, "one")
    await world.client.start_new(healthy, "other", 5)
    await asyncio.sleep(10)
    await world.client.raise_event("one", "e", {"k": "v"})
    await asyncio.sleep(10)
    other = await world.client.wait_for_completion("other", timeout=60)
    assert other.output == 6, "others go on"
    status = await world.client.get_status("one")
    assert status.runtime_status in (RuntimeStatus.RUNNING, RuntimeStatus.PENDING)
    (listed,) = [each for each in await world.client.get_status_all() if each.instance_id == "one"]
    assert listed.stuck_reason
    return status.stuck_reason or ""


@pytest.mark.parametrize("code", HANGING, ids=lambda code: code.__name__)
def test_its_instance_is_stuck_with_the_line_and_is_run_no_more(code: Any) -> None:
    async def scenario(world: World) -> None:
        reason = await hung(world, code)
        assert reason.startswith("code of build ")
        assert (
            f"orchestrator '{code.__name__}' (instance 'one') blocked the event loop at faults/test_code_that_hangs.py:"
            in reason
        )
        await asyncio.sleep(7200)  # recovery wakes it up
        await world.replace_hosts(None)
        await world.client.raise_event("one", "more", 1)
        await asyncio.sleep(7200)
        assert ENTERED.total() == 1
        with pytest.raises(InstanceStuckError, match="hangs"):
            await world.client.query("one", "anything")
        await world.hosts[0].app.recover(full=True)
        await asyncio.sleep(60)
        assert ENTERED.total() == 2, "somebody has asked for another try"
        await world.client.terminate("one", "enough")
        done = await world.client.wait_for_completion("one", timeout=60)
        assert (done.runtime_status, done.stuck_reason) == (RuntimeStatus.TERMINATED, None)
        await come_to_rest(world)

    in_world(scenario)


def test_it_goes_on_with_mended_code_and_has_lost_no_event() -> None:
    async def scenario(world: World) -> None:
        await hung(world, after_a_step)
        for host in world.hosts:
            host.shape.registry = MENDED
        await world.replace_hosts(None)
        done = await world.client.wait_for_completion("one", timeout=7200)
        assert (done.output, done.stuck_reason) == ([2, {"k": "v"}], None)
        assert ENTERED.total() == 1
        await come_to_rest(world)

    in_world(scenario)


def test_an_async_activity_that_hangs_has_failed_and_is_not_tried_again() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(calls, "one")
        done = await world.client.wait_for_completion("one", timeout=60)
        assert done.output == "durable_core.errors.CodeHangsError"
        assert ENTERED == {"activity": 1}

    in_world(scenario)


def test_a_retry_if_that_hangs_means_no() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(asks_whether, "one")
        done = await world.client.wait_for_completion("one", timeout=60)
        assert (done.output, ENTERED) == ("ValueError", {"retry_if": 1})

    in_world(scenario)


def test_a_query_that_hangs_is_refused_and_its_instance_goes_on() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(answers, "one")
        await asyncio.sleep(5)
        with pytest.raises(
            CodeHangsError,
            match="query 'spins' of instance 'one' blocked the event loop at faults/test_code_that_hangs",
        ):
            await world.client.query("one", "spins")
        await world.client.raise_event("one", "e", 7)
        assert (await world.client.wait_for_completion("one", timeout=60)).output == 7

    in_world(scenario)
