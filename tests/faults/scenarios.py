"""Small orchestrators, each a shape of the protocol, and how a client drives them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    orchestrator,
)
from durable_core.testing.simulation import World


@dataclass
class Effects:
    """What activities have done to the outside: how often each idempotency key ran. broken: whether what fails does."""

    runs: Counter[str] = field(default_factory=Counter[str])
    tries: Counter[str] = field(default_factory=Counter[str])
    broken: bool = True


@dataclass(frozen=True)
class Scenario:
    """``drive`` starts the instance, does to it what the scenario is about, and returns what came of it."""

    name: str
    drive: Callable[[World], Awaitable[Any]]
    expected: Any


def make_registry(effects: Effects) -> Registry:
    @activity
    def double(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        return number * 2

    @activity
    def flaky(ctx: ActivityContext, failures: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        if ctx.attempt <= failures:
            raise ValueError(f"attempt {ctx.attempt} fails")
        return ctx.attempt

    @orchestrator
    def chain(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
        value = 1
        for _ in range(steps):
            value = yield from ctx.call_activity(double, value)
        return value

    @orchestrator
    def queued_chain(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
        value = 1
        for _ in range(steps):
            value = yield from ctx.call_activity(double, value, inline=False)
        return value

    @orchestrator
    def fan(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
        doubled = yield from ctx.task_all([ctx.call_activity(double, n) for n in range(width)])
        last = yield from ctx.call_activity(double, sum(doubled))
        return last

    @orchestrator
    def race(ctx: OrchestrationContext, hours: int) -> Orchestration[str]:
        timer = ctx.create_timer(timedelta(hours=hours))
        approved = ctx.wait_for_external_event("Approved", str)
        winner = yield from ctx.task_any([approved, timer])
        if winner is timer:
            return "timeout"
        timer.cancel()
        yield from ctx.call_activity(double, 1)
        return approved.result

    @orchestrator
    def counter(ctx: OrchestrationContext, state: dict[str, int]) -> Orchestration[list[int]]:
        """Adds up the numbers it is sent, and begins anew after each."""
        number = yield from ctx.wait_for_external_event("Add", int)
        added = yield from ctx.call_activity(double, number)
        state = {"left": state["left"] - 1, "sum": state["sum"] + added}
        if state["left"]:
            ctx.continue_as_new(state)
            return []
        return [state["sum"]]

    @orchestrator
    def parent(ctx: OrchestrationContext, children: int) -> Orchestration[int]:
        results = yield from ctx.task_all([ctx.call_sub_orchestrator(chain, 2) for _ in range(children)])
        return sum(results)

    @orchestrator
    def retries(ctx: OrchestrationContext, failures: int) -> Orchestration[int]:
        policy = RetryPolicy(max_attempts=5, first_interval=timedelta(seconds=20))
        attempt = yield from ctx.call_activity(flaky, failures, retry=policy)
        return attempt

    @orchestrator
    def waits(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        first = yield from ctx.wait_for_external_event("Go", str)
        yield from ctx.call_activity(double, 1)
        second = yield from ctx.wait_for_external_event("go", str)
        return [first, second]

    @orchestrator
    def batches(ctx: OrchestrationContext, done: list[int]) -> Orchestration[list[int]]:
        """Two children in each generation, one after the other, all of one id."""
        for steps in (1, 2):
            found = yield from ctx.call_sub_orchestrator(chain, steps, "batch")
            done.append(found)
        if len(done) < 4:
            ctx.continue_as_new(done)
        return done

    return Registry().add(double, flaky, chain, queued_chain, fan, race, counter, parent, retries, waits, batches)


async def result(
    world: World, instance_id: str, patience: timedelta = timedelta(hours=8), look_every: float = 20
) -> Any:
    """The output of an instance once it has ended."""
    end = world.loop.time() + patience.total_seconds()
    while True:
        status = await world.client.get_status(instance_id)
        if status.is_terminal:
            return status.output
        assert world.loop.time() < end, f"{instance_id} is {status.runtime_status}, stuck: {status.stuck_reason}"
        await asyncio.sleep(look_every)


def simple(name: str, orchestrator_name: str, data: Any, expected: Any) -> Scenario:
    async def drive(world: World) -> Any:
        await world.client.start_new(orchestrator_name, "one", data)
        return await result(world, "one")

    return Scenario(name, drive, expected)


async def _race_won(world: World) -> Any:
    await world.client.start_new("race", "one", 5)
    await world.client.raise_event("one", "approved", "yes")
    return await result(world, "one")


async def _two_events(world: World) -> Any:
    await world.client.start_new("waits", "one")
    await world.client.raise_event("one", "Go", "a")
    await world.client.raise_event("one", "GO", "b")
    return await result(world, "one")


async def _continues(world: World) -> Any:
    await world.client.start_new("counter", "one", {"left": 3, "sum": 0})
    for number in (1, 2, 3):
        await world.client.raise_event("one", "add", number)
    return await result(world, "one")


SCENARIOS = [
    simple("chain", "chain", 3, 8),
    simple("queued chain", "queued_chain", 2, 4),
    simple("fan-out", "fan", 5, 40),
    simple("timer wins the race", "race", 2, "timeout"),
    Scenario("event wins the race", _race_won, "yes"),
    Scenario("two events of one name", _two_events, ["a", "b"]),
    Scenario("continue as new", _continues, [12]),
    simple("sub-orchestrations", "parent", 2, 8),
    simple("retries", "retries", 2, 3),
    simple("children of one id", "batches", [], [2, 4, 2, 4]),
]
