"""Cancel, terminate, timeouts and delayed starts: a fault at any storage operation changes no outcome."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from durable_core import (
    DurableError,
    Orchestration,
    OrchestrationContext,
    Registry,
    TaskCancelledError,
    activity,
    orchestrator,
)
from durable_core.errors import InvalidInputError, TaskTimeoutError
from durable_core.models import OrchestrationStatus
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import watched
from .scenarios import Scenario


def make_registry(seen: Counter[str]) -> Registry:
    @activity
    def note(what: str) -> str:
        seen[what] += 1
        return what

    @orchestrator
    def leaf(ctx: OrchestrationContext, name: str) -> Orchestration[str]:
        try:
            yield ctx.wait_for_external_event("never")
        finally:
            yield ctx.call_activity(note, f"cleaned leaf {name}")
        return name

    @orchestrator
    def middle(ctx: OrchestrationContext, name: str) -> Orchestration[str]:
        try:
            yield ctx.call_sub_orchestrator(leaf, name, f"leaf of {name}")
        finally:
            yield ctx.call_activity(note, f"cleaned {name}")
        return name

    @orchestrator
    def root(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        children = [ctx.call_sub_orchestrator(middle, name, name) for name in ("a", "b")]
        try:
            names = yield from ctx.task_all(children)
        finally:
            yield ctx.call_activity(note, "cleaned root")
        return names

    @orchestrator
    def impatient(ctx: OrchestrationContext) -> Orchestration[str]:
        child = ctx.call_sub_orchestrator(middle, "a", "a", timeout=timedelta(minutes=20))
        winner = yield from ctx.task_any([child])
        assert winner.is_faulted
        try:
            return winner.result
        except DurableError as error:
            return type(error).__name__

    @orchestrator
    def again(ctx: OrchestrationContext, left: int) -> Orchestration[str]:
        yield ctx.create_timer(timedelta(minutes=15))
        ctx.continue_as_new(left - 1)
        return "never"

    @orchestrator
    def collector(ctx: OrchestrationContext, got: list[str]) -> Orchestration[list[str]]:
        """Begins anew with every other event; keeps what came in between, or drops it."""
        word = yield from ctx.wait_for_external_event("word", str)
        yield ctx.wait_for_external_event("next")
        if len(got) < 2:
            ctx.continue_as_new([*got, word], keep_events=word != "drop")
        return [*got, word]

    @orchestrator
    def phoenix(ctx: OrchestrationContext, round_: int) -> Orchestration[str]:
        """Begins anew when it is cancelled, and leaves a child open."""
        ctx.call_sub_orchestrator(leaf, f"round {round_}", f"round {round_}").is_completed  # noqa: B018  looked at
        try:
            yield ctx.wait_for_external_event("never")
        except TaskCancelledError:
            ctx.continue_as_new(round_ + 1)
        return "never"

    return Registry().add(note, leaf, middle, root, impatient, again, collector, phoenix)


async def ended(world: World, *instance_ids: str) -> dict[str, str]:
    found: dict[str, OrchestrationStatus] = {}
    for _ in range(600):
        found = {name: await world.client.get_status(name) for name in instance_ids}
        if all(status.is_terminal for status in found.values()):
            break
        await asyncio.sleep(20)
    return {name: f"{status.runtime_status}" for name, status in found.items()}


FAMILY = ("root", "a", "b", "leaf of a", "leaf of b")


async def begun(world: World, *instance_ids: str) -> None:
    for name in instance_ids:
        for _ in range(600):
            if (await world.client.get_status(name)).runtime_status == "Running":
                break
            await asyncio.sleep(5)


async def _cancel(world: World) -> Any:
    await world.client.start_new("root", "root")
    await begun(world, *FAMILY)
    await world.client.cancel("root", "no more")
    states = await ended(world, *FAMILY)
    return states, (await world.client.get_status("leaf of b")).output


async def _cancel_at_once(world: World) -> Any:
    await world.client.start_new("root", "root")
    await world.client.cancel("root", "no more")
    return await ended(world, "root")


async def _terminate(world: World) -> Any:
    await world.client.start_new("root", "root")
    await begun(world, *FAMILY)
    await world.client.terminate("root", "enough")
    states = await ended(world, *FAMILY)
    return states, (await world.client.get_status("leaf of a")).output


async def _child_out_of_time(world: World) -> Any:
    await world.client.start_new("impatient", "one")
    states = await ended(world, "one", "a", "leaf of a")
    return states, (await world.client.get_status("one")).output


async def _run_out_of_time(world: World) -> Any:
    await world.client.start_new("again", "one", 100, timeout=timedelta(minutes=40))
    began = world.loop.time()
    states = await ended(world, "one")
    failure = (await world.client.get_status("one")).failure
    assert failure is not None
    return states, failure.type.rpartition(".")[2], round((world.loop.time() - began) / 60) >= 40


async def _delayed(world: World) -> Any:
    start = world.loop.now() + timedelta(minutes=25)
    await world.client.start_new("collector", "one", ["x", "y"], start_at=start)
    await world.client.raise_event("one", "word", "early")
    await asyncio.sleep(20 * 60)
    status = await world.client.get_status("one")
    assert (status.runtime_status, status.scheduled_start_time) == ("Pending", start)
    await world.client.raise_event("one", "next")
    states = await ended(world, "one")
    status = await world.client.get_status("one", show_history=True)
    assert status.history_events is not None
    return states, status.output, str(status.history_events[0]["Timestamp"]) >= start.isoformat()[:19]


async def _delayed_and_ended(world: World) -> Any:
    start = world.loop.now() + timedelta(days=3)
    for name in ("cancelled", "terminated"):
        await world.client.start_new("root", name, start_at=start)
    await world.client.cancel("cancelled", "no")
    await world.client.terminate("terminated", "no")
    states = await ended(world, "cancelled", "terminated")
    return states, world.loop.now() < start


async def _keeps(world: World) -> Any:
    await world.client.start_new("collector", "one", [])
    for word in ("a", "b", "c"):
        await world.client.raise_event("one", "word", word)
    for _ in range(3):
        await world.client.raise_event("one", "next")
    return await ended(world, "one"), (await world.client.get_status("one")).output


async def _drops(world: World) -> Any:
    await world.client.start_new("collector", "one", ["x"])
    for word in ("drop", "dropped"):
        await world.client.raise_event("one", "word", word)
    await asyncio.sleep(600)
    await world.client.raise_event("one", "next")
    await asyncio.sleep(600)
    await world.client.raise_event("one", "word", "after")
    await world.client.raise_event("one", "next")
    return await ended(world, "one"), (await world.client.get_status("one")).output


async def _phoenix(world: World) -> Any:
    await world.client.start_new("phoenix", "one", 1)
    await begun(world, "one", "round 1")
    await world.client.cancel("one")
    await begun(world, "round 2")
    states = await ended(world, "round 1")
    await world.client.terminate("one")
    return states, await ended(world, "one", "round 2")


def all_of(state: str) -> dict[str, str]:
    return dict.fromkeys(FAMILY, state)


SCENARIOS = [
    Scenario("cancel", _cancel, (all_of("Canceled"), "no more")),
    Scenario("cancel at once", _cancel_at_once, {"root": "Canceled"}),
    Scenario("terminate", _terminate, (all_of("Terminated"), "enough")),
    Scenario(
        "a child out of time",
        _child_out_of_time,
        ({"one": "Completed", "a": "Failed", "leaf of a": "Terminated"}, "TaskTimeoutError"),
    ),
    Scenario("a run out of time", _run_out_of_time, ({"one": "Failed"}, "TaskTimeoutError", True)),
    Scenario("a delayed start", _delayed, ({"one": "Completed"}, ["x", "y", "early"], True)),
    Scenario(
        "ended before the start",
        _delayed_and_ended,
        ({"cancelled": "Canceled", "terminated": "Terminated"}, True),
    ),
    Scenario("events kept", _keeps, ({"one": "Completed"}, ["a", "b", "c"])),
    Scenario("events dropped", _drops, ({"one": "Completed"}, ["x", "drop", "after"])),
    Scenario(
        "a cancelled one begins anew",
        _phoenix,
        ({"round 1": "Canceled"}, {"one": "Terminated", "round 2": "Terminated"}),
    ),
]


def run(
    scenario: Scenario, *plans: FaultPlan, hosts: int = 1, settings: Settings | None = None
) -> tuple[Any, World, Counter[str]]:
    seen: Counter[str] = Counter()
    world = World(make_registry(seen), hosts=hosts, settings=settings)
    oracle = watched(world)

    async def drive(world: World) -> Any:
        outcome = await scenario.drive(world)
        await at_rest(world)
        assert not await oracle.problems(world.outside.hub), oracle.violations
        return outcome

    outcome = world.run(drive, *plans)
    assert not world.errors, world.errors
    return outcome, world, seen


async def at_rest(world: World) -> None:
    """Nothing runs on: no message is left, every instance has ended and the catalogue says so."""
    left: list[int] = []
    running: list[str] = []
    for _ in range(200):
        left = [await world.storage.queue(name).count() for name in world.outside.hub.names.queues]
        running = [s.instance_id for s in await world.client.get_status_all() if not s.is_terminal]
        if not any(left) and not running:
            return
        await asyncio.sleep(60)
    raise AssertionError(f"not at rest: {left} messages, {running} run on")


@pytest.mark.parametrize("hosts", [1, 3])
@pytest.mark.parametrize("cache", ["warm", "cold"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_an_end_is_the_same_warm_and_cold_and_over_hosts(scenario: Scenario, cache: str, hosts: int) -> None:
    outcome, world, seen = run(scenario, hosts=hosts, settings=Settings(warm_cache=0) if cache == "cold" else None)
    assert outcome == scenario.expected
    assert not world.failures
    assert set(seen.values()) <= {1}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_changes_no_outcome(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(scenario, plan)[:2], fault, scenario.expected, totals, receipts=False, at_most=2)


def simulate(drive: Any) -> Counter[str]:
    seen: Counter[str] = Counter()
    world = World(make_registry(seen))
    world.run(drive)
    assert not world.errors, world.errors
    return seen


async def purge_queues(world: World) -> None:
    for name in world.outside.hub.names.queues:
        await world.storage.queue(name).clear()


@pytest.mark.parametrize("minutes", [5, 90])
def test_a_delayed_start_is_not_lost_with_the_queues_nor_begun_early_by_recovery(minutes: int) -> None:
    async def drive(world: World) -> None:
        start = world.loop.now() + timedelta(minutes=minutes)
        await world.client.start_new("collector", "one", ["x", "y"], start_at=start)
        await purge_queues(world)
        await world.client.raise_event("one", "word", "kept")
        await world.outside.recover(full=minutes == 90)
        await purge_queues(world)
        await world.client.raise_event("one", "next")
        assert await ended(world, "one") == {"one": "Completed"}
        status = await world.client.get_status("one", show_history=True)
        assert status.output == ["x", "y", "kept"]
        assert status.history_events is not None
        assert str(status.history_events[0]["Timestamp"]) >= start.isoformat()[:19]

    simulate(drive)


def test_a_deadline_is_rebuilt_by_a_full_recovery() -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("leaf", "one", "one", timeout=timedelta(minutes=5))
        await begun(world, "one")
        await purge_queues(world)
        await world.outside.recover(full=True)
        status = await world.client.wait_for_completion("one", 1200)
        assert status.runtime_status == "Failed"

    simulate(drive)


def test_an_instance_that_is_suspended_runs_out_of_time_all_the_same() -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("leaf", "one", "one", timeout=timedelta(minutes=30))
        await world.client.suspend("one")
        status = await world.client.wait_for_completion("one", 3600)
        assert status.runtime_status == "Failed"
        assert status.failure is not None
        assert status.failure.is_caused_by(TaskTimeoutError)

    assert simulate(drive) == Counter()  # its code is not asked, so there is no clean-up


def test_a_restarted_id_may_be_delayed_too() -> None:
    async def drive(world: World) -> None:
        client, start = world.client, world.loop.now() + timedelta(minutes=45)
        await client.start_new("leaf", "one", "first")
        await client.terminate("one")
        await ended(world, "one")
        await client.start_new("leaf", "one", "second", start_at=start, if_exists="restart_if_done")
        await asyncio.sleep(40 * 60)
        assert (await client.get_status("one")).runtime_status == "Pending"
        await asyncio.sleep(10 * 60)
        assert (await client.get_status("one")).runtime_status == "Running"

    simulate(drive)


def test_only_this_instance_is_ended_when_asked_so() -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("root", "root")
        await begun(world, *FAMILY)
        await world.client.terminate("a", recursive=False)
        await ended(world, "a")
        await asyncio.sleep(1200)
        assert (await world.client.get_status("leaf of a")).runtime_status == "Running"

    simulate(drive)


def test_a_delayed_instance_that_is_terminated_never_runs_a_line() -> None:
    async def drive(world: World) -> None:
        start = world.loop.now() + timedelta(hours=2)
        await world.client.start_new("root", "one", start_at=start)
        await world.client.terminate("one", "no")
        assert await ended(world, "one") == {"one": "Terminated"}
        await asyncio.sleep(3 * 3600)
        assert [status.instance_id for status in await world.client.get_status_all()] == ["one"]

    simulate(drive)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": timedelta(0)},
        {"timeout": timedelta(seconds=-5)},
        {"start_at": datetime(2031, 1, 1)},
    ],
)
def test_times_that_cannot_be_are_refused_at_the_door(options: dict[str, Any]) -> None:
    async def drive(world: World) -> None:
        with pytest.raises(InvalidInputError):
            await world.client.start_new("root", "one", **options)
        assert not await world.client.get_status("one")

    simulate(drive)
