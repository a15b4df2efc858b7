"""Schedules are durable: a crash at any storage operation neither loses a run nor starts one twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.errors import (
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    RegistrationError,
    UnknownOrchestratorError,
)
from durable_core.instance_ids import TriggeredRun
from durable_core.models import RuntimeStatus
from durable_core.runtime.schedules.orchestrator import SCHEDULE_PREFIX
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each

MINUTE = timedelta(minutes=1)


def make_registry(runs: Counter[str]) -> Registry:
    keys: set[str] = set()

    @activity
    def count(ctx: ActivityContext) -> None:
        if ctx.idempotency_key not in keys:  # a crash may repeat it; another start of the run has another key
            keys.add(ctx.idempotency_key)
            runs[ctx.instance_id] += 1

    @orchestrator
    def report(ctx: OrchestrationContext, minutes: float) -> Orchestration[None]:
        yield ctx.call_activity(count)
        yield ctx.create_timer(timedelta(minutes=minutes))

    @orchestrator
    def broken(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_activity(count)
        raise ValueError("it never works")

    return Registry().add(count, report, broken)


def times(runs: Counter[str]) -> list[str]:
    """HH:MM of the due times that were run, in order; each of them once."""
    assert set(runs.values()) <= {1}, runs
    return sorted(f"{run.partition(':')[2][9:11]}:{run.partition(':')[2][11:13]}" for run in runs)


def simulate(drive: Any, *plans: FaultPlan, settings: Settings | None = None) -> tuple[Any, World]:
    runs: Counter[str] = Counter()
    world = World(make_registry(runs), settings=settings)
    outcome = world.run(lambda world: drive(world, runs), *plans)
    assert not world.errors, world.errors
    return outcome, world


async def _hourly(world: World, runs: Counter[str]) -> Any:
    """An hourly report for an hour and a half; each takes 10 minutes."""
    start = world.loop.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    await world.client.create_schedule("hourly", "report", cron="0 * * * *", client_input=10, start_at=start)
    await asyncio.sleep((start - world.loop.now()).total_seconds() + 1.5 * 3600)
    status = await world.client.get_schedule("hourly")
    assert status.next_due == start + timedelta(hours=2)
    return [(start + timedelta(hours=n)).strftime("%H:%M") for n in range(2)] == times(runs), status.running


async def _queue(world: World, runs: Counter[str]) -> Any:
    """Due every 20 minutes, but a run takes 50: they queue up, and are run in order."""
    start = world.loop.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    await world.client.create_schedule(
        "slow", "report", interval=20 * MINUTE, client_input=50, start_at=start, overlap="queue"
    )
    await asyncio.sleep((start - world.loop.now()).total_seconds() + 70 * 60)
    status = await world.client.get_schedule("slow")
    await world.client.delete_schedule("slow")
    waiting = [run.partition(":")[2][9:13] for run in status.waiting]
    return [n.strftime("%H:%M") for n in (start, start + 20 * MINUTE)] == times(runs), len(waiting)


async def _controlled(world: World, runs: Counter[str]) -> Any:
    """Paused, triggered, resumed."""
    client = world.client
    await client.create_schedule("nightly", "report", interval=timedelta(hours=1), client_input=1)
    await client.pause_schedule("nightly", "maintenance")
    await asyncio.sleep(3 * 3600)
    paused = await client.get_schedule("nightly")
    before = len(runs)
    run = await client.trigger_schedule("nightly")
    await asyncio.sleep(1800)
    triggered = dict(runs)
    await client.resume_schedule("nightly")
    await asyncio.sleep(1.6 * 3600)
    resumed = await client.get_schedule("nightly")
    assert set(runs.values()) == {1}
    return before, paused.is_paused, paused.pause_reason, triggered == {run: 1}, resumed.is_paused, len(runs) in (2, 3)


SCENARIOS = [
    (_hourly, (True, None)),
    (_queue, (True, 1)),
    (_controlled, (0, True, "maintenance", True, False, True)),
]


@pytest.mark.parametrize(("drive", "expected"), SCENARIOS)
@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_a_schedule_starts_each_due_run_once(drive: Any, expected: Any, cache: str) -> None:
    outcome, world = simulate(drive, settings=Settings(warm_cache=0) if cache == "cold" else None)
    assert outcome == expected
    assert not world.failures


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(("drive", "expected"), SCENARIOS)
def test_a_fault_at_any_storage_operation_changes_no_run(
    drive: Any, expected: Any, fault: Fault, totals: Totals
) -> None:
    strike_each(lambda plan: simulate(drive, plan), fault, expected, totals, receipts=False, at_most=2)


def test_a_run_that_still_goes_is_not_overtaken() -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        start = world.loop.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        await world.client.create_schedule("s", "report", interval=20 * MINUTE, client_input=50, start_at=start)
        await asyncio.sleep((start - world.loop.now()).total_seconds() + 115 * 60)
        assert times(runs) == [f"{start + n * MINUTE:%H:%M}" for n in (0, 60)]
        assert await world.client.trigger_schedule("s") not in runs  # skipped as well
        status = await world.client.get_schedule("s")
        assert (status.waiting, status.next_due) == ((), start + 120 * MINUTE)

    simulate(drive)


@pytest.mark.parametrize("paused", [False, True])
def test_who_waits_for_a_run_that_was_asked_for_waits_for_its_start_too(paused: bool) -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        client = world.client
        await client.create_schedule("s", "report", interval=timedelta(days=1), client_input=0)
        if paused:
            await client.pause_schedule("s")
        await asyncio.sleep(60)
        run = await client.trigger_schedule("s")
        assert not await client.get_status(run)
        done = await client.wait_for_completion(run, 3600)
        assert (done.instance_id, done.runtime_status) == (run, RuntimeStatus.COMPLETED)
        assert runs[run] == 1
        never = TriggeredRun("never:20300101T000000Z-000000")
        began = world.loop.time()
        assert not await client.wait_for_completion(never, 100)
        assert world.loop.time() - began >= 100

    simulate(drive)


def test_a_run_that_fails_does_not_stop_the_schedule() -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        await world.client.create_schedule("s", "broken", interval=timedelta(hours=1))
        await asyncio.sleep(3.5 * 3600)
        assert len(runs) == 3
        status = await world.client.get_schedule("s")
        assert status.last_failed is True
        assert status.last_instance_id in runs

    simulate(drive)


def test_a_schedule_is_listed_as_such_and_not_among_the_instances() -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        client = world.client
        await client.create_schedule("b", "report", cron="0 3 * * *", time_zone="Europe/Berlin", client_input=1)
        await client.create_schedule("a", "report", interval=timedelta(hours=1), client_input=1)
        assert sorted(s.schedule_id for s in await client.list_schedules()) == ["a", "b"]
        assert await client.get_status_all() == []
        asked = await client.get_status_by(instance_id_prefix=SCHEDULE_PREFIX)
        assert sorted(s.instance_id for s in asked) == [f"{SCHEDULE_PREFIX}a", f"{SCHEDULE_PREFIX}b"]
        await client.delete_schedule("a")
        assert [s.schedule_id for s in await client.list_schedules()] == ["b"]
        with pytest.raises(InstanceNotFoundError):
            await client.get_schedule("a")
        with pytest.raises(InstanceNotFoundError):
            await client.pause_schedule("a")
        await client.create_schedule("a", "report", interval=timedelta(hours=2), client_input=1)
        assert (await client.get_schedule("a")).interval == timedelta(hours=2)

    simulate(drive)


def test_deleting_a_schedule_leaves_its_run_alone() -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        client = world.client
        await client.create_schedule("s", "report", interval=timedelta(hours=1), client_input=30)
        await asyncio.sleep(70 * 60)
        running = (await client.get_schedule("s")).running
        assert running is not None
        await client.delete_schedule("s")
        status = await client.wait_for_completion(running, 3600)
        assert status.runtime_status == "Completed"

    simulate(drive)


def test_runs_missed_while_no_host_was_up_are_queued_up_to_a_bound() -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        client = world.client
        await client.create_schedule("s", "report", interval=MINUTE, client_input=24 * 60, overlap="queue")
        await asyncio.sleep(25 * 3600)
        status = await client.get_schedule("s")
        assert len(status.waiting) == 100 - 1
        assert status.next_due is not None
        assert status.next_due > world.loop.now() - timedelta(hours=2)
        assert len(runs) == 2

    simulate(drive)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"cron": "* * *"}, InvalidInputError),
        ({"cron": "* * * * *", "time_zone": "Nowhere/City"}, InvalidInputError),
        ({"cron": "* * * * *", "interval": MINUTE}, InvalidInputError),
        ({}, InvalidInputError),
        ({"interval": timedelta(0)}, InvalidInputError),
        ({"interval": -MINUTE}, InvalidInputError),
        ({"interval": MINUTE, "overlap": "both"}, InvalidInputError),
        ({"interval": MINUTE, "start_at": datetime(2030, 1, 1)}, InvalidInputError),
        ({"interval": MINUTE, "client_input": "much"}, InvalidInputError),
        ({"interval": MINUTE, "orchestrator": "nobody"}, UnknownOrchestratorError),
        ({"interval": MINUTE, "schedule_id": "a/b"}, InvalidInputError),
        ({"interval": MINUTE, "schedule_id": "x" * 250}, InvalidInputError),
        ({"interval": MINUTE, "schedule_id": "taken"}, InstanceAlreadyExistsError),
    ],
)
def test_a_schedule_that_could_not_work_is_refused_when_it_is_made(
    options: dict[str, Any], error: type[Exception]
) -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        await world.client.create_schedule("taken", "report", interval=MINUTE, client_input=1)
        given: dict[str, Any] = {"schedule_id": "s", "orchestrator": "report", "client_input": 1, **options}
        with pytest.raises(error):
            await world.client.create_schedule(given.pop("schedule_id"), given.pop("orchestrator"), **given)

    simulate(drive)


def test_names_of_the_framework_are_not_for_users() -> None:
    def mine(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.create_timer(MINUTE)

    with pytest.raises(RegistrationError, match="framework"):
        orchestrator(name="durable.mine")(mine)
    assert "durable.schedule" not in Registry().orchestrator_names


def test_a_first_due_time_is_not_before_the_start() -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        start = datetime(world.loop.now().year + 1, 3, 1, 6, 0, tzinfo=UTC)
        client = world.client
        await client.create_schedule("a", "report", client_input=1, start_at=start, cron="0 6 * * *")
        await client.create_schedule("b", "report", client_input=1, start_at=start, interval=timedelta(hours=5))
        for name in ("a", "b"):
            assert (await client.get_schedule(name)).next_due == start

    simulate(drive)
