"""Journaled activities under faults: no step runs again but those that ran when another run took over, and the code
gets what is recorded."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    JournalContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
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


def flaky_program(rest: RetryPolicy, seconds: float, side: int) -> tuple[Registry, Counter[str]]:
    """A step that fails in its first two tries, beside ``side`` steps of ten seconds, and after one of a second. The
    run leaves before the second of the side steps: its timeout does not fit into what is left of 60 % of the lease."""
    tries: Counter[str] = Counter()

    async def fail_twice() -> int:
        tries["flaky"] += 1
        await asyncio.sleep(seconds)
        if tries["flaky"] <= 2:
            raise ValueError(f"try {tries['flaky']}")
        return tries["flaky"]

    async def sleep(seconds: float) -> None:
        tries["other"] += 1
        await asyncio.sleep(seconds)

    @activity(journal=True)
    async def flaky(ctx: JournalContext) -> int:
        tries["invocations"] += 1

        async def others() -> None:
            for number in range(side):
                await ctx.step("ten seconds", sleep, 10.0, key=str(number), timeout=timedelta(seconds=16))

        await ctx.step("first", sleep, 1.0)
        _, found = await asyncio.gather(others(), ctx.step("flaky", fail_twice, retry=rest))
        return found

    @orchestrator
    def call_flaky(ctx: OrchestrationContext) -> Orchestration[int]:
        return (yield from ctx.call_activity(flaky, inline=False))

    return Registry().add(flaky, call_flaky), tries


@pytest.mark.parametrize(
    ("pause", "seconds", "side"),
    [(1, 25, 3), (14, 1, 3), (16, 1, 0)],
    ids=["left_in_a_try", "left_in_a_pause", "a_pause_that_does_not_fit"],
)
def test_a_step_with_tries_left_is_not_recorded_as_failed_where_its_run_leaves(
    pause: int, seconds: int, side: int
) -> None:
    registry, tries = flaky_program(
        RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=pause), backoff=1.0), seconds, side
    )

    async def drive(world: World) -> Any:
        await world.client.start_new("call_flaky", "one")
        return await result(world, "one")

    world = World(registry, settings=Settings(function_timeout=1800.0))
    assert world.run(drive) == 3
    assert tries["flaky"] == 3
    assert tries["other"] == 1 + side, "a recorded step ran again"
    assert tries["invocations"] >= 2


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


def test_a_stream_of_each_step_is_whole_over_hand_overs_and_a_common_one_has_what_is_between_steps() -> None:
    """What guide/journaled-activities.md says of streams: the run that goes on does not repeat what recorded steps have
    written into a stream that it writes itself."""
    steps = 5

    @activity(journal=True)
    async def speak(ctx: JournalContext) -> str:
        async def say(number: int) -> None:
            own = ctx.stream(f"own-{number}")
            for word in range(2):
                await ctx.stream("words").write(f"in {number}")
                await own.write(word)
                await asyncio.sleep(5)
            await own.end()

        for number in range(steps):
            await ctx.stream("words").write(f"before {number}")
            await ctx.step("say", say, number)
        return "said"

    @orchestrator
    def speaking(ctx: OrchestrationContext) -> Orchestration[str]:
        return (yield from ctx.call_activity(speak, inline=False))

    async def drive(world: World) -> None:
        await world.client.start_new("speaking", "one")
        reading = asyncio.create_task(read_all(world.client))
        assert await result(world, "one") == "said"
        for number in range(steps):
            own = await read_all(world.client, name=f"own-{number}")
            assert own.data == [0, 1]
            assert own.end is not None and own.end.is_complete
        data = (await reading).data
        assert [each for each in data if each.startswith("before")] == [f"before {number}" for number in range(steps)]
        assert "in 0" not in data, "the guide says that this is not there"
        assert data.count(f"in {steps - 1}") == 2

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
