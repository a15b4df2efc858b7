"""Inline steps, idempotent events, callbacks and start-or-raise under a fault at any single storage operation."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, RetryPolicy, activity, orchestrator
from durable_core.errors import CapabilityError, InstanceCompletedError, StepFailedError
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import check_history, come_to_rest, watched


@dataclass
class Outside:
    """What steps have done to the world, and what a third party was told."""

    runs: Counter[str] = field(default_factory=Counter[str])
    urls: list[str] = field(default_factory=list[str])
    told: asyncio.Event = field(default_factory=asyncio.Event)


def make_registry(outside: Outside) -> Registry:
    def count(name: str, value: int) -> int:
        outside.runs[name] += 1
        return value

    async def slowly(name: str, seconds: float) -> str:
        outside.runs[name] += 1
        await asyncio.sleep(seconds)
        return name

    @activity
    def double(number: int) -> int:
        return number * 2

    @activity
    def tell(url: str) -> None:
        outside.urls.append(url)
        outside.told.set()

    @orchestrator
    def steps(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        for n in range(number):
            number += yield from ctx.run(f"step{n}", count, f"step{n}", n)
        return number

    @orchestrator
    def several(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        doubled = ctx.call_activity(double, 21)
        names = yield from ctx.task_all([ctx.run(f"s{n}", slowly, f"s{n}", float(n // 2)) for n in range(4)])
        last = yield from ctx.run("last", count, "last", 1)
        return [*names, (yield from doubled), last]

    @orchestrator
    def tries(ctx: OrchestrationContext, interval: float) -> Orchestration[str]:
        attempts: list[int] = []

        def fails() -> None:
            outside.runs["fails"] += 1
            attempts.append(1)
            raise ValueError("no")

        policy = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=interval), backoff=1)
        try:
            yield from ctx.run("fails", fails, retry=policy)
        except StepFailedError as error:
            return f"{error.name}: {error.failure.type}"
        return "unexpected"

    @orchestrator
    def sums(ctx: OrchestrationContext, state: dict[str, int]) -> Orchestration[int]:
        """Adds numbers up, each by its id, over generations."""
        number = yield from ctx.wait_for_external_event("add", int)
        added = yield from ctx.run("add", count, f"add{number}", number)
        state = {"left": state["left"] - 1, "sum": state["sum"] + added}
        if state["left"]:
            ctx.continue_as_new(state)
        return state["sum"]

    @orchestrator
    def sender(ctx: OrchestrationContext, other: str) -> Orchestration[None]:
        ctx.send_event(other, "add", 1)
        yield from ctx.run("between", count, "between", 1)
        ctx.send_event(other, "add", 2)
        ctx.send_event(other, "add", 4)

    @orchestrator
    def late(ctx: OrchestrationContext) -> Orchestration[list[bool]]:
        ready = False

        def on_ready(value: bool) -> None:
            nonlocal ready
            ready = value

        ctx.on_event("ready", on_ready)
        first = yield from ctx.wait_condition(lambda: ready, timedelta(hours=1))
        second = yield from ctx.wait_condition(lambda: not ready, timedelta(hours=1))
        return [first, second]

    @orchestrator
    def calls_back(ctx: OrchestrationContext) -> Orchestration[str]:
        callback = ctx.callback("paid", str)
        yield from ctx.call_activity(tell, callback.url)
        return (yield from callback.task)

    return Registry().add(double, tell, steps, several, tries, sums, sender, late, calls_back)


async def result(world: World, instance_id: str = "one") -> Any:
    while True:
        status = await world.client.get_status(instance_id)
        if status.is_terminal:
            return status.output
        assert world.loop.time() < 8 * 3600, f"{instance_id} is {status.runtime_status}, stuck: {status.stuck_reason}"
        await asyncio.sleep(20)


Drive = Callable[[World, Outside], Awaitable[Any]]


def simple(name: str, data: Any = None) -> Drive:
    async def drive(world: World, outside: Outside) -> Any:
        await world.client.start_new(name, "one", data)
        return await result(world)

    return drive


async def raised_twice(world: World, outside: Outside) -> Any:
    client = world.client
    await client.start_new("sums", "one", {"left": 3, "sum": 0})
    for number in (1, 2, 4):
        for again in range(3):
            with suppress(InstanceCompletedError):  # the last one's repetitions
                await client.raise_event("one", "add", number, event_id=f"number {number}")
            await asyncio.sleep(again * 30)  # also when it was consumed, and the generation it came to is over
    return await result(world)


async def sent(world: World, outside: Outside) -> Any:
    await world.client.start_new("sums", "one", {"left": 3, "sum": 0})
    await world.client.start_new("sender", "other", "one")
    return await result(world)


async def ready(world: World, outside: Outside) -> Any:
    await world.client.start_new("late", "one")
    await world.client.raise_event("one", "READY", True)
    await world.client.raise_event("one", "ready", "not a bool at all")
    return await result(world)


async def completed_by_url(world: World, outside: Outside) -> Any:
    await world.client.start_new("calls_back", "one")
    await outside.told.wait()
    assert len(set(outside.urls)) == 1, "the URL must be the same at every run"
    await world.client.complete_callback(outside.urls[0], "paid in full")
    with pytest.raises((CapabilityError, InstanceCompletedError)):
        await world.client.complete_callback(outside.urls[0], "paid twice")
    return await result(world)


async def started_or_raised(world: World, outside: Outside) -> Any:
    client = world.client
    data = {"left": 3, "sum": 0}
    started = await asyncio.gather(
        *(client.signal_with_start("sums", "one", "add", n, data, event_id=str(n)) for n in (1, 2, 4))
    )
    assert started.count(True) == 1
    return await result(world)


SCENARIOS: dict[str, tuple[Drive, Any]] = {
    "steps": (simple("steps", 3), 6),
    "several steps": (simple("several"), ["s0", "s1", "s2", "s3", 42, 1]),
    "a step tried again soon": (simple("tries", 0.5), "fails: ValueError"),
    "a step tried again later": (simple("tries", 30.0), "fails: ValueError"),
    "events raised twice": (raised_twice, 7),
    "events sent by an orchestrator": (sent, 7),
    "a handler and a condition": (ready, [True, False]),
    "a callback": (completed_by_url, "paid in full"),
    "signal with start": (started_or_raised, 7),
}


def run(name: str, *plans: FaultPlan, hosts: int = 1, warm_cache: int | None = None) -> tuple[Any, World, Outside]:
    outside = Outside()
    world = World(make_registry(outside), hosts=hosts)
    drive, _ = SCENARIOS[name]
    oracle = watched(world)

    async def scenario(world: World) -> Any:
        outcome = await drive(world, outside)
        await come_to_rest(world)
        assert not await oracle.problems(world.outside.hub), oracle.violations
        for status in await world.client.get_status_all():
            shown = await world.client.get_status(status.instance_id, show_history=True)
            assert shown.runtime_status is status.runtime_status
            check_history(shown.history_events or [])
        return outcome

    outcome = world.run(scenario, *plans)
    assert not world.errors, world.errors
    return outcome, world, outside


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("hosts", [1, 3])
def test_without_faults_every_step_runs_once(name: str, hosts: int) -> None:
    outcome, world, outside = run(name, hosts=hosts)
    assert outcome == SCENARIOS[name][1]
    assert not world.failures
    fails = outside.runs.pop("fails", None)
    assert fails in (None, 3)
    assert set(outside.runs.values()) <= {1}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_at_any_storage_operation_changes_no_outcome(name: str, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(name, plan)[:2], fault, SCENARIOS[name][1], totals)
