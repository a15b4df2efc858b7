"""Hosts of two builds on one hub: nothing is failed by it, and nothing gets stuck while each build has a host."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RuntimeStatus,
    activity,
    orchestrator,
)
from durable_core.hub.keys import INSTANCE_KEY
from durable_core.settings import Settings
from durable_core.storage.ports import Props
from durable_core.testing.simulation import World

from .oracle import check, come_to_rest
from .scenarios import Effects

T = TypeVar("T")

EFFECTS = Effects()


@activity
def step(ctx: ActivityContext, name: str) -> str:
    EFFECTS.runs[ctx.idempotency_key] += 1
    return name


@activity
def extra(ctx: ActivityContext, name: str) -> str:
    EFFECTS.runs[ctx.idempotency_key] += 1
    return name


@orchestrator(version="1")
def order(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    yield from ctx.create_timer(timedelta(seconds=40))
    did += yield from ctx.call_activity(step, "B", inline=False)
    yield from ctx.wait_for_external_event("go")
    return did + (yield from ctx.call_activity(step, "C"))


@orchestrator(name="order", version="2")
def order_2(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    did += yield from ctx.call_activity(step, "B", inline=False)
    yield from ctx.create_timer(timedelta(seconds=40))
    did += yield from ctx.call_activity(step, "B2")
    yield from ctx.wait_for_external_event("go")
    return did + (yield from ctx.call_activity(step, "C"))


@orchestrator(name="patched")
def unpatched(ctx: OrchestrationContext) -> Orchestration[str]:
    did = ""
    for _ in range(3):
        did += yield from ctx.call_activity(step, "A")
        yield from ctx.create_timer(timedelta(seconds=20))
    return did


@orchestrator
def patched(ctx: OrchestrationContext) -> Orchestration[str]:
    did = ""
    for _ in range(3):
        did += yield from ctx.call_activity(step, "A")
        taken = ctx.patched("b")  # a while before it makes a difference
        yield from ctx.create_timer(timedelta(seconds=20))
        if taken:
            did += yield from ctx.call_activity(step, "b")
    return did


@orchestrator
def family(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    fan = yield from ctx.task_all([ctx.call_activity(step, "F", inline=False) for _ in range(3)])
    child = yield from ctx.call_sub_orchestrator("patched", returns=str)
    return [*fan, child]


@orchestrator
def eternal(ctx: OrchestrationContext, rounds: list[str]) -> Orchestration[list[str]]:
    rounds.append((yield from ctx.call_activity(step, "E")))
    yield from ctx.create_timer(timedelta(seconds=15))
    if len(rounds) < 4:
        ctx.continue_as_new(rounds)
    return rounds


@orchestrator(name="in_place")
def in_place_old(ctx: OrchestrationContext) -> Orchestration[str]:
    did = ""
    for name in ("A", "B", "C"):
        did += yield from ctx.call_activity(step, name, inline=False)
        yield from ctx.create_timer(timedelta(seconds=10))
    return did


@orchestrator(name="in_place")
def in_place_new(ctx: OrchestrationContext) -> Orchestration[str]:
    """Changed without a version or a patch: what has passed B by one build fits only that build."""
    did = ""
    for name in ("A", "B", "B2", "C"):
        did += yield from ctx.call_activity(extra if name == "B2" else step, name, inline=False)
        yield from ctx.create_timer(timedelta(seconds=10))
    return did


@orchestrator(name="event")
def event_old(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    yield from ctx.wait_for_external_event("go")
    return did + (yield from ctx.call_activity(step, "B"))


@orchestrator(name="event")
def event_new(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(extra, "A2")
    yield from ctx.wait_for_external_event("go")
    return did + (yield from ctx.call_activity(step, "B"))


OLD = Registry().add(step, extra, order, unpatched, family, eternal, in_place_old, event_old)
NEW = Registry().add(step, extra, order, order_2, patched, family, eternal, in_place_new, event_new)
RESULTS: dict[str, tuple[Any, ...]] = {
    "order": ("ABC", "ABB2C"),
    "patched": ("AAA", "AbAbAb"),
    "family": (["F", "F", "F", "AAA"], ["F", "F", "F", "AbAbAb"]),
    "eternal": (["E"] * 4,),
}


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What was logged as an error: an instance that is shown as stuck is among it."""
    EFFECTS.runs.clear()
    caplog.set_level(logging.ERROR, "durable_core")
    return caplog


def stuck_reasons(said: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in said.records if "is stuck" in record.getMessage()]


def run_on_old_hosts(scenario: Callable[[World], Awaitable[T]]) -> T:
    world = World(OLD)
    outcome = world.run(scenario)
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    return outcome


async def comes_back(world: World) -> None:
    """A host of the old build comes back, and the instance ends as its code says."""
    world.add_host(OLD, "old")
    done = await world.client.wait_for_completion("one", timeout=7200)
    assert (done.output, done.stuck_reason) == ("ABC", None)
    await come_to_rest(world)
    await check(world, EFFECTS, exactly_once=False)


@pytest.mark.parametrize("cache", ["warm", "cold"])
@pytest.mark.parametrize("seed", range(3))
def test_hosts_are_swapped_one_by_one_under_mixed_traffic_and_every_result_is_right(
    cache: str, seed: int, said: pytest.LogCaptureFixture
) -> None:
    choice = random.Random(seed)

    async def scenario(world: World) -> Counter[str]:
        started: dict[str, str] = {}
        while world.hosts:
            await world.hosts.pop().stop()
        for _ in range(3):
            world.add_host(OLD, "old")
        for number in range(28):
            if number in (7, 14, 21):  # the oldest host goes, one of the new build comes
                await world.hosts.pop(0).stop()
                world.add_host(NEW, "new")
            name = list(RESULTS)[number % 4]
            instance_id = f"{name}-{number}"
            client = choice.choice(world.hosts).app.client
            await client.start_new(name, instance_id, [] if name == "eternal" else None)
            started[instance_id] = name
            if name == "order":
                await client.raise_event(instance_id, "go")
            await asyncio.sleep(choice.randint(0, 12))
        await come_to_rest(world)
        await check(world, EFFECTS, exactly_once=False)
        outcomes: Counter[str] = Counter()
        for instance_id, name in started.items():
            status = await world.client.get_status(instance_id)
            assert status.runtime_status is RuntimeStatus.COMPLETED, status
            assert status.output in RESULTS[name], status
            assert status.created_time is not None
            assert status.last_updated_time is not None
            took = (status.last_updated_time - status.created_time).total_seconds()
            assert took < 600, f"{instance_id} took {took} s: it may have been stuck"
            if name == "order":
                assert status.output == ("ABC" if status.version == "1" else "ABB2C")
            outcomes[f"{name} {RESULTS[name].index(status.output)}"] += 1
        return outcomes

    world = World(OLD, seed=seed, settings=Settings(warm_cache=0) if cache == "cold" else Settings())
    outcomes = world.run(scenario)
    assert len(outcomes) == 7, f"both builds must have had their part: {outcomes}"
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    for reason in stuck_reasons(said):  # shown at once, and never stuck
        assert "waiting for a host that has it: there is no orchestrator 'order' version '2'" in reason


def test_a_change_without_a_version_is_carried_to_its_end_while_both_builds_are_there(
    said: pytest.LogCaptureFixture,
) -> None:
    choice = random.Random(1)

    async def scenario(world: World) -> set[str]:
        await world.hosts.pop().stop()
        builds = [(OLD, "old"), (NEW, "new")]
        for build in builds:
            world.add_host(*build)
        for number in range(20):
            await choice.choice(world.hosts).app.client.start_new("in_place", str(number))
            await asyncio.sleep(choice.randint(0, 9))
            await world.hosts.pop(0).stop()  # the host that has listened longest gets the most: let it be another one
            world.add_host(*builds[number % 2])
        for number in range(12):  # what waits for the other build gets a host of it within ten minutes, likewise
            await asyncio.sleep(30)
            await world.hosts.pop(0).stop()
            world.add_host(*builds[number % 2])
        await come_to_rest(world)
        await check(world, EFFECTS, exactly_once=False)
        return {str((await world.client.get_status(str(number))).output) for number in range(20)}

    assert run_on_old_hosts(scenario) == {"ABC", "ABB2C"}
    assert not stuck_reasons(said)


def test_what_only_the_build_that_is_gone_can_go_on_with_is_stuck_after_ten_minutes_and_not_failed(
    said: pytest.LogCaptureFixture,
) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new("in_place", "one")
        await asyncio.sleep(25)  # past C
        await world.hosts.pop().stop()
        world.add_host(NEW, "new")
        await asyncio.sleep(500)
        status = await world.client.get_status("one")
        assert status.runtime_status is RuntimeStatus.RUNNING
        assert (status.stuck_reason or "").startswith("waiting for a host of the build that committed last")
        assert not stuck_reasons(said)  # a warning
        await asyncio.sleep(400)
        status = await world.client.get_status("one")
        assert status.runtime_status is RuntimeStatus.RUNNING
        assert "no longer matches the history" in (status.stuck_reason or "")
        await asyncio.sleep(7200)
        await comes_back(world)

    run_on_old_hosts(scenario)
    assert len(stuck_reasons(said)) == 1


def test_what_fits_no_host_is_stuck_at_once_where_no_other_host_lives(said: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new("in_place", "one")
        await asyncio.sleep(25)  # past C
        await world.hosts.pop().stop()
        host = world.add_host(NEW, "new")
        host.shape.alone = True
        await asyncio.sleep(30)
        status = await world.client.get_status("one")
        assert status.runtime_status is RuntimeStatus.RUNNING
        assert (status.stuck_reason or "").startswith("orchestrator 'in_place' no longer matches the history")
        await world.hosts.pop().stop()
        await comes_back(world)

    run_on_old_hosts(scenario)
    assert len(stuck_reasons(said)) == 1


@pytest.mark.parametrize("lacks", ["fitting code", "the orchestrator"])
def test_an_event_that_comes_to_a_host_that_cannot_go_on_is_passed_to_one_that_can(lacks: str) -> None:
    """The instance is shown as stuck by then, so that no other message of it waits for the right host."""

    async def scenario(world: World) -> None:
        await world.client.start_new("event", "one")
        await asyncio.sleep(5)
        await world.hosts.pop().stop()
        host = world.add_host(NEW if lacks == "fitting code" else Registry().add(step), "new")
        host.shape.alone = True
        await world.client.raise_event("one", "unrelated")  # this host is alone and shows the instance as stuck
        await asyncio.sleep(35)
        assert (await world.client.get_status("one")).stuck_reason
        host.shape.alone = False
        for name in ("unrelated", "go"):
            await world.client.raise_event("one", name)
        await asyncio.sleep(1)  # it has received them, alone
        world.add_host(OLD, "old")
        await world.hosts.pop(0).stop()  # the host that has listened longest gets the messages: let it be the right one
        world.add_host(host.shape.registry, "new")
        done = await world.client.wait_for_completion("one", timeout=60)  # recovery comes after minutes
        assert (done.output, done.stuck_reason) == ("AB", None)
        await come_to_rest(world)
        await check(world, EFFECTS, exactly_once=False)

    EFFECTS.runs.clear()
    run_on_old_hosts(scenario)


async def older_code_meets(world: World, change: Callable[[Props], Props], *, suspended: bool = False) -> None:
    """An event comes for an instance whose row was changed as a newer release would have written it."""
    await world.client.start_new("order", "one", version="1")
    await world.client.start_new("order", "two", version="1")
    await asyncio.sleep(100)
    if suspended:
        await world.client.suspend("one")
        await asyncio.sleep(60)
    while world.hosts:
        await world.hosts.pop().stop()
    for instance_id in ("one", "two"):
        await world.client.raise_event(instance_id, "go")
    table = world.storage.table(world.outside.hub.names.instances)
    row = await table.get("one", INSTANCE_KEY)
    assert row is not None
    newer = change(dict(row.props))
    assert newer
    written = await table.merge("one", INSTANCE_KEY, newer)
    host = world.add_host(OLD)
    assert (await host.app.client.wait_for_completion("two", timeout=60)).output == "ABC", "the others go on"
    await asyncio.sleep(500)
    found = await table.get("one", INSTANCE_KEY)
    assert found is not None
    assert found.etag == written, "an older host does not touch it"
    await asyncio.sleep(3600)
    await table.merge("one", INSTANCE_KEY, {name: row.props[name] for name in newer})  # a host that can read it is here
    if suspended:
        await world.client.resume("one")
    done = await world.client.wait_for_completion("one", timeout=7200)
    assert (done.runtime_status, done.output, done.stuck_reason) == (RuntimeStatus.COMPLETED, "ABC", None)
    await come_to_rest(world)
    await check(world, EFFECTS, exactly_once=False)


@pytest.mark.parametrize("suspended", [False, True], ids=["running", "suspended"])
def test_a_row_of_a_newer_format_is_left_alone_until_a_host_can_read_it(
    suspended: bool, said: pytest.LogCaptureFixture
) -> None:
    """Recovery looks at what is suspended, and must not stumble over it."""
    run_on_old_hosts(lambda world: older_code_meets(world, lambda _: {"fmt": 99}, suspended=suspended))
    assert not stuck_reasons(said)


def test_an_event_of_a_newer_release_is_left_alone_until_a_host_knows_it(said: pytest.LogCaptureFixture) -> None:
    def with_unknown_event(props: Props) -> Props:
        name = max(name for name in props if name.startswith("s") and name.endswith("_0"))
        commit = str(props[name])
        assert commit.endswith("]]]")
        return {name: commit[:-2] + ',["ZZ",1]]]'}

    run_on_old_hosts(lambda world: older_code_meets(world, with_unknown_event))
    [reason] = stuck_reasons(said)
    assert "'ZZ', which this version does not know" in reason
