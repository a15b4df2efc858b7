"""Versions over the real runtime in virtual time: what runs stays with its version, and waits where that is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    DurableClient,
    Orchestration,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    RuntimeStatus,
    activity,
    orchestrator,
)
from durable_core.errors import UnknownOrchestratorError
from durable_core.orchestrator_versions import UNDECIDED
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each

HOUR = 3600.0


@activity
def step(name: str) -> str:
    return name


@orchestrator(name="order", version="1")
def order_1(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    did += yield from ctx.call_activity(step, "B")
    yield from ctx.wait_for_external_event("go")
    return did + (yield from ctx.call_activity(step, "C"))


@orchestrator(name="order", version="2")
def order_2(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    did += yield from ctx.call_activity(step, "B")
    did += yield from ctx.call_activity(step, "B2")
    yield from ctx.wait_for_external_event("go")
    return did + (yield from ctx.call_activity(step, "C"))


@orchestrator(name="in_place")
def in_place(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    yield from ctx.wait_for_external_event("on")
    did += yield from ctx.call_activity(step, "B")
    yield from ctx.wait_for_external_event("go")
    return did + (yield from ctx.call_activity(step, "C"))


@orchestrator(name="in_place")
def in_place_patched(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    yield from ctx.wait_for_external_event("on")
    did += yield from ctx.call_activity(step, "B")
    if ctx.patched("b2"):
        did += yield from ctx.call_activity(step, "B2")
    yield from ctx.wait_for_external_event("go")
    return did + (yield from ctx.call_activity(step, "C"))


@orchestrator
def parent(ctx: OrchestrationContext, version: str | None) -> Orchestration[str]:
    return (yield from ctx.call_sub_orchestrator("order", None, "child", version, returns=str))


@orchestrator
def starter(ctx: OrchestrationContext, version: str | None) -> Orchestration[str]:
    yield from ctx.call_activity(step, "A")
    return ctx.start_orchestration("order", None, "detached", version)


def eternal(mine: str, **options: Any) -> Callable[..., Any]:
    """options: of its ``continue_as_new``."""

    @orchestrator(name="eternal", version=mine)
    def code(ctx: OrchestrationContext, seen: list[str]) -> Orchestration[list[str]]:
        seen = [*seen, ctx.version]
        yield from ctx.wait_for_external_event("round")
        if len(seen) < 3:
            ctx.continue_as_new(seen, **options)
        return seen

    return code


COMMON = (step, parent, starter)
BUILD_1 = Registry().add(*COMMON, order_1, in_place, eternal("1", upgrade=True))
BUILD_2 = Registry().add(*COMMON, order_1, order_2, in_place_patched, eternal("1", upgrade=True), eternal("2"))
ONLY_2 = Registry().add(*COMMON, order_2)
NO_ORDER = Registry().add(*COMMON)

Scenario = Callable[[World], Awaitable[Any]]
Run = Callable[..., Any]


@pytest.fixture(params=["warm", "cold"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(scenario: Scenario, registry: Registry = BUILD_1) -> Any:
        settings = Settings(warm_cache=0) if request.param == "cold" else Settings()
        world = World(registry, settings=settings)
        result = world.run(scenario)
        assert not world.errors, world.errors
        assert not world.failures, world.failures
        return result

    return run


async def deploy(world: World, registry: Registry, build: str = "next") -> DurableClient:
    """Every host makes room for one of this build; its client."""
    while world.hosts:
        await world.hosts.pop().stop()
    return world.add_host(registry, build).app.client


async def finish(client: DurableClient, instance_id: str, *events: str) -> OrchestrationStatus:
    for event in events:
        await client.raise_event(instance_id, event)
    status = await client.wait_for_completion(instance_id, timeout=2 * HOUR)
    assert status.runtime_status is RuntimeStatus.COMPLETED, status
    assert status.stuck_reason is None
    return status


async def stuck(world: World, instance_id: str, status: RuntimeStatus, *said: str) -> None:
    """The instance, and its entry in the catalogue, shows what it waits for, and it has not failed."""
    shown = await world.client.get_status(instance_id)
    [listed] = [s for s in await world.client.get_status_all() if s.instance_id == instance_id]
    for each in (shown, listed):
        assert each.runtime_status is status
        assert each.stuck_reason is not None
        assert each.stuck_reason.startswith("waiting for a host that has it")
        assert all(part in each.stuck_reason for part in said)


def test_what_runs_finishes_on_version_1_and_what_starts_runs_version_2(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new("order", "old")
        await asyncio.sleep(60)
        client = await deploy(world, BUILD_2)
        await client.start_new("order", "new")
        await client.start_new("order", "asked", version="1")
        await asyncio.sleep(60)
        ends = [await finish(client, instance_id, "go") for instance_id in ("old", "new", "asked")]
        assert [(s.version, s.output) for s in ends] == [("1", "ABC"), ("2", "ABB2C"), ("1", "ABC")]

    run(scenario)


def test_a_change_inside_one_version_reaches_what_has_not_passed_it(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new("in_place", "past it")
        await world.client.raise_event("past it", "on")
        await world.client.start_new("in_place", "before it")
        await asyncio.sleep(60)
        client = await deploy(world, BUILD_2)
        await client.start_new("in_place", "new")
        assert (await finish(client, "past it", "go")).output == "ABC"
        assert (await finish(client, "before it", "on", "go")).output == "ABB2C"
        assert (await finish(client, "new", "on", "go")).output == "ABB2C"

    run(scenario)


@pytest.mark.parametrize("wait", [300, 2 * HOUR], ids=["a while", "beyond the parking"])
def test_an_instance_whose_version_is_missing_waits_for_it_and_goes_on(run: Run, wait: float) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new("order", "one")
        await asyncio.sleep(60)
        client = await deploy(world, ONLY_2)
        await client.raise_event("one", "go")
        await asyncio.sleep(wait)
        await stuck(world, "one", RuntimeStatus.RUNNING, "'order' version '1'", "registered: 'order' in version '2'")
        world.add_host(BUILD_2, "later")
        assert (await finish(world.client, "one")).output == "ABC"
        assert [s.stuck_reason for s in await world.client.get_status_all()] == [None]

    run(scenario)


@pytest.mark.parametrize("wait", [300, 2 * HOUR], ids=["a while", "beyond the parking"])
def test_a_child_whose_version_is_missing_waits_for_it_and_its_parent_for_the_child(run: Run, wait: float) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new("parent", "one", "2")
        await asyncio.sleep(wait)
        await stuck(world, "child", RuntimeStatus.PENDING, "'order' version '2'")
        assert (await world.client.get_status("one")).runtime_status is RuntimeStatus.RUNNING
        world.add_host(BUILD_2, "later")
        assert (await finish(world.client, "child", "go")).version == "2"
        assert (await finish(world.client, "one")).output == "ABB2C"

    run(scenario)


def test_a_child_made_by_a_host_without_its_orchestrator_is_pinned_by_the_first_host_that_has_it(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new("parent", "one")
        await world.client.start_new("starter", "two")
        await asyncio.sleep(2 * HOUR)
        for instance_id in ("child", "detached"):
            await stuck(world, instance_id, RuntimeStatus.PENDING, "no orchestrator 'order';")
            assert (await world.client.get_status(instance_id)).version == UNDECIDED
        world.add_host(BUILD_1, "later")
        await asyncio.sleep(HOUR)
        world.add_host(BUILD_2, "later still")
        for instance_id in ("child", "detached"):
            [listed] = await world.client.get_status_by(instance_id_prefix=instance_id)
            assert listed.version == "1"
            assert (await finish(world.client, instance_id, "go")).version == "1"
        assert (await finish(world.client, "one")).output == "ABC"

    run(scenario, NO_ORDER)


@pytest.mark.parametrize(("orchestrator_name", "instance_id"), [("parent", "child"), ("starter", "detached")])
@pytest.mark.parametrize("asked", [None, "1"])
def test_what_an_orchestrator_starts_follows_the_same_rule(
    run: Run, orchestrator_name: str, instance_id: str, asked: str | None
) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(orchestrator_name, "before", asked)
        await asyncio.sleep(60)
        client = await deploy(world, BUILD_2)
        assert (await finish(client, instance_id, "go")).version == "1", "pinned when it was made"
        await client.purge_instance_history(instance_id)
        await client.start_new(orchestrator_name, "after", asked)
        await asyncio.sleep(60)
        assert (await finish(client, instance_id, "go")).version == (asked or "2")

    run(scenario)


@pytest.mark.parametrize("asked", [None, "1"])
def test_each_run_of_a_schedule_takes_the_version_that_a_start_would_take_or_the_one_asked_for(
    run: Run, asked: str | None
) -> None:
    async def scenario(world: World) -> None:
        await world.client.create_schedule("s", "order", interval=timedelta(hours=1), overlap="queue", version=asked)
        assert (await world.client.get_schedule("s")).version == asked
        await asyncio.sleep(HOUR + 60)
        client = await deploy(world, BUILD_2)
        versions: list[str] = []
        for _ in range(2):
            running = (await client.get_schedule("s")).running
            assert running is not None
            versions.append((await finish(client, running, "go")).version)
            await asyncio.sleep(HOUR)
        assert versions == ["1", asked or "2"]
        assert (await client.get_schedule("s")).version == asked

    run(scenario)


def test_a_start_or_schedule_that_asks_for_a_version_that_is_not_there_is_refused(run: Run) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(UnknownOrchestratorError, match="version '7'"):
            await world.client.start_new("order", version="7")
        with pytest.raises(UnknownOrchestratorError, match="version '7'"):
            await world.client.create_schedule("s", "order", interval=timedelta(hours=1), version="7")

    run(scenario)


@pytest.mark.parametrize(
    ("options", "seen"),
    [({}, ["1", "1", "1"]), ({"upgrade": True}, ["1", "2", "2"]), ({"version": "1.5"}, ["1", "1.5", "1.5"])],
    ids=["stays", "upgrade", "named"],
)
def test_continue_as_new_stays_with_the_version_or_moves_to_the_newest_or_a_named_one(
    run: Run, options: dict[str, Any], seen: list[str]
) -> None:
    registry = Registry().add(eternal("1", **options), eternal("1.5"), eternal("2"))

    async def scenario(world: World) -> None:
        await world.client.start_new("eternal", "one", [], version="1")
        for version in seen:
            await asyncio.sleep(60)
            shown, [listed] = await world.client.get_status("one"), await world.client.get_status_all()
            assert shown.version == listed.version == version
            await world.client.raise_event("one", "round")
        assert (await finish(world.client, "one")).output == seen

    run(scenario, registry)


def test_continue_as_new_to_a_version_that_is_not_here_waits_for_a_host_that_has_it(run: Run) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new("eternal", "one", [])
        await world.client.raise_event("one", "round")
        await asyncio.sleep(2 * HOUR)
        await stuck(world, "one", RuntimeStatus.RUNNING, "'eternal' version '3'")
        world.add_host(Registry().add(eternal("3")), "later")
        assert (await finish(world.client, "one", "round", "round")).output == ["1", "3", "3"]

    run(scenario, Registry().add(eternal("1", version="3")))


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_gives_the_next_generation_one_version(fault: Fault, totals: Totals) -> None:
    registry = Registry().add(eternal("1", upgrade=True), eternal("2"))

    async def scenario(world: World) -> list[str]:
        await world.client.start_new("eternal", "one", [], version="1")
        await world.client.raise_event("one", "round")
        await asyncio.sleep(2 * HOUR)
        shown, [listed] = await world.client.get_status("one"), await world.client.get_status_all()
        assert (shown.version, listed.version) == ("2", "2")
        return (await finish(world.client, "one", "round", "round")).output

    def run(plan: FaultPlan) -> tuple[list[str], World]:
        world = World(registry)
        outcome = world.run(scenario, plan)
        assert not world.errors, world.errors
        return outcome, world

    strike_each(run, fault, ["1", "2", "2"], totals)
