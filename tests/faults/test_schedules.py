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
    ScheduleAlreadyExistsError,
    UnknownOrchestratorError,
)
from durable_core.instance_ids import TriggeredRun
from durable_core.models import RuntimeStatus
from durable_core.runtime.schedules.backfill import MOST_RUNS
from durable_core.runtime.schedules.client import state_of
from durable_core.runtime.schedules.orchestrator import SCHEDULE_PREFIX, UPDATE, ScheduleState
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


# ---------------------------------------------------------------- updates


async def _updated(world: World, runs: Counter[str]) -> Any:
    """Every hour, then every 20 minutes, with a run under way at the update."""
    client = world.client
    start = world.loop.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    await client.create_schedule("s", "report", cron="0 * * * *", client_input=30, start_at=start)
    await asyncio.sleep((start - world.loop.now()).total_seconds() + 10 * 60)
    await client.create_schedule(
        "s", "report", interval=20 * MINUTE, client_input=5, start_at=start + 40 * MINUTE, if_exists="update"
    )
    await asyncio.sleep(65 * 60)
    status = await client.get_schedule("s")
    return times(runs) == [f"{start + n * MINUTE:%H:%M}" for n in (0, 40, 60)], status.cron, status.interval


async def _with_more(world: World, runs: Counter[str]) -> Any:
    """With fields that older hosts do not know: jitter and a catch-up window."""
    client = world.client
    start = world.loop.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    await client.create_schedule(
        "s", "report", interval=30 * MINUTE, client_input=1, start_at=start, jitter=10 * MINUTE, catch_up=50 * MINUTE
    )
    await asyncio.sleep((start - world.loop.now()).total_seconds() + 75 * 60)
    status = await client.get_schedule("s")
    found = times(runs) == [f"{start + n * MINUTE:%H:%M}" for n in (0, 30, 60)]
    return found, status.next_due == start + 90 * MINUTE, status.missed


@pytest.mark.parametrize("fault", [None, *Fault])
@pytest.mark.parametrize(
    ("drive", "expected"),
    [(_updated, (True, None, 20 * MINUTE)), (_with_more, (True, True, 0))],
)
def test_a_fault_at_any_storage_operation_loses_no_update_and_no_run(
    drive: Any, expected: Any, fault: Fault | None, totals: Totals
) -> None:
    if fault is None:
        assert simulate(drive)[0] == expected
    else:
        strike_each(lambda plan: simulate(drive, plan), fault, expected, totals, receipts=False, at_most=2)


def test_an_existing_schedule_is_refused_with_what_can_be_done_about_it_left_alone_or_changed() -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        client = world.client
        await client.create_schedule("s", "report", interval=timedelta(hours=1), client_input=1)
        with pytest.raises(ScheduleAlreadyExistsError, match=r"if_exists='update'.*pause_schedule.*delete_schedule"):
            await client.create_schedule("s", "report", interval=timedelta(hours=2), client_input=1)
        await client.create_schedule("s", "report", interval=timedelta(hours=2), client_input=1, if_exists="ignore")
        assert (await client.get_schedule("s")).interval == timedelta(hours=1)
        await client.pause_schedule("s", "mine")
        await asyncio.sleep(1)
        before = await client.get_schedule("s")
        await client.create_schedule("s", "report", interval=timedelta(hours=1), client_input=2, if_exists="update")
        await asyncio.sleep(1)
        changed = await client.get_schedule("s")
        assert (changed.is_paused, changed.pause_reason) == (True, "mine")
        await client.resume_schedule("s")
        await asyncio.sleep(1)
        assert (await client.get_schedule("s")).next_due is not None
        assert before.interval == changed.interval
        with pytest.raises(InvalidInputError, match="if_exists"):
            await client.create_schedule("s", "report", interval=MINUTE, client_input=1, if_exists="replace")  # type: ignore[arg-type]

    simulate(drive)


def test_an_update_that_changes_no_timing_keeps_the_due_time_and_costs_nothing_when_nothing_changes() -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        client = world.client
        await client.create_schedule("s", "report", interval=timedelta(hours=1), client_input=1)
        due = (await client.get_schedule("s")).next_due
        await asyncio.sleep(600)
        await client.create_schedule("s", "report", interval=timedelta(hours=1), client_input=7, if_exists="update")
        await asyncio.sleep(1)
        assert (await client.get_schedule("s")).next_due == due
        seen = (await client.get_status(f"{SCHEDULE_PREFIX}s")).last_updated_time
        await client.create_schedule("s", "report", interval=timedelta(hours=1), client_input=7, if_exists="update")
        await asyncio.sleep(60)
        assert (await client.get_status(f"{SCHEDULE_PREFIX}s")).last_updated_time == seen

    simulate(drive)


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"plan": {}, "due": "2030-01-01T00:00:00+00:00", "from": True},
        {"plan": None, "due": "never", "from": True},
        "orchestrator",
        "cron",
        "every",
        "time_zone",
        "jitter",
        "due",
    ],
)
def test_what_is_no_update_changes_nothing(event: Any) -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        client = world.client
        await client.create_schedule("s", "report", interval=timedelta(hours=1), client_input=1)
        before = await client.get_schedule("s")
        data: Any = event
        if isinstance(event, str):
            plan = state_of(await client.get_status(f"{SCHEDULE_PREFIX}s")).plan
            data = {"plan": plan, "due": "2030-06-01T00:00:00+00:00", "from": True}
            (data if event == "due" else plan)[event] = {"every": 0, "jitter": -1}.get(event, "x/y" * 3)
            if event == "orchestrator":
                plan[event] = 5
        await client.raise_event(f"{SCHEDULE_PREFIX}s", UPDATE, data)
        await asyncio.sleep(60)
        assert await client.get_schedule("s") == before

    simulate(drive)


# ---------------------------------------------------------------- jitter and the catch-up window


def test_jitter_is_the_same_for_a_schedule_and_a_time_and_differs_between_them() -> None:
    def state(name: str, due: str) -> ScheduleState:
        return ScheduleState(
            schedule_id=name, orchestrator="report", overlap="skip", due=due, every=3600.0, jitter=600.0
        )

    due = [datetime(2030, 1, 1, hour, tzinfo=UTC) for hour in range(20)]
    delays = {(name, at): state(name, at.isoformat()).next_start - at for name in "ab" for at in due}
    again = {(name, at): state(name, at.isoformat()).next_start - at for name in "ab" for at in due}
    assert delays == again
    assert len(set(delays.values())) == len(delays)
    assert all(timedelta(0) <= delay < timedelta(seconds=600) for delay in delays.values())
    # fixed for ever: a host of another version must not start a run at another time
    assert state("nightly", "2030-01-01T00:00:00+00:00").next_start == datetime(
        2030, 1, 1, 0, 9, 49, 136160, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("catch_up", "expected", "missed"),
    [(None, 7, 0), (timedelta(minutes=150), 3, 4), (timedelta(seconds=10), 0, 7)],
)
def test_due_times_further_back_than_the_window_are_dropped_and_counted(
    catch_up: timedelta | None, expected: int, missed: int
) -> None:
    now = datetime(2030, 1, 1, 12, 30, tzinfo=UTC)
    state = ScheduleState(
        schedule_id="s",
        orchestrator="report",
        overlap="queue",
        due="2030-01-01T06:00:00+00:00",
        every=3600.0,
        catch_up=None if catch_up is None else catch_up.total_seconds(),
    )
    state.catch_up_with(now, ran=False)
    assert (len(state.waiting), state.missed, state.next_due) == (
        expected,
        missed,
        datetime(2030, 1, 1, 13, tzinfo=UTC),
    )


def test_a_run_that_is_delayed_by_jitter_is_not_dropped_because_the_one_before_it_was_long() -> None:
    state = ScheduleState(
        schedule_id="s", orchestrator="r", overlap="skip", due="2030-01-01T06:00:00+00:00", every=3600.0, jitter=3000.0
    )
    state.catch_up_with(state.next_start - timedelta(seconds=1), ran=True)
    assert state.due == "2030-01-01T06:00:00+00:00"
    state.catch_up_with(state.next_start, ran=True)
    assert state.due == "2030-01-01T07:00:00+00:00"


@pytest.mark.parametrize(
    "options",
    [
        {"jitter": timedelta(hours=1)},
        {"jitter": -MINUTE},
        {"jitter": 5},
        {"catch_up": timedelta(seconds=9)},
        {"catch_up": "1h"},
    ],
)
def test_a_jitter_or_a_window_that_cannot_work_is_refused(options: dict[str, Any]) -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        with pytest.raises(InvalidInputError, match=next(iter(options))):
            await world.client.create_schedule("s", "report", interval=timedelta(hours=1), client_input=1, **options)

    simulate(drive)


def test_a_schedule_with_newer_fields_is_left_alone_by_hosts_that_do_not_know_them() -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        client = world.client
        await client.create_schedule("plain", "report", interval=timedelta(hours=1), client_input=1)
        await client.create_schedule(
            "more", "report", interval=timedelta(hours=1), client_input=1, catch_up=timedelta(hours=2)
        )
        versions = [(await client.get_status(f"{SCHEDULE_PREFIX}{name}")).version for name in ("plain", "more")]
        assert versions == ["", "2"]
        await client.create_schedule(
            "plain", "report", interval=timedelta(hours=1), client_input=1, jitter=MINUTE, if_exists="update"
        )
        await client.create_schedule("more", "report", interval=timedelta(hours=1), client_input=1, if_exists="update")
        await asyncio.sleep(60)
        versions = [(await client.get_status(f"{SCHEDULE_PREFIX}{name}")).version for name in ("plain", "more")]
        assert versions == ["2", ""]
        # what an older client reads holds no field that it does not know
        shown = (await client.get_status(f"{SCHEDULE_PREFIX}plain")).custom_status
        assert not {"jitter", "catch_up", "declared", "missed"} & shown.keys()

    simulate(drive)


# ---------------------------------------------------------------- backfill


async def _backfilled(world: World, runs: Counter[str]) -> Any:
    """A day of hourly runs, of which three ran already, twice at once."""
    client = world.client
    start = world.loop.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    await client.create_schedule("s", "report", interval=timedelta(hours=1), client_input=1, start_at=start)
    await asyncio.sleep((start - world.loop.now()).total_seconds() + 2.5 * 3600)
    await client.pause_schedule("s")
    await asyncio.sleep(4 * 3600)
    both = [
        await client.backfill_schedule("s", start - timedelta(hours=3), start + timedelta(days=9), max_concurrency=n)
        for n in (1, 3)
    ]
    done = [(await client.wait_for_completion(each, 24 * 3600)).output for each in both]
    assert times(runs) == sorted(f"{start + timedelta(hours=n):%H:%M}" for n in range(-3, 7))
    return [sum(each[name] for each in done) for name in ("started", "failed")]


@pytest.mark.parametrize("fault", [None, *Fault])
def test_each_run_of_a_past_period_is_started_once(fault: Fault | None, totals: Totals) -> None:
    if fault is None:
        assert simulate(_backfilled)[0] == [7, 0]
    else:
        strike_each(lambda plan: simulate(_backfilled, plan), fault, [7, 0], totals, receipts=False, at_most=2)


@pytest.mark.parametrize("timing", [{"cron": "0 * * * *"}, {"interval": timedelta(hours=1)}])
def test_a_backfill_with_too_many_runs_is_refused_and_the_place_to_split_it_is_said(timing: dict[str, Any]) -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        client = world.client
        now = world.loop.now().replace(minute=0, second=0, microsecond=0)
        await client.create_schedule("s", "report", client_input=1, start_at=now + timedelta(hours=1), **timing)
        first = now - timedelta(hours=MOST_RUNS)
        last = now - timedelta(hours=1)
        for begin in (first, first - timedelta(minutes=59)):  # both ends are of the period
            found = await client.preview_backfill("s", begin, last)
            assert (found.runs, found.is_complete, found.first, found.last) == (MOST_RUNS, True, first, last)
        found = await client.preview_backfill("s", first - timedelta(hours=1), last)
        cut = last - timedelta(hours=1)
        assert (found.runs, found.is_complete, found.last) == (MOST_RUNS, False, cut)
        for begin in (first - timedelta(hours=1), datetime(1900, 1, 1, tzinfo=UTC)):
            with pytest.raises(InvalidInputError, match="more than 10,000 due times") as refused:
                await client.backfill_schedule("s", begin, last)
            known = await client.preview_backfill("s", begin, last)
            assert f"until {known.last}; split the period there; nothing was started" in str(refused.value)
        with pytest.raises(InvalidInputError, match="begins in 1900 or later"):
            await client.preview_backfill("s", datetime(1, 1, 1, tzinfo=UTC), last)
        nothing = await client.preview_backfill("s", last + timedelta(minutes=1), last + timedelta(minutes=2))
        assert (nothing.runs, nothing.is_complete, nothing.first, nothing.last) == (0, True, None, None)
        listed = await client.list_instances(instance_id_prefix="durable.schedule.backfill")
        assert listed.instances == []

    simulate(drive)


def test_a_backfill_goes_on_through_failures_and_many_generations_and_can_be_cancelled() -> None:
    async def drive(world: World, runs: Counter[str]) -> None:
        client = world.client
        now = world.loop.now()
        await client.create_schedule("s", "broken", cron="* * * * *")
        await client.pause_schedule("s")
        await asyncio.sleep(1)
        begun = await client.backfill_schedule("s", now - timedelta(minutes=250), now, max_concurrency=10)
        assert (await client.wait_for_completion(begun, 24 * 3600)).output == {
            "started": 250 + (now.second == 0 == now.microsecond),
            "failed": 250 + (now.second == 0 == now.microsecond),
            "alreadyThere": 0,
        }
        nothing = await client.backfill_schedule("s", now + timedelta(days=1), now + timedelta(days=2))
        assert (await client.wait_for_completion(nothing, 3600)).output["started"] == 0
        turned = {"end": now - timedelta(days=1)}  # the two were exchanged
        for wrong in ({"max_concurrency": 0}, {"start": datetime(2030, 1, 1)}, {"end": None}, turned):
            with pytest.raises(InvalidInputError):
                await client.backfill_schedule(**{"schedule_id": "s", "start": now, "end": now, **wrong})  # type: ignore[arg-type]
        with pytest.raises(InstanceNotFoundError, match="there is no schedule 'nobody'"):
            await client.backfill_schedule("nobody", now, now)

    simulate(drive)
