"""The timeline shows each call with its times and attempts, what is under way, and what came from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from durable_core import (
    ActivityContext,
    EntityId,
    EntityOperationFailedError,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    SubOrchestrationFailedError,
    activity,
    entity,
    orchestrator,
)
from durable_core.errors import InstanceNotFoundError
from durable_core.models import JSON
from durable_core.operate.timeline import Timeline, TimelineRow
from durable_core.testing.simulation import World
from tests.histories import features

SECOND = timedelta(seconds=1)
MINUTELY = RetryPolicy(max_attempts=8, first_interval=timedelta(seconds=60), backoff=1.0)
T = TypeVar("T")


@activity
async def slow(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@activity(max_concurrency=1)
async def one_by_one(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@activity
async def reports(ctx: ActivityContext, seconds: float) -> float:
    ctx.heartbeat("half")
    await asyncio.sleep(seconds)
    return seconds


@activity
async def unlucky(ctx: ActivityContext, at: int) -> int:
    await asyncio.sleep(0.25)
    if ctx.attempt < at:
        raise LookupError(f"no luck {ctx.attempt}")
    return ctx.attempt


@orchestrator
def chain(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(slow, 1.5)
    yield from ctx.call_activity(unlucky, 3, retry=MINUTELY)


@orchestrator
def crowd(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.task_all([ctx.call_activity(one_by_one, 2.0) for _ in range(3)])


@orchestrator
def busy(ctx: OrchestrationContext) -> Orchestration[None]:
    """Something of every kind at once, most of it open."""
    ctx.start_orchestration(chain, None, "detached")
    ctx.send_event("listener", "hello", 1)
    timer = ctx.create_timer(timedelta(hours=1))
    cancelled = ctx.create_timer(timedelta(hours=2))
    cancelled.cancel()
    yield from ctx.task_any([ctx.wait_for_external_event("go"), timer])
    yield from ctx.task_all(
        [
            ctx.call_activity(reports, 100.0),
            ctx.call_activity(slow, 100.0),
            ctx.call_activity(unlucky, 8, retry=MINUTELY),
            ctx.call_sub_orchestrator(chain),
            ctx.run("fails", _fail, retry=MINUTELY),
        ]
    )


def _fail() -> None:
    raise LookupError("no step")


@orchestrator
def keeps(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.run("kept", _keep)


@orchestrator
def parent(ctx: OrchestrationContext) -> Orchestration[None]:
    try:
        yield from ctx.call_sub_orchestrator(fails, None, "given", retry=RetryPolicy(max_attempts=2))
    except SubOrchestrationFailedError:
        ctx.continue_as_new(None)


@orchestrator
def fails(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.create_timer(SECOND)
    raise LookupError("no child")


@entity
class Safe:
    gold: int = 0

    def put(self, gold: int) -> int:
        self.gold += gold
        return self.gold

    def rob(self) -> None:
        raise PermissionError("no")


@orchestrator
def guards(ctx: OrchestrationContext, minutes: int) -> Orchestration[None]:
    one, two = EntityId("safe", "one"), EntityId("safe", "two")
    with (yield from ctx.lock(two, one)):
        yield from ctx.call_entity(one, Safe.put, 5)
        try:
            yield from ctx.call_entity(one, Safe.rob)
        except EntityOperationFailedError:
            ctx.signal_entity(EntityId("safe", "three"), Safe.put, 1)
        yield from ctx.create_timer(timedelta(minutes=minutes))


REGISTRY = Registry().add(slow, one_by_one, reports, unlucky, chain, crowd, busy, keeps, parent, fails, Safe, guards)


def seen(scenario: Callable[[World], Awaitable[T]], registry: Registry = REGISTRY) -> T:
    world = World(registry)
    result = world.run(scenario)
    assert not world.errors
    return result


def by_task(timeline: Timeline) -> dict[int, TimelineRow]:
    return {row.task_id: row for row in timeline.rows if row.task_id is not None}


def test_run_time_queue_time_and_back_off_are_told_apart() -> None:
    async def scenario(world: World) -> Timeline:
        await world.client.start_new(chain, "one")
        await world.client.wait_for_completion("one", 1000)
        return await world.client.timeline("one")

    shown = seen(scenario)
    first, second = shown.rows
    assert (first.kind, first.name, first.status) == ("activity", "slow", "Completed")
    assert (first.queue_ms, first.run_ms, first.attempts) == (0, 1500, ())
    assert first.scheduled == shown.created
    assert first.ended == first.started + 1.5 * SECOND  # type: ignore[operator]
    assert first.line.startswith("unit/test_timeline.py:") or first.line.startswith("test_timeline.py:")
    assert second.scheduled == first.ended
    assert [(attempt.number, attempt.ms, attempt.message) for attempt in second.attempts] == [
        (1, 250, "no luck 1"),
        (2, 250, "no luck 2"),
        (3, 250, ""),
    ]
    starts = [attempt.started - second.scheduled.timestamp() for attempt in second.attempts]  # type: ignore[operator, union-attr]
    assert starts == pytest.approx([0, 60.25, 120.5], abs=0.01)  # pyright: ignore[reportUnknownMemberType]
    assert (second.run_ms, second.ended) == (250, shown.ended)


def test_who_waits_for_a_place_waits_in_the_queue() -> None:
    async def scenario(world: World) -> Timeline:
        await world.client.start_new(crowd, "one")
        await world.client.wait_for_completion("one", 1000)
        return await world.client.timeline("one")

    rows = seen(scenario).rows
    assert sorted((row.queue_ms, row.run_ms) for row in rows) == [(0, 2000), (2000, 2000), (4000, 2000)]
    assert len({row.host for row in rows}) == 1


def test_what_is_under_way_is_shown_as_it_is() -> None:
    async def scenario(world: World) -> Timeline:
        await world.client.start_new(busy, "one")
        await asyncio.sleep(5)
        await world.client.suspend("one")
        await world.client.resume("one")
        await asyncio.sleep(5)
        await world.client.raise_event("one", "go")
        await asyncio.sleep(90)
        return await world.client.timeline("one")

    shown = seen(scenario)
    assert shown.ended is None
    outside = [(row.kind, row.name, row.status) for row in shown.rows if row.task_id is None]
    assert outside == [
        ("request", "suspend", "Completed"),
        ("request", "resume", "Completed"),
        ("event", "go", "Completed"),
    ]
    rows = by_task(shown)
    kinds = {number: (row.kind, row.name, row.status) for number, row in rows.items()}
    assert kinds == {
        1: ("detached", "chain", "Completed"),
        2: ("event", "hello", "Completed"),
        3: ("timer", "", "Waiting"),
        4: ("timer", "", "Canceled"),
        5: ("activity", "reports", "Running"),
        6: ("activity", "slow", "Scheduled"),
        7: ("activity", "unlucky", "Retrying"),
        8: ("child", "chain", "Running"),
        9: ("step", "fails", "Retrying"),
    }
    assert rows[1].instance_id == "detached"
    assert rows[2].instance_id == "listener"
    assert rows[3].due == shown.created + timedelta(hours=1)
    assert rows[5].host
    assert rows[5].started is not None
    assert rows[5].queue_ms is not None
    assert rows[6].started is None
    assert [attempt.number for attempt in rows[7].attempts] == [1, 2]
    assert rows[7].next_attempt is not None
    assert rows[7].next_attempt > shown.now
    assert rows[8].instance_id.startswith("one:")
    assert [attempt.message for attempt in rows[9].attempts] == ["no step", "no step"]
    assert not rows[9].ended
    assert "test_timeline.py:" in rows[9].line


def test_what_the_code_waits_for_is_shown_before_it_has_come() -> None:
    async def scenario(world: World) -> tuple[Timeline, Timeline]:
        await world.client.start_new(busy, "one")
        await world.client.start_new(keeps, "two")
        await asyncio.sleep(5)
        return await world.client.timeline("one"), await world.client.timeline("two")

    one, two = seen(scenario)
    waits = one.rows[-1]
    assert (waits.kind, waits.name, waits.status, waits.task_id) == ("event", "go", "Waiting", None)
    assert "test_timeline.py:" in waits.line
    assert waits.scheduled is not None
    assert [(row.kind, row.name, row.status, row.task_id) for row in two.rows] == [("step", "kept", "Running", 1)]


async def _keep() -> None:
    await asyncio.sleep(20)


def test_a_child_has_the_id_of_its_last_attempt_and_an_earlier_generation_a_line_of_its_own() -> None:
    async def scenario(world: World) -> tuple[Timeline, Timeline]:
        await world.client.start_new(parent, "one")
        await asyncio.sleep(1.5)
        first = await world.client.timeline("one")
        await asyncio.sleep(2.5)
        later = await world.client.timeline("one")
        return first, later

    first, later = seen(scenario)
    assert (first.generations, first.rows[0].instance_id, first.rows[0].status) == ((), "given.2", "Retrying")
    [past] = later.generations
    assert (past.number, past.started, past.events) == (0, first.created, 4)
    assert later.rows[0].instance_id == "given"


def test_calls_signals_and_locks_of_entities_have_rows() -> None:
    async def scenario(world: World) -> tuple[Timeline, Timeline]:
        for instance_id in ("one", "two"):
            await world.client.start_new(guards, instance_id, 9)
            await asyncio.sleep(30)
        shown = await world.client.timeline("one"), await world.client.timeline("two")
        await asyncio.sleep(2000)
        return shown

    holder, waiter = seen(scenario)
    assert [(row.kind, row.name, row.status) for row in holder.rows] == [
        ("lock", "@safe@one, @safe@two", "Completed"),
        ("entity", "@safe@one put", "Completed"),
        ("entity", "@safe@one rob", "Failed"),
        ("signal", "@safe@three put", "Completed"),
        ("timer", "", "Waiting"),
    ]
    failure = holder.rows[2].failure
    assert failure is not None and failure.message == "no"
    assert all("test_timeline.py:" in row.line for row in holder.rows)
    assert [(row.kind, row.status) for row in waiter.rows] == [("lock", "Waiting")]


def test_what_was_open_at_the_end_is_canceled() -> None:
    async def scenario(world: World) -> Timeline:
        await world.client.start_new(busy, "one")
        await world.client.raise_event("one", "go")
        await asyncio.sleep(50)
        await world.client.terminate("one", "enough")
        await asyncio.sleep(50)
        return await world.client.timeline("one")

    shown = seen(scenario)
    assert shown.ended is not None
    assert {row.task_id for row in shown.rows if row.status == "Canceled"} == {3, 4, 5, 6, 7, 8}
    assert (shown.rows[-1].kind, shown.rows[-1].name) == ("request", "terminate")
    assert not any(row.status in ("Running", "Retrying", "Scheduled", "Waiting") for row in shown.rows)


def test_a_failed_step_and_a_request_to_a_child_are_shown() -> None:
    async def scenario(world: World) -> tuple[Timeline, Timeline]:
        await world.client.start_new("retried", "one", 2)
        await world.client.start_new("tidy", "two")
        await world.client.raise_event("two", "first")
        await asyncio.sleep(60)
        await world.client.cancel("two", recursive=True)
        await asyncio.sleep(60)
        return await world.client.timeline("one"), await world.client.timeline("two")

    one, two = seen(scenario, Registry.scan(features))
    step = by_task(one)[3]
    assert (step.kind, step.name, step.status, len(step.attempts)) == ("step", "fail", "Failed", 2)
    assert step.failure is not None
    assert step.failure.message == "no tea"
    assert step.started is not None
    child = by_task(one)[2]
    assert (child.kind, child.status, child.instance_id[-2:]) == ("child", "Completed", ".2")
    names = [(row.kind, row.name) for row in two.rows if row.kind == "request"]
    assert names == [("request", "cancel"), ("request", "cancel")]


def test_the_json_has_what_has_a_value_and_times_in_utc() -> None:
    async def scenario(world: World) -> dict[str, JSON]:
        await world.client.start_new(chain, "one")
        await world.client.wait_for_completion("one", 1000)
        return (await world.client.timeline("one")).to_json()

    shown: dict[str, Any] = seen(scenario)
    assert shown.keys() == {
        "instanceId", "name", "runtimeStatus", "createdTime", "endedTime", "now", "rows", "generations",
    }  # fmt: skip
    first, second = shown["rows"]
    assert first.keys() == {
        "taskId", "kind", "name", "line", "status", "scheduledTime", "startedTime", "endedTime", "queueMs", "runMs",
        "host",
    }  # fmt: skip
    assert first["scheduledTime"] == "2030-01-01T00:00:00.000000Z"
    assert second["attempts"][0].keys() == {"number", "startedTime", "ms", "host", "errorType", "message"}
    assert second["attempts"][2].keys() == {"number", "startedTime", "ms", "host"}


def test_no_instance_has_no_timeline() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(InstanceNotFoundError):
            await world.client.timeline("nobody")

    seen(scenario)
