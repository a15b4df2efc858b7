"""A purge takes its time in slices, and the children along where that is asked; no fault leaves half an instance."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, RetryPolicy, SubOrchestrationFailedError
from durable_core import orchestrator as orchestrator_
from durable_core.errors import ExecutionGoneError, InvalidInputError, StorageUnavailableError
from durable_core.models import RuntimeStatus
from durable_core.runtime.purge import PAGE
from durable_core.testing.faults import Fault, FaultPlan, HostCrashError
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each

EVER = datetime(2000, 1, 1, tzinfo=UTC)


@orchestrator_
def leaf(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
    if what == "waits":
        yield from ctx.wait_for_external_event("Go")
    if what == "fails":
        raise ValueError(what)
    return what


@orchestrator_
def middle(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
    return (yield from ctx.call_sub_orchestrator(leaf, what))


@orchestrator_
def top(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.task_all([ctx.call_sub_orchestrator(middle, f"{number}") for number in range(3)])
    yield from ctx.call_sub_orchestrator(leaf, "named", "named")
    try:
        yield from ctx.call_sub_orchestrator(leaf, "fails", "tried", retry=RetryPolicy(max_attempts=3))
    except SubOrchestrationFailedError:
        ctx.start_orchestration(leaf, "detached", "detached")
    yield from ctx.call_sub_orchestrator(leaf, "again", "named")


REGISTRY = Registry().add(leaf, middle, top)


async def listed(world: World) -> set[str]:
    return {status.instance_id for status in await world.client.get_status_all()}


async def end_of_top(world: World) -> None:
    await world.client.start_new(top, "top")
    assert (await world.client.wait_for_completion("top", 3600)).runtime_status is RuntimeStatus.COMPLETED
    await asyncio.sleep(60)
    assert len(await listed(world)) == 12


def test_a_purge_takes_ended_children_along_when_asked() -> None:
    async def drive(world: World) -> None:
        client = world.client
        await end_of_top(world)
        assert await client.purge_instance_history("top", recursive=True) == 11
        assert await listed(world) == {"detached"}
        await end_of_top(world)
        assert await client.purge_instance_history("top") == 1
        assert len(await listed(world)) == 11

    World(REGISTRY).run(drive)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_in_a_purge_of_a_tree_leaves_nothing_that_a_second_one_would_not_find(
    fault: Fault, totals: Totals
) -> None:
    def run(plan: FaultPlan) -> tuple[Any, World]:
        world = World(REGISTRY)

        async def drive(world: World) -> set[str]:
            await end_of_top(world)
            for _ in range(3):
                try:
                    await world.hosts[0].app.client.purge_instance_history("top", recursive=True)
                except (HostCrashError, StorageUnavailableError):
                    await asyncio.sleep(120)  # another host takes its place, and its caller asks again
            return await listed(world)

        outcome = world.run(drive, plan)
        assert not world.errors, world.errors
        return outcome, world

    strike_each(run, fault, {"detached"}, totals, at_most=10)


def test_a_child_that_runs_and_one_of_another_call_are_left() -> None:
    @orchestrator_
    def leaves(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.call_sub_orchestrator(leaf, "waits", "runs")
        ctx.call_sub_orchestrator(leaf, "x", "other")
        yield from ctx.call_sub_orchestrator(leaf, "ended", "ended")

    async def drive(world: World) -> None:
        client = world.client
        await client.start_new(leaf, "other", "waits")
        await client.start_new(leaves, "one")
        await client.wait_for_completion("one", 60)
        await client.raise_event("other", "Go")
        await client.wait_for_completion("other", 60)
        assert await client.purge_instance_history("one", recursive=True) == 2
        assert await listed(world) == {"runs", "other"}
        with pytest.raises(ExecutionGoneError):
            await client.purge_instance_history("other", execution_id="another", recursive=True)

    World(Registry().add(leaf, leaves)).run(drive)


def test_many_are_purged_in_slices_each_of_which_says_where_to_go_on() -> None:
    async def drive(world: World) -> None:
        client = world.client
        many = 2 * PAGE + 3
        for number in range(many):
            await client.start_new(leaf, f"{number:04}", "x" if number % 50 else "waits")
        await asyncio.sleep(60)
        running = {f"{number:04}" for number in range(0, many, 50)}
        token, slices = None, list[int]()
        while not slices or token:
            done = await client.purge_slice(EVER, continuation_token=token, seconds=0)
            slices.append(done.deleted)
            token = done.continuation_token
        assert slices == [PAGE, many - len(running) - PAGE]
        assert await listed(world) == running
        assert await client.purge_instance_history_by(EVER) == 0
        assert (await client.purge_slice(runtime_status=RuntimeStatus.RUNNING)).deleted == 0
        for name in running:
            await client.terminate(name)
        await asyncio.sleep(60)
        assert await client.purge_instance_history_by(EVER, None, RuntimeStatus.COMPLETED) == 0
        assert await client.purge_instance_history_by(EVER, None, RuntimeStatus.TERMINATED) == len(running)
        assert await listed(world) == set()
        with pytest.raises(InvalidInputError, match="continuation token"):
            await client.purge_slice(EVER, continuation_token="x")

    World(REGISTRY).run(drive)


def test_a_tree_that_is_purged_by_a_filter_is_deleted_once() -> None:
    async def drive(world: World) -> None:
        await end_of_top(world)
        assert await world.client.purge_instance_history_by(EVER, recursive=True) >= 12
        assert await listed(world) == set()

    World(REGISTRY).run(drive)
