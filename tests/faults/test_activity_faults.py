"""Single faults where activities beat, time out, wait for places and have queues of their own."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    TaskTimeoutError,
    activity,
    orchestrator,
)
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import check_history, come_to_rest

SECOND = timedelta(seconds=1)


class Steps:
    """What the activities have done: how often each step ran, and what an attempt found that another had said."""

    def __init__(self) -> None:
        self.runs: Counter[Any] = Counter()
        self.found: list[Any] = []

    def registry(self) -> Registry:
        @activity(heartbeat_timeout=4 * SECOND, retry=RetryPolicy(max_attempts=3, first_interval=SECOND))
        async def beats(ctx: ActivityContext, steps: int) -> int:
            self.found.append(ctx.last_heartbeat)
            done: int = ctx.last_heartbeat or 0
            while done < steps:
                await asyncio.sleep(1.5)
                self.runs[done] += 1
                done += 1
                ctx.heartbeat(done)
                if ctx.attempt == 1 and done == 2:
                    raise ValueError("half way")
            return done

        @activity(queue="gpu", max_concurrency=1, rate=2.0)
        async def rare(number: int) -> int:
            self.runs[number] += 1
            await asyncio.sleep(0.5)
            return number

        @orchestrator
        def progress(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
            return (yield from ctx.call_activity(beats, steps))

        @orchestrator
        def places(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
            numbers = yield from ctx.task_all([ctx.call_activity(rare, n) for n in range(width)])
            return sum(numbers) + (yield from ctx.call_activity(rare, 100))

        @orchestrator
        def unserved(ctx: OrchestrationContext, minutes: int) -> Orchestration[str]:
            try:
                yield from ctx.call_activity("nowhere", schedule_to_close=timedelta(minutes=minutes))
            except TaskTimeoutError:
                done = yield from ctx.call_activity(beats, 1)
                return f"timed out, {done}"
            return ""

        return Registry().add(beats, rare, progress, places, unserved)


SCENARIOS = [("progress", 3, 3), ("places", 2, 101), ("unserved", 1, "timed out, 1"), ("unserved", 15, "timed out, 1")]


def run(name: str, data: Any, *plans: FaultPlan, hosts: int = 1) -> tuple[Any, World, Steps]:
    steps = Steps()
    world = World(steps.registry(), hosts=hosts)

    async def scenario(world: World) -> Any:
        await world.client.start_new(name, "one", data)
        end = world.loop.time() + 4 * 3600
        while not (status := await world.client.get_status("one")).is_terminal:
            assert world.loop.time() < end, status
            await asyncio.sleep(10)
        await come_to_rest(world)
        check_history((await world.client.get_status("one", show_history=True)).history_events or [])
        return status.output

    output = world.run(scenario, *plans)
    assert not world.errors, world.errors
    return output, world, steps


@pytest.mark.parametrize(("name", "data", "expected"), SCENARIOS)
def test_without_faults_each_step_is_done_once(name: str, data: Any, expected: Any) -> None:
    output, world, steps = run(name, data)
    assert output == expected
    assert not world.failures
    assert set(steps.runs.values()) == {1}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(("name", "data", "expected"), SCENARIOS)
def test_a_fault_at_any_storage_operation_changes_no_outcome(
    name: str, data: Any, expected: Any, fault: Fault, totals: Totals
) -> None:
    strike_each(lambda plan: run(name, data, plan)[:2], fault, expected, totals)


@pytest.mark.parametrize("inline", [True, False])
def test_what_an_activity_has_said_survives_the_crash_of_its_host(inline: bool) -> None:
    found: list[Any] = []

    @activity(heartbeat_timeout=30 * SECOND, inline=inline)
    async def count(ctx: ActivityContext, to: int) -> list[Any]:
        found.append((ctx.attempt, ctx.last_heartbeat))
        for n in range(ctx.last_heartbeat or 0, to):
            ctx.heartbeat(n)
            await asyncio.sleep(1)
        return found

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        return (yield from ctx.call_activity(count, 20))

    world = World(Registry().add(count, main))

    async def scenario(world: World) -> Any:
        await world.client.start_new("main", "one")
        await asyncio.sleep(15)
        await world.hosts.pop().stop()
        world.add_host()
        await asyncio.sleep(60)
        return (await world.client.get_status("one")).output

    # It is attempt 1 again: that has not failed. Details are stored every ten seconds.
    assert world.run(scenario) in ([[1, None], [1, 9]], [[1, None], [1, 10]])
    assert not world.errors
