"""Schedules that the code declares are those of the hub, whatever code its hosts had before, and however many start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator, schedule
from durable_core.errors import OperationRefusedError, RegistrationError
from durable_core.runtime.app import DurableApp
from durable_core.runtime.schedules.declared import declared_in
from durable_core.runtime.schedules.orchestrator import SCHEDULE_PREFIX
from durable_core.runtime.schedules.sync import synchronize
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage
from durable_core.storage.sqlite.store import SqliteStorage
from durable_core.testing.faults import Fault, FaultPlan, FaultyStorage
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each

HOUR = timedelta(hours=1)


def report() -> Callable[..., Orchestration[Any]]:
    @orchestrator
    def report(ctx: OrchestrationContext, region: str = "") -> Orchestration[str]:
        yield ctx.create_timer(timedelta(seconds=1))
        return region

    return report


def app_with(*declarations: Any, also: tuple[Any, ...] = ()) -> Registry:
    """An app whose orchestrator ``report`` has these declarations, the lowest first."""
    fn: Any = report()
    for declaration in declarations:
        fn = declaration(fn)
    return Registry().add(fn, *also)


NIGHTLY = schedule(id="nightly", cron="0 3 * * *", time_zone="Europe/Berlin", input="EU")
HOURLY = schedule(id="hourly", every=HOUR, input="US", jitter=timedelta(minutes=1))


async def start(world: World, registry: Registry, plan: FaultPlan | None = None) -> DurableApp:
    """What a host of this code does when it starts."""
    app = DurableApp(registry, world.settings, FaultyStorage(world.storage, plan or FaultPlan()), clock=world.loop)
    await app.hub.create()
    await synchronize(app.client)
    return app


def simulate(drive: Any, *plans: FaultPlan, hosts: int = 1) -> tuple[Any, World]:
    world = World(app_with(), hosts=hosts)
    outcome = world.run(drive, *plans)
    assert not world.errors, world.errors
    return outcome, world


async def settled(world: World) -> dict[str, tuple[Any, ...]]:
    await asyncio.sleep(5)
    return {
        each.schedule_id: (each.cron, each.interval, each.is_paused, each.is_declared)
        for each in await world.client.list_schedules()
    }


def test_a_host_creates_changes_pauses_and_continues_what_its_code_declares() -> None:
    async def drive(world: World) -> None:
        client = world.client
        await client.create_schedule("mine", "report", interval=HOUR)
        await start(world, app_with(NIGHTLY, HOURLY))
        both = {"nightly": ("0 3 * * *", None, False, True), "hourly": (None, HOUR, False, True)}
        mine = {"mine": (None, HOUR, False, False)}
        assert await settled(world) == {**both, **mine}
        # changed in the code
        await start(world, app_with(NIGHTLY, schedule(id="hourly", every=2 * HOUR, input="US")))
        changed = {**both, "hourly": (None, 2 * HOUR, False, True)}
        assert await settled(world) == {**changed, **mine}
        # removed from the code: paused and said, not deleted
        await start(world, app_with(NIGHTLY))
        assert await settled(world) == {**changed, "hourly": (None, 2 * HOUR, True, True), **mine}
        assert "no longer declared" in (await client.get_schedule("hourly")).pause_reason
        # declared again: it goes on
        await start(world, app_with(NIGHTLY, HOURLY))
        assert await settled(world) == {**both, **mine}
        # none is declared any more
        await start(world, app_with())
        paused = {name: (*shown[:2], True, True) for name, shown in both.items()}
        assert await settled(world) == {**paused, **mine}

    simulate(drive)


def test_a_pause_by_hand_and_a_current_run_outlive_a_start_of_a_host() -> None:
    async def drive(world: World) -> None:
        await start(world, app_with(HOURLY))
        await asyncio.sleep(2.5 * 3600)
        ran = await world.client.get_schedule("hourly")
        assert ran.last_instance_id is not None
        await world.client.pause_schedule("hourly", "maintenance")
        await asyncio.sleep(1)
        await start(world, app_with(schedule(id="hourly", every=2 * HOUR, input="EU")))
        await asyncio.sleep(5)
        shown = await world.client.get_schedule("hourly")
        assert (shown.is_paused, shown.pause_reason, shown.interval) == (True, "maintenance", 2 * HOUR)
        assert shown.last_instance_id == ran.last_instance_id

    simulate(drive)


def test_what_was_deleted_or_terminated_is_there_again_after_a_start() -> None:
    async def drive(world: World) -> None:
        await start(world, app_with(NIGHTLY, HOURLY))
        await world.client.delete_schedule("hourly")
        await world.client.terminate(f"{SCHEDULE_PREFIX}nightly", "by mistake")
        await asyncio.sleep(5)
        assert await settled(world) == {}
        await start(world, app_with(NIGHTLY, HOURLY))
        assert set(await settled(world)) == {"nightly", "hourly"}

    simulate(drive)


def test_a_client_does_not_change_what_the_code_declares() -> None:
    async def drive(world: World) -> None:
        await start(world, app_with(HOURLY))
        with pytest.raises(OperationRefusedError, match="declared in the app's code"):
            await world.client.create_schedule("hourly", "report", interval=2 * HOUR, if_exists="update")
        await world.client.create_schedule("hourly", "report", interval=2 * HOUR, if_exists="ignore")
        assert (await world.client.get_schedule("hourly")).interval == HOUR

    simulate(drive)


def test_a_schedule_of_a_client_that_the_code_declares_becomes_the_codes() -> None:
    async def drive(world: World) -> None:
        await world.client.create_schedule("hourly", "report", interval=2 * HOUR)
        await start(world, app_with(HOURLY))
        assert await settled(world) == {"hourly": (None, HOUR, False, True)}

    simulate(drive)


def test_the_schedules_of_another_app_of_the_hub_go_on_and_are_named(caplog: pytest.LogCaptureFixture) -> None:
    @schedule(every=HOUR)
    @orchestrator
    def other(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.create_timer(timedelta(seconds=1))

    async def drive(world: World) -> None:
        await start(world, Registry().add(other))
        caplog.set_level(logging.WARNING)
        await start(world, app_with(HOURLY))
        assert await settled(world) == {"other": (None, HOUR, False, True), "hourly": (None, HOUR, False, True)}
        [said] = [each.getMessage() for each in caplog.records if "'other'" in each.getMessage()]
        assert "which this app does not have" in said

    simulate(drive)


@pytest.mark.parametrize("seed", range(3))
def test_of_several_hosts_that_start_at_once_each_schedule_is_made_once(seed: int) -> None:
    async def drive(world: World) -> None:
        for registry in (app_with(NIGHTLY, HOURLY), app_with(NIGHTLY)):
            await asyncio.gather(*(start(world, registry) for _ in range(4)))
            await settled(world)
        hourly = await world.client.get_schedule("hourly")
        assert hourly.is_paused
        assert set(await settled(world)) == {"nightly", "hourly"}
        await asyncio.sleep(24 * 3600)
        runs = await world.client.get_status_by(instance_id_prefix="nightly:")
        assert len(runs) == 1

    simulate(drive, hosts=2)


async def _deployed(world: World, plan: FaultPlan) -> Any:
    """Three deployments, of which the first host may die at any operation; the platform starts another."""
    for registry in (
        app_with(NIGHTLY, HOURLY),
        app_with(schedule(id="hourly", every=2 * HOUR, input="US")),
        app_with(NIGHTLY),
    ):
        try:
            await start(world, registry, plan)
        except BaseException as error:
            if isinstance(error, AssertionError):
                raise
            await start(world, registry)
        await asyncio.sleep(5)
    return await settled(world)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_of_a_start_changes_no_outcome(fault: Fault, totals: Totals) -> None:
    expected = {"nightly": ("0 3 * * *", None, False, True), "hourly": (None, 2 * HOUR, True, True)}

    class Ran:
        def __init__(self, plan: FaultPlan) -> None:
            self.plans = [plan]

    def run(plan: FaultPlan) -> tuple[Any, Any]:
        async def drive(world: World) -> Any:
            return await _deployed(world, plan)

        return simulate(drive)[0], Ran(plan)

    strike_each(run, fault, expected, totals, at_most=4)


# ---------------------------------------------------------------- what a start costs


async def operations_of_starts(*registries: Registry) -> list[int]:
    """The operations beside those of an app without schedules, of one start after another."""
    found: list[int] = []
    storage = CountingStorage(SqliteStorage(":memory:"))
    for registry in (app_with(), *registries):
        before = storage.counts.total
        app = await DurableApp.open(registry, Settings(store=":memory:"), storage)
        await app.close()
        found.append(storage.counts.total - before)
    await storage.close()
    return found[1:]


async def test_a_start_costs_nothing_without_schedules_and_one_list_when_nothing_has_changed() -> None:
    none, first, again, changed = await operations_of_starts(
        app_with(), app_with(NIGHTLY, HOURLY), app_with(NIGHTLY, HOURLY), app_with(NIGHTLY)
    )
    # the list looks at the ended instances too, and reads each pending schedule once
    assert none == 1
    assert again - none == 2 + 2
    assert first - none == 2 + 2 * 3 + 1
    # "nightly" is read; "hourly" is read, and gets an event; the row of the hub
    assert changed - none == 2 + 2 + 1 + 4 + 1


# ---------------------------------------------------------------- what is declared wrong


def test_two_schedules_of_one_id_are_refused_with_both_places() -> None:
    with pytest.raises(RegistrationError, match=r"'a'.*test_declared_schedules.py.*test_declared_schedules.py.*id="):
        declared_in(app_with(schedule(id="a", every=HOUR), schedule(id="a", every=2 * HOUR)))
    assert len(declared_in(app_with(schedule(id="a", every=HOUR), schedule(id="a", every=HOUR)))) == 1


def test_it_stands_above_an_orchestrator() -> None:
    def bare(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.create_timer(HOUR)

    @activity
    def work() -> None: ...

    for wrong in (bare, work):
        with pytest.raises(RegistrationError, match="above @orchestrator"):
            schedule(every=HOUR)(wrong)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "either cron"),
        ({"cron": "x"}, "not a valid cron"),
        ({"cron": "0 3 * * *", "time_zone": "Nowhere"}, "no time zone"),
        ({"every": timedelta(0)}, "at least one second"),
        ({"every": HOUR, "id": "a/b"}, "must not hold"),
        ({"every": HOUR, "input": 5}, "valid str"),
        ({"every": HOUR, "jitter": HOUR}, "jitter"),
        ({"every": HOUR, "version": "9"}, "version"),
        ({"every": HOUR, "id": 7}, "string"),
    ],
)
def test_a_declaration_that_cannot_work_stops_the_start_with_its_place(options: dict[str, Any], says: str) -> None:
    async def drive(world: World) -> None:
        with pytest.raises(RegistrationError, match=f"(?s)test_declared_schedules.py.*cannot work.*{says}"):
            await start(world, app_with(schedule(**options)))
        assert await settled(world) == {}

    simulate(drive)
