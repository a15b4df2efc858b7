"""Clocks that differ, clocks that step back, timers of years, many timers at once, and changes of daylight saving."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, RetryPolicy, activity, orchestrator
from durable_core.errors import InvalidInputError
from durable_core.models import OrchestrationStatus, RuntimeStatus
from durable_core.runtime.schedules.cron import parse_cron
from durable_core.settings import Settings
from durable_core.testing.faults import FaultPlan
from durable_core.testing.simulation import HostShape, World
from tests.support.worlds import stop_all_hosts

from .oracle import check_history, come_to_rest

MANY = 1000 if "DURABLE_SOAK" in os.environ else 200
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@activity
def add(pair: list[int]) -> int:
    return sum(pair)


@orchestrator
def ticks(ctx: OrchestrationContext, seconds: list[float]) -> Orchestration[list[float]]:
    """The time that it saw pass over each of these timers, one after the other."""
    seen: list[float] = []
    for wait in seconds:
        began = ctx.current_utc_datetime
        yield ctx.create_timer(timedelta(seconds=wait))
        seen.append((ctx.current_utc_datetime - began).total_seconds())
        yield ctx.call_activity(add, [1, 2], inline=False)
    return seen


@orchestrator
def at_once(ctx: OrchestrationContext, how_many: list[float]) -> Orchestration[int]:
    """Many timers that are due at the same moment."""
    count, seconds = how_many
    due = ctx.current_utc_datetime + timedelta(seconds=seconds)
    timers = yield from ctx.task_all([ctx.create_timer(due) for _ in range(int(count))])
    return len(timers)


@orchestrator
def report(ctx: OrchestrationContext) -> Orchestration[None]:
    yield ctx.call_activity(add, [1, 1])


REGISTRY = Registry().add(add, ticks, at_once, report)


def check_times(status: OrchestrationStatus) -> None:
    """No timer fired before its time, by the clocks that wrote the history, and history's time never goes back."""
    due: dict[Any, datetime] = {}
    last: datetime | None = None
    assert status.history_events is not None
    check_history(status.history_events)
    for event in status.history_events:
        at = datetime.fromisoformat(str(event["Timestamp"]))
        assert last is None or at >= last, "history's time goes back"
        last = at
        if event["EventType"] == "TimerCreated":
            due[event["TaskId"]] = datetime.fromisoformat(str(event["FireAt"]))
        elif event["EventType"] == "TimerFired":
            assert at >= due[event["TaskId"]], "a timer fired before its time"


async def all_ended(world: World, names: list[str]) -> list[OrchestrationStatus]:
    await come_to_rest(world)
    found = [await world.client.get_status(name, show_history=True) for name in names]
    for status in found:
        check_times(status)
    return found


@pytest.mark.parametrize("cache", [0, Settings().warm_cache], ids=["cold", "warm"])
def test_hosts_whose_clocks_are_minutes_apart_fire_every_timer_once_and_none_early(cache: int) -> None:
    skews = [0.0, 300.0, -300.0, 120.0]
    world = World(
        REGISTRY,
        hosts=len(skews),
        settings=Settings(warm_cache=cache),
        shape=lambda number: HostShape(FaultPlan(), ahead=skews[number % len(skews)]),
    )
    names = [f"t{n}" for n in range(40)]

    async def drive(world: World) -> None:
        for n, name in enumerate(names):
            await world.client.start_new("ticks", name, [1.0 + n, 30.0, 700.0])
        for n, status in enumerate(await all_ended(world, names)):
            assert [seen >= wait for seen, wait in zip(status.output, [1.0 + n, 30.0, 700.0], strict=True)] == [
                True
            ] * 3

    world.run(drive)
    assert not world.errors, world.errors
    assert not world.failures, world.failures


@pytest.mark.parametrize("step", [-600.0, -3600.0, 900.0])
def test_a_clock_that_is_set_while_timers_run_neither_loses_nor_repeats_one(step: float) -> None:
    world = World(REGISTRY, hosts=2)
    names = [f"t{n}" for n in range(20)]

    async def drive(world: World) -> None:
        for n, name in enumerate(names):
            await world.client.start_new("ticks", name, [20.0 + n, 60.0, 900.0])
        for host in (*world.hosts, *world.hosts):
            await asyncio.sleep(25)
            host.clock.seconds += step
        await all_ended(world, names)

    world.run(drive)
    assert not world.errors, world.errors
    assert not world.failures, world.failures


@pytest.mark.parametrize("days", [8, 15, 400])
def test_a_timer_of_days_and_of_years_fires_when_it_is_due(days: int) -> None:
    """Longer than a message may hide or live. Hosts come and go meanwhile."""
    world = World(REGISTRY)

    async def drive(world: World) -> None:
        wait = (days * DAY).total_seconds()
        await world.client.start_new("ticks", "one", [wait])
        await asyncio.sleep(7.5 * 24 * 3600)
        await stop_all_hosts(world)  # nobody is there for most of the time
        await asyncio.sleep(max(world.loop.time(), wait - 3600.0) - world.loop.time())
        assert not (await world.client.get_status("one")).is_terminal
        world.add_host()
        await asyncio.sleep(max(wait - 60.0 - world.loop.time(), 0.0))
        assert not (await world.client.get_status("one")).is_terminal
        (status,) = await all_ended(world, ["one"])
        assert wait <= status.output[0] < wait + 60, status.output

    world.run(drive)
    assert not world.errors, world.errors


@pytest.mark.parametrize("seconds", [60.0, 7200.0], ids=["in a minute", "in two hours"])
def test_many_timers_that_are_due_at_once_all_fire_once(seconds: float) -> None:
    """Half of them of one instance, and one each of as many (two thousand in all with ``DURABLE_SOAK``)."""
    world = World(REGISTRY, hosts=2, counting=True)
    names = [f"t{n}" for n in range(MANY)]

    async def drive(world: World) -> None:
        await world.client.start_new("at_once", "many", [MANY, seconds])
        for name in names:
            await world.client.start_new("at_once", name, [1, seconds])
        many, *_ = await all_ended(world, ["many", *names])
        assert many.output == MANY
        fired = [event for event in many.history_events or [] if event["EventType"] == "TimerFired"]
        assert len({event["TaskId"] for event in fired}) == len(fired) == MANY

    world.run(drive)
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    assert world.counted.counts.total < 2 * MANY * 20, world.counted.counts


# ---------------------------------------------------------------- daylight saving

CHANGES = {  # local days in 2030 on which the clocks are set forward, and back
    "Europe/Berlin": ("2030-03-31", "2030-10-27"),
    "America/New_York": ("2030-03-10", "2030-11-03"),
    "America/St_Johns": ("2030-03-10", "2030-11-03"),
    "Australia/Adelaide": ("2030-10-06", "2030-04-07"),
    "Australia/Lord_Howe": ("2030-10-06", "2030-04-07"),  # by half an hour
    "Pacific/Chatham": ("2030-09-29", "2030-04-07"),
    "Atlantic/Azores": ("2030-03-31", "2030-10-27"),  # at midnight
    "Asia/Kolkata": ("2030-03-31", "2030-10-27"),  # never
}
ZONES = [(zone, day) for zone, days in CHANGES.items() for day in days]


def dues(expression: str, zone: str, first: datetime, last: datetime) -> list[datetime]:
    cron, found = parse_cron(expression, zone), [first]
    while found[-1] <= last:
        found.append(cron.next_after(found[-1]))
    return found[1:-1]


@pytest.mark.parametrize(("zone", "day"), ZONES)
def test_a_time_of_the_day_is_due_once_on_every_day(zone: str, day: str) -> None:
    """Also on that on which it is skipped, right after the gap, and on that on which it comes twice."""
    local = ZoneInfo(zone)
    begin = (datetime.fromisoformat(day) - 2 * DAY).replace(tzinfo=local)
    end = (datetime.fromisoformat(day) + 3 * DAY).replace(tzinfo=local)
    for minutes in range(0, 4 * 60, 15):
        hour, minute = divmod(minutes, 60)
        found = dues(f"{minute} {hour} * * *", zone, begin.astimezone(UTC) - MINUTE, end.astimezone(UTC) - MINUTE)
        walls = [due.astimezone(local) for due in found]
        assert [wall.day for wall in walls] == [(begin + n * DAY).day for n in range(5)], (hour, minute, walls)
        for wall in walls:
            asked = wall.replace(hour=hour, minute=minute, fold=0)
            if asked == asked.astimezone(UTC).astimezone(local):
                assert (wall.hour, wall.minute, wall.fold) == (hour, minute, 0)
            else:
                before = (wall.astimezone(UTC) - MINUTE).astimezone(local)
                assert before.utcoffset() != wall.utcoffset(), f"{wall} is not right after the gap"


@pytest.mark.parametrize(("zone", "day"), ZONES)
@pytest.mark.parametrize("expression", ["*/15 * * * *", "0,15,30,45 * * * *"])
def test_what_is_due_every_quarter_of_an_hour_stays_so_over_a_change_of_clocks(
    zone: str, day: str, expression: str
) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=UTC) - DAY
    found = dues(expression, zone, start, start + 3 * DAY)
    assert {later - earlier for earlier, later in pairwise(found)} == {15 * MINUTE}
    assert len(found) in (3 * 96 - 1, 3 * 96)


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", "2030-03-31", ["03-30 01:30", "03-31 01:00", "04-01 00:30"]),
        ("Europe/Berlin", "2030-10-27", ["10-26 00:30", "10-27 00:30", "10-28 01:30"]),
        ("Australia/Lord_Howe", "2030-10-06", ["10-04 15:45", "10-05 15:30", "10-06 15:15"]),
        ("Australia/Lord_Howe", "2030-04-07", ["04-05 14:45", "04-06 14:45", "04-07 15:15"]),
    ],
)
def test_a_schedule_runs_once_a_day_over_a_change_of_clocks(zone: str, day: str, expected: list[str]) -> None:
    """Berlin at half past two, Lord Howe at a quarter past two (or to two, when that comes twice)."""
    world = World(REGISTRY, hosts=0)
    cron = "30 2 * * *" if zone == "Europe/Berlin" else "15 2 * * *" if day == "2030-10-06" else "45 1 * * *"

    async def drive(world: World) -> list[str]:
        begin = (datetime.fromisoformat(day) - DAY).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        await asyncio.sleep((begin - world.loop.now()).total_seconds())
        world.add_host()
        await world.client.create_schedule("daily", "report", cron=cron, time_zone=zone)
        await asyncio.sleep((3 * DAY).total_seconds() - 60)
        runs = [run for run in await world.client.get_status_all() if run.name == "report"]
        await world.client.delete_schedule("daily")
        return sorted(run.created_time.strftime("%m-%d %H:%M") for run in runs if run.created_time is not None)

    assert world.run(drive) == expected
    assert not world.errors, world.errors


# ---------------------------------------------------------------- very long

LONG: list[timedelta | datetime] = [
    timedelta.max,
    timedelta(days=365 * 3000, microseconds=1),
    datetime.max.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    datetime(2300, 1, 1, 0, 0, 0, 123457, UTC),
]


@activity
def refuses(number: int) -> int:
    raise ValueError(number)


@orchestrator
def short(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(add, [number, 1], inline=False))


@orchestrator
def unlimited(ctx: OrchestrationContext, given: list[Any]) -> Orchestration[Any]:
    """Every limit there is, each of which says "none" with the longest time that there is."""
    what = str(given[0])
    far: timedelta | datetime = timedelta.max if given[1] is None else LONG[int(given[1])]
    patient = RetryPolicy(max_attempts=2, first_interval=timedelta.max, max_interval=timedelta.max)
    match what, far:
        case "timer", _:
            yield from ctx.create_timer(far)
        case "event", timedelta():
            return (yield from ctx.wait_for_external_event("go", timeout=far))
        case "condition", timedelta():
            yield from ctx.wait_condition(lambda: False, far)
        case "callback", timedelta():
            yield from ctx.callback("paid", timeout=far).task
        case "call", timedelta():
            return (yield from ctx.call_activity(add, [1, 2], timeout=far, schedule_to_close=far, inline=False))
        case "child", timedelta():
            return (yield from ctx.call_sub_orchestrator(short, 2, timeout=far))
        case "retry", _:
            yield from ctx.call_activity(refuses, 1, retry=patient)
        case "step", _:
            yield from ctx.run("step", refuses, 1, retry=patient)
        case _:
            return "not asked"


LIMITS = Registry().add(unlimited, short, add, refuses)
WAITING: list[tuple[str, int | None]] = [
    *(("timer", at) for at in range(len(LONG))),
    *((what, at) for what in ("event", "condition", "callback") for at in (0, 1)),
    ("retry", None),
    ("step", None),
]


@pytest.mark.parametrize("given", WAITING, ids=str)
def test_who_waits_for_thousands_of_years_takes_what_is_sent_to_it(given: tuple[str, int | None]) -> None:
    async def drive(world: World) -> None:
        client = world.client
        for name in ("ended", "told"):
            await client.start_new("unlimited", name, list(given))
        await asyncio.sleep(1200)
        await client.recover()  # they are replayed, from what is stored
        for name in ("ended", "told"):
            status = await client.get_status(name, show_history=True)
            assert (status.runtime_status, status.stuck_reason) == (RuntimeStatus.RUNNING, None)
            await client.suspend(name)
            await client.resume(name)
        await client.raise_event("told", "go", 7)
        await client.terminate("ended", "enough")
        ended = await client.wait_for_completion("ended", 60)
        assert (ended.runtime_status, ended.output) == (RuntimeStatus.TERMINATED, "enough")
        await asyncio.sleep(60)
        told = await client.get_status("told", show_history=True)
        assert told.stuck_reason is None
        assert told.output == (7 if given[0] == "event" else None)
        assert not world.errors, world.errors

    World(LIMITS).run(drive)


@pytest.mark.parametrize("at", [0, 1], ids=["the longest time", "3000 years"])
@pytest.mark.parametrize("what", ["call", "child"])
def test_a_limit_of_thousands_of_years_is_none(what: str, at: int) -> None:
    async def drive(world: World) -> object:
        await world.client.start_new("unlimited", "one", [what, at], timeout=timedelta.max)
        done = await world.client.wait_for_completion("one", 3600)
        return done.runtime_status, done.output

    assert World(LIMITS).run(drive) == (RuntimeStatus.COMPLETED, 3)


def test_a_start_in_thousands_of_years_waits_and_can_be_ended() -> None:
    async def drive(world: World) -> None:
        client = world.client
        for number, start_at in enumerate(at for at in LONG if isinstance(at, datetime)):
            name = f"late{number}"
            await client.start_new("short", name, 1, start_at=start_at, timeout=timedelta.max)
            await asyncio.sleep(1200)
            assert (await client.get_status(name)).runtime_status is RuntimeStatus.PENDING
            await client.terminate(name)
            assert (await client.wait_for_completion(name, 60)).runtime_status is RuntimeStatus.TERMINATED

    World(LIMITS).run(drive)


@pytest.mark.parametrize("options", [{"interval": timedelta.max}, {"cron": "0 0 * * *", "start_at": LONG[2]}], ids=str)
def test_a_schedule_whose_first_run_has_no_date_is_refused(options: Any) -> None:
    async def drive(world: World) -> None:
        with pytest.raises(InvalidInputError, match="in the year 9999, or later"):
            await world.client.create_schedule("s", "short", client_input=1, **options)
        assert await world.client.list_schedules() == []

    World(LIMITS).run(drive)
