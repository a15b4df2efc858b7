"""A fault at any storage operation: branches end as they should, in either spelling, and undo once what they undo."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Registry, RuntimeStatus
from durable_core.replay.history import to_text
from durable_core.replay.replayer import load_history
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.spellings import in_async
from tests.support.totals import Totals

from . import branch_programs
from .exhaustive import IS_SOAK, replay_seed, strike_each
from .oracle import run_judged
from .rewinds import Mending
from .scenarios import Scenario, result, simple
from .soak import run_seed

MakeRegistry = Callable[[Any], Registry]
SPELLINGS: dict[str, MakeRegistry] = {
    "generator": branch_programs.make_registry,
    "async": in_async(branch_programs).make_registry,
}
BOTH = list(SPELLINGS)


async def _held(world: World) -> Any:
    await world.client.start_new("held", "one")
    await asyncio.sleep(120)
    await world.client.raise_event("one", "Refused", "no")
    return await result(world, "one")


async def _family(world: World) -> Any:
    await world.client.start_new("family", "one", 1)
    await asyncio.sleep(60)
    await world.client.raise_event("one", "Told2", "b")
    await world.client.raise_event("one", "Told1", "a")
    found = await result(world, "one")
    for number in (1, 2):
        assert await result(world, f"detached-{number}") == ["leaf"]
    return [found[0], found[1] in (10, 11, 12, 13), found[2]]


async def _called_off(world: World) -> Any:
    """Cancelled while two branches are under way: both are undone."""
    await world.client.start_new("pair", "one", 3600)
    await asyncio.sleep(600)
    await world.client.cancel("one", "called off")
    await result(world, "one")
    status = await world.client.get_status("one", show_history=True)
    undone = [event["Name"] for event in status.history_events or [] if event["EventType"] == "StepCompleted"]
    return status.runtime_status, undone


SCENARIOS = [
    simple("both", "pair", 10, ["find car, book", "find hotel, book"]),
    simple("one fails", "failing_pair", None, ["undo car", "CAR", "no room", "after"]),
    simple("all settled", "settled", None, ["find car, book", "refused"]),
    simple("time limits", "limited", None, ["find car, book", "undo boat", "BOAT", "late"]),
    simple(
        "a race", "raced", None, ["SHIP", "TRAIN", "undo ship", "undo train", "find plane, book"]
    ),
    Scenario("a held branch", _held, ["no", "find car, book", "undo boat", "BOAT", "cancelled"]),
    simple(
        "a window", "window", 4, [*(f"find {n}, book" for n in range(4)), "find x, book", "find y, book"]
    ),
    simple("branches in branches", "nested", None, ["undo a", "A", "a: no room", "undo b", "B"]),
    simple("generations", "rounds", [], ["find car, book", "find hotel, book"] * 3),
    Scenario("children and sections", _family, [["leaf", "a"], True, ["leaf", "b"]]),
    Scenario("cancelled from outside", _called_off, (RuntimeStatus.CANCELED, ["undone", "undone"])),
]  # fmt: skip


def run(scenario: Scenario, make_registry: MakeRegistry, plan: FaultPlan, **options: Any) -> tuple[Any, World]:
    effects = Mending(broken=False)
    world = World(make_registry(effects), **options)
    return run_judged(world, effects, scenario.drive, plan), world


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_changes_no_outcome(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(scenario, SPELLINGS["generator"], plan), fault, scenario.expected, totals)


@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.LOSE_ANSWER, Fault.STALL])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_so_too_with_async_def_and_when_every_message_replays(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    cold = Settings(warm_cache=0)
    strike_each(lambda plan: run(scenario, SPELLINGS["async"], plan, settings=cold), fault, scenario.expected, totals)


@pytest.mark.parametrize("seed", range(60 if IS_SOAK else 6))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_hosts_with_faults_that_interleave_change_no_outcome(scenario: Scenario, seed: int) -> None:
    try:
        run_seed(scenario, seed, make_registry=SPELLINGS[BOTH[seed % 2]])
    except BaseException as error:
        raise AssertionError(f"{error}\n{replay_seed(seed)}") from error


# ---------------------------------------------------------------- both spellings


def stored(scenario: Scenario, make_registry: MakeRegistry) -> dict[str, str]:
    """The exported histories of a calm run, by instance."""

    async def drive(world: World) -> dict[str, str]:
        assert await scenario.drive(world) == scenario.expected
        hub = world.outside.hub
        names = [status.instance_id for status in await world.client.get_status_all()]
        return {name: to_text(await load_history(hub, name)) for name in names}

    world = World(make_registry(Mending(broken=False)))
    found = world.run(drive)
    assert not world.errors, world.errors
    return found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_both_spellings_leave_the_same_bytes(scenario: Scenario) -> None:
    assert stored(scenario, SPELLINGS["generator"]) == stored(scenario, SPELLINGS["async"])


@pytest.mark.parametrize("first", BOTH)
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_host_of_the_other_spelling_goes_on_for_one_that_dies_at_any_operation(
    scenario: Scenario, fault: Fault, first: str, totals: Totals
) -> None:
    second = BOTH[1 - BOTH.index(first)]

    def run_over(plan: FaultPlan) -> tuple[Any, World]:
        effects = Mending(broken=False)
        world = World(SPELLINGS[first](effects))
        other = SPELLINGS[second](effects)

        async def drive(world: World) -> Any:
            world.hosts[0].shape.registry = other  # of the host that replaces it
            return await scenario.drive(world)

        return run_judged(world, effects, drive, plan), world

    strike_each(run_over, fault, scenario.expected, totals)


@pytest.mark.parametrize("seed", range(3))
def test_hosts_of_both_spellings_share_the_work(seed: int) -> None:
    """Both run at once, under two builds, and pass instances to each other with every message."""
    for scenario in SCENARIOS:
        effects = Mending(broken=False)
        world = World(SPELLINGS["generator"](effects), settings=Settings(warm_cache=0), seed=seed)
        other = SPELLINGS["async"](effects)

        async def drive(world: World, scenario: Scenario = scenario, other: Registry = other) -> Any:
            world.add_host(other, "async")
            return await scenario.drive(world)

        assert run_judged(world, effects, drive) == scenario.expected
        assert not world.failures, world.failures


# ---------------------------------------------------------------- suspended, terminated


def test_branches_of_a_suspended_instance_go_on_when_it_is_resumed() -> None:
    async def drive(world: World) -> Any:
        await world.client.start_new("limited", "one")
        await asyncio.sleep(90)
        await world.client.suspend("one")
        await asyncio.sleep(3 * 3600)  # past the time limit
        status = await world.client.get_status("one")
        assert status.runtime_status == "Suspended"
        await world.client.resume("one")
        return await result(world, "one")

    for make_registry in SPELLINGS.values():
        effects = Mending(broken=False)
        assert run_judged(World(make_registry(effects)), effects, drive)[1:] == ["undo boat", "BOAT", "late"]


def test_a_terminated_instance_undoes_nothing() -> None:
    async def drive(world: World) -> Any:
        await world.client.start_new("pair", "one", 3600)
        await asyncio.sleep(60)
        await world.client.terminate("one", "enough")
        status = await world.client.wait_for_completion("one", timedelta(hours=1).total_seconds())
        return status.runtime_status

    for make_registry in SPELLINGS.values():
        effects = Mending(broken=False)
        assert run_judged(World(make_registry(effects)), effects, drive) == "Terminated"
        assert len(effects.runs) == 2
