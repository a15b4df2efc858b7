"""Journaled activities under faults: no step runs again but those that ran when another run took over, and the code
gets what is recorded."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from durable_core import (
    JournalContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RuntimeStatus,
    activity,
    orchestrator,
)
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan, Moment
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .journals import Steps, journal_registry
from .oracle import run_judged
from .scenarios import Effects, result
from .streams import read_all

NAMES = ["a", "b", "c", "d", "e"]


def _world() -> tuple[World, Effects, Steps]:
    effects, steps = Effects(), Steps()
    world = World(journal_registry(effects, steps), settings=None)
    steps.storage = world.storage
    return world, effects, steps


@pytest.mark.parametrize("inline", [False, True], ids=["by_message", "inline"])
@pytest.mark.parametrize("fault", list(Fault))
def test_a_step_runs_once_more_at_most_whatever_operation_is_struck(fault: Fault, inline: bool, totals: Totals) -> None:
    def run(plan: FaultPlan) -> tuple[Any, World]:
        world, effects, steps = _world()

        async def drive(world: World) -> Any:
            steps.table = world.outside.hub.names.instances
            await world.client.start_new("do", "one", inline)
            told = await result(world, "one")
            await steps.check(told)
            again = effects.runs.total() - 2  # of two attempts; a stalled host may lose two copies of a message
            assert steps.runs.total() <= 6 + 2 * again, f"{again} runs took over, and more ran again: {steps.runs}"
            assert max(steps.runs.values()) <= 1 + again, f"{again} runs took over, and a step ran again: {steps.runs}"
            return [name for name, _ in told]

        return run_judged(world, effects, drive, plan), world

    strike_each(run, fault, NAMES, totals, at_most=8)


def _crash_behind(plan: FaultPlan, number: str) -> Callable[[str, Moment], Awaitable[None]]:
    async def gate(what: str, moment: Moment) -> None:
        if moment == "after" and re.search(rf"[ :]d\w+-\d+-\d+{number}$", what) and not plan.dead:
            plan._crash()  # pyright: ignore[reportPrivateUsage]

    return gate


@pytest.mark.parametrize("inline", [False, True], ids=["by_message", "inline"])
def test_a_crash_after_each_record_repeats_no_recorded_step(inline: bool) -> None:
    """The host dies right after each of its inserts into the journal; another goes on when the lease has expired."""
    for number in range(7):
        world, effects, steps = _world()
        plan = FaultPlan()

        async def drive(world: World, number: int = number, plan: FaultPlan = plan, steps: Steps = steps) -> Any:
            steps.table = world.outside.hub.names.instances
            plan.gate = _crash_behind(plan, f"-{number:06}")
            await world.client.start_new("do", "one", inline)
            told = await result(world, "one")
            await steps.check(told)
            return [name for name, _ in told]

        assert run_judged(world, effects, drive, plan) == NAMES
        assert not steps.again, f"crash behind entry {number}: {steps.again}"
        assert steps.runs == dict.fromkeys([*NAMES, "f"], 1), f"crash behind entry {number}: {steps.runs}"


@pytest.mark.parametrize("inline", [False, True], ids=["by_message", "inline"])
@pytest.mark.parametrize("fault", list(Fault))
def test_waits_end_once_whatever_operation_is_struck(fault: Fault, inline: bool, totals: Totals) -> None:
    def run(plan: FaultPlan) -> tuple[Any, World]:
        world, effects, steps = _world()

        async def drive(world: World) -> Any:
            steps.table = world.outside.hub.names.instances
            await world.client.start_new("do_waiting", "one", inline)
            await asyncio.sleep(60)
            await world.client.raise_event("one", "go", "said")
            said, doubled, *told = await result(world, "one")
            await steps.check(told)
            again = effects.runs.total() - len(effects.runs)  # invocations that took a part over from another
            assert steps.runs.total() <= 5 + 2 * again, f"{again} runs took over, and more ran again: {steps.runs}"
            return [said, doubled, *(name for name, _ in told)]

        return run_judged(world, effects, drive, plan), world

    strike_each(run, fault, ["said", 8, "a", "b", "c", "d"], totals, at_most=8)


@pytest.mark.parametrize("timeout", [None, 15.0, 1800.0], ids=["no_timeout", "timeout_first", "lease_first"])
def test_a_long_activity_is_handed_over_and_repeats_nothing(timeout: float | None) -> None:
    """Each invocation leaves at its first step behind 60 % of the lease, which is 30 seconds, or of the function
    timeout, whichever is the first; the next goes on. A host dies when it exceeds that timeout."""
    runs: Counter[int] = Counter()
    invocations = 0

    async def ten_seconds(number: int) -> int:
        runs[number] += 1
        await asyncio.sleep(10)
        return number

    @activity(journal=True)
    async def long(ctx: JournalContext) -> int:
        nonlocal invocations
        invocations += 1
        return sum([await ctx.step("ten seconds", ten_seconds, number) for number in range(10)])

    @orchestrator
    def call_long(ctx: OrchestrationContext, inline: bool) -> Orchestration[int]:
        return (yield from ctx.call_activity(long, inline=inline))

    for inline in (True, False):
        runs.clear()
        invocations = 0

        async def drive(world: World, inline: bool = inline) -> Any:
            await world.client.start_new("call_long", "one", inline)
            return await result(world, "one")

        world = World(Registry().add(long, call_long), settings=Settings(function_timeout=timeout))
        assert world.run(drive) == 45
        assert not world.overruns, "an invocation has exceeded the function timeout"
        assert runs == dict.fromkeys(range(10), 1)
        assert 3 <= invocations <= 10


def test_a_generation_that_has_ended_leaves_no_journal_and_a_purge_none_at_all() -> None:
    @activity(journal=True)
    async def work(ctx: JournalContext, number: int) -> int:
        return await ctx.step("double", twice, number)

    async def twice(number: int) -> int:
        return 2 * number

    @orchestrator
    def generations(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        doubled = yield from ctx.call_activity(work, number)
        if number < 5:
            ctx.continue_as_new(number + 1)
            return 0
        return doubled

    async def drive(world: World) -> None:
        await world.client.start_new("generations", "one", 1)
        assert await result(world, "one") == 10
        table = world.storage.table(world.outside.hub.names.instances)
        rows = [row.key for row in (await table.read_range("one", "d", "e")).rows]
        assert len(rows) == 1, f"journals of earlier generations are left: {rows}"
        assert await world.client.purge_instance_history("one") == 1
        assert not (await table.read_range("one")).rows

    World(Registry().add(work, generations)).run(drive)


def test_a_stream_is_written_on_behind_a_wait() -> None:
    @activity(journal=True)
    async def speak(ctx: JournalContext) -> str:
        await ctx.stream("words").write("before")
        await ctx.wait_for_event("Go")
        await ctx.stream("words").write("behind")
        return "said"

    @orchestrator
    def speaking(ctx: OrchestrationContext) -> Orchestration[str]:
        return (yield from ctx.call_activity(speak, inline=False))

    async def drive(world: World) -> None:
        await world.client.start_new("speaking", "one")
        reading = asyncio.create_task(read_all(world.client))
        await asyncio.sleep(30)
        await world.client.raise_event("one", "Go")
        assert await result(world, "one") == "said"
        reader = await reading
        assert reader.data == ["before", "behind"]
        assert reader.end is not None and reader.end.is_complete

    World(Registry().add(speak, speaking)).run(drive)


def test_the_timeline_shows_the_steps_of_each_invocation() -> None:
    effects, steps = Effects(), Steps()
    world = World(journal_registry(effects, steps), settings=None)
    steps.storage = world.storage

    async def drive(world: World) -> None:
        steps.table = world.outside.hub.names.instances
        await world.client.start_new("do_waiting", "one", True)
        await asyncio.sleep(60)
        await world.client.raise_event("one", "go", "said")
        await result(world, "one")
        rows = (await world.client.timeline("one")).rows
        assert [(row.kind, row.name, row.status) for row in rows if row.kind in ("activity", "step", "timer")] == [
            ("activity", "wait", "Completed"),
            ("step", "a", "Completed"),
            ("activity", "wait", "Completed"),
            ("step", "f", "Failed"),
            ("step", "b", "Completed"),
            ("step", "c", "Completed"),
            ("timer", "", "Completed"),
            ("activity", "wait", "Completed"),
            ("activity", "wait", "Completed"),
            ("timer", "", "Completed"),
            ("activity", "wait", "Completed"),
            ("step", "d", "Completed"),
        ]

    world.run(drive)


def test_a_rewind_goes_on_from_the_journal_and_a_termination_ends_a_wait() -> None:
    runs: Counter[str] = Counter()
    broken = True

    async def count(name: str) -> str:
        runs[name] += 1
        return name

    @activity(journal=True)
    async def work(ctx: JournalContext) -> str:
        await ctx.step("before", count, "before")
        await ctx.wait_for_event("Go")
        await ctx.step("behind", count, "behind")
        if broken:
            raise ValueError("not yet")
        return await ctx.step("last", count, "last")

    @orchestrator
    def call_work(ctx: OrchestrationContext) -> Orchestration[str]:
        return (yield from ctx.call_activity(work))

    async def drive(world: World) -> None:
        nonlocal broken
        client = world.client
        await client.start_new("call_work", "one")
        await asyncio.sleep(60)
        explained = await client.get_status("one")
        assert [wait.kind for wait in explained.waits] == ["event"], "it shows for what it waits"
        await client.raise_event("one", "Go")
        failed = await client.wait_for_completion("one", timeout=3600)
        assert failed.runtime_status is RuntimeStatus.FAILED
        broken = False
        await client.rewind("one", "repaired")
        assert await result(world, "one") == "last"
        assert runs == {"before": 1, "behind": 1, "last": 1}, "a rewind has repeated recorded steps"
        await client.start_new("call_work", "two")
        await asyncio.sleep(60)
        await client.terminate("two", "enough")
        ended = await client.wait_for_completion("two", timeout=3600)
        assert ended.runtime_status is RuntimeStatus.TERMINATED

    World(Registry().add(work, call_work)).run(drive)
