"""Timers, retries and deadlines that are rows from a minute on: none is lost, none is early, and few are messages."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    orchestrator,
)
from durable_core.errors import ConfigurationError, DurableError
from durable_core.hub.timers import LONG_TIMER, arming_interval
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import run_judged
from .scenarios import Effects, result

SETTINGS = Settings(timer_rows_from=60)
LATE = timedelta(seconds=2)  # of a reminder, without faults


def registry(effects: Effects) -> Registry:
    @activity
    def flaky(ctx: ActivityContext, failures: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        if ctx.attempt <= failures:
            raise ValueError("not yet")
        return ctx.attempt

    @activity
    async def endless(ctx: ActivityContext) -> None:
        await asyncio.sleep(86_400)

    @orchestrator
    def child(ctx: OrchestrationContext, attempt: int) -> Orchestration[int]:
        yield from ctx.create_timer(timedelta(seconds=70))
        return attempt

    @orchestrator
    def waits(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        """A timer and a short one, an attempt after a delay, a child, a timer that is cancelled: all rows but one."""
        began = ctx.current_utc_datetime
        yield from ctx.create_timer(timedelta(minutes=3))
        yield from ctx.create_timer(timedelta(seconds=59))
        retry = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=150), backoff=1.0)
        attempt = yield from ctx.call_activity(flaky, 2, retry=retry)
        inner = yield from ctx.call_sub_orchestrator(child, 7)
        given_up, short = ctx.create_timer(timedelta(minutes=9)), ctx.create_timer(timedelta(seconds=61))
        yield from ctx.task_any([given_up, short])
        given_up.cancel()
        passed = ctx.current_utc_datetime - began
        return [attempt, inner, passed >= timedelta(seconds=180 + 59 + 300 + 70 + 61)]

    @orchestrator
    def sleeps(ctx: OrchestrationContext, seconds: float) -> Orchestration[float]:
        due = ctx.current_utc_datetime + timedelta(seconds=seconds)
        yield from ctx.create_timer(due)
        return (ctx.current_utc_datetime - due).total_seconds()

    @orchestrator
    def overdue(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            yield from ctx.call_activity(endless, schedule_to_close=timedelta(minutes=4), inline=False)
        except DurableError as error:
            return str(error)
        return "ended"

    return Registry().add(flaky, endless, child, waits, sleeps, overdue)


def run(plan: FaultPlan) -> tuple[Any, World]:
    async def drive(world: World) -> Any:
        await world.client.start_new("waits", "w")
        return await result(world, "w")

    effects = Effects()
    world = World(registry(effects), settings=SETTINGS)
    return run_judged(world, effects, drive, plan), world


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_loses_no_timer_and_makes_none_early(fault: Fault, totals: Totals) -> None:
    strike_each(run, fault, [3, 7, True], totals)


@pytest.mark.parametrize("seconds", [1, 59.9, 60, 60.1, 61, 89, 90, 119, 150, 299, 600, 601, 3600])
@pytest.mark.parametrize("rows_from", [60, 75, 120, 240, 299, 600])
def test_a_timer_is_in_time_on_either_side_of_the_limit(seconds: float, rows_from: int) -> None:
    async def drive(world: World) -> float:
        await asyncio.sleep(17)  # rounds of arming are at whole times
        await world.client.start_new("sleeps", "s", seconds)
        return await result(world, "s")

    world = World(registry(Effects()), settings=Settings(timer_rows_from=rows_from))
    assert timedelta(0) <= timedelta(seconds=world.run(drive)) <= LATE


def test_a_deadline_further_away_than_the_limit_still_holds() -> None:
    async def drive(world: World) -> tuple[Any, float]:
        await world.client.start_new("overdue", "o")
        await asyncio.sleep(200)
        assert (await world.client.get_status("o")).output is None
        return await result(world, "o", look_every=1), world.loop.time()

    error, ended = World(registry(Effects()), settings=SETTINGS).run(drive)
    assert "schedule_to_close" in error
    assert 240 <= ended <= 250


async def _messages_while_they_wait(world: World) -> list[int]:
    """How many messages the control queue holds, hidden ones included, in each half minute of the wait."""
    for number in range(60):
        await world.client.start_new("sleeps", f"s{number}", 480)
    await asyncio.sleep(15)
    queue, seen = world.storage.queue("durable-control"), list[int]()
    while not (await world.client.get_status("s59")).is_terminal:
        seen.append(await queue.count())
        await asyncio.sleep(30)
    return seen


def test_waits_are_messages_only_in_their_last_minutes() -> None:
    as_messages = World(registry(Effects()), settings=Settings()).run(_messages_while_they_wait)
    as_rows = World(registry(Effects()), settings=SETTINGS).run(_messages_while_they_wait)
    assert set(as_messages) == {60}
    assert 15 <= len(as_rows) <= 18  # half minutes: nobody waits longer
    assert as_rows.count(0) >= 11
    assert all(count == 0 for count in as_rows[:11])


def test_a_row_costs_two_writes_more_than_a_message_and_a_look_at_each_round() -> None:
    async def drive(world: World) -> dict[str, int]:
        before = world.counted.counts
        for number in range(20):
            await world.client.start_new("sleeps", f"s{number}", 480)
        await asyncio.sleep(600)
        spent = world.counted.counts - before
        return {name: spent[name] for name in ("table.insert", "table.delete", "table.read_range", "queue.send")}

    messages = World(registry(Effects()), settings=Settings(), counting=True).run(drive)
    rows = World(registry(Effects()), settings=SETTINGS, counting=True).run(drive)
    assert rows["table.insert"] == messages["table.insert"] + 20
    assert rows["table.delete"] == messages["table.delete"] + 20
    assert rows["queue.send"] == messages["queue.send"]
    looks = 2 * 600 / 30  # of timers and of delayed signals
    assert rows["table.read_range"] <= messages["table.read_range"] + looks + 2  # one more that finds nothing


@pytest.mark.parametrize(
    ("seconds", "interval"), [(60, 30), (119, 30), (120, 60), (239, 60), (240, 120), (599, 120), (600, None)]
)
def test_rounds_are_at_most_half_the_limit_apart(seconds: int, interval: int | None) -> None:
    assert arming_interval(timedelta(seconds=seconds)) == interval
    assert arming_interval(LONG_TIMER) is None


@pytest.mark.parametrize("seconds", [59.9, 0, -1, 601, float("nan"), float("inf")])
def test_a_limit_out_of_its_range_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="DURABLE_TIMER_ROWS_FROM"):
        Settings(timer_rows_from=seconds)
