"""What an activity's options promise, through the real runtime in virtual time: warm, cold, and on two hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    ActivityFailedError,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    TaskCancelledError,
    TaskTimeoutError,
    activity,
    orchestrator,
)
from durable_core.settings import Settings
from durable_core.testing.simulation import World

SECOND = timedelta(seconds=1)


@pytest.fixture(params=[(1, True), (1, False), (2, True)], ids=["warm", "cold", "two hosts"])
def make_world(request: pytest.FixtureRequest) -> Callable[[Registry], World]:
    hosts, is_warm = request.param

    def make(registry: Registry) -> World:
        return World(registry, hosts=hosts, settings=Settings() if is_warm else Settings(warm_cache=0))

    return make


def run(world: World, name: str, data: Any = None) -> Any:
    """The output of one instance of an orchestrator; the world is quiet in the end."""

    async def scenario(world: World) -> Any:
        return await outcome(world, name, data)

    output = world.run(scenario)
    assert not world.errors, world.errors
    return output


async def outcome(world: World, name: str, data: Any = None, instance_id: str = "one") -> Any:
    await world.client.start_new(name, instance_id, data)
    end = world.loop.time() + 48 * 3600
    while not (status := await world.client.get_status(instance_id)).is_terminal:
        assert world.loop.time() < end, status
        await asyncio.sleep(1)
    assert status.runtime_status is RuntimeStatus.COMPLETED, status.failure
    return status.output


def test_an_attempt_that_overruns_its_timeout_fails_as_a_timeout(make_world: Callable[[Registry], World]) -> None:
    cancelled: list[int] = []

    @activity(timeout=5 * SECOND)
    async def slow(ctx: ActivityContext) -> str:
        try:
            await asyncio.sleep(8)
        except asyncio.CancelledError:
            cancelled.append(ctx.attempt)
            raise
        return "late"

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        began = ctx.current_utc_datetime
        try:
            yield from ctx.call_activity(slow)
        except TaskTimeoutError as error:
            took = (ctx.current_utc_datetime - began).total_seconds()
            return [error.failure.is_caused_by(TaskTimeoutError), error.name, round(took)]
        return []

    assert run(make_world(Registry().add(slow, main)), "main") == [True, "slow", 5]
    assert cancelled == [1]


def test_a_timeout_at_the_call_counts_more_than_the_decorators(make_world: Callable[[Registry], World]) -> None:
    @activity(timeout=SECOND)
    async def slow() -> str:
        await asyncio.sleep(8)
        return "in time"

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[str]:
        return (yield from ctx.call_activity(slow, timeout=10 * SECOND))

    assert run(make_world(Registry().add(slow, main)), "main") == "in time"


def test_a_timeout_is_tried_again_under_the_policy_and_the_last_failure_decides_the_error(
    make_world: Callable[[Registry], World],
) -> None:
    @activity(timeout=5 * SECOND, retry=RetryPolicy(max_attempts=3, first_interval=SECOND))
    async def slow(ctx: ActivityContext, mode: str) -> int:
        if mode == "fails at last" and ctx.attempt == 3:
            raise ValueError(mode)
        if mode == "ends at last" and ctx.attempt == 3:
            return ctx.attempt
        await asyncio.sleep(8)
        return 0

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        seen: list[Any] = []
        for mode in ("ends at last", "fails at last", "never ends"):
            try:
                seen.append((yield from ctx.call_activity(slow, mode)))
            except ActivityFailedError as error:
                seen.append(error.failure.type)
            except TaskTimeoutError as error:
                seen.append(type(error).__name__)
        return seen

    assert run(make_world(Registry().add(slow, main)), "main") == [3, "ValueError", "TaskTimeoutError"]


def test_schedule_to_close_ends_a_call_that_no_host_ever_takes(make_world: Callable[[Registry], World]) -> None:
    @orchestrator
    def main(ctx: OrchestrationContext, limits: list[int]) -> Orchestration[list[int]]:
        began = ctx.current_utc_datetime
        calls = [ctx.call_activity("elsewhere", schedule_to_close=limit * SECOND) for limit in limits]
        ends: list[int] = []
        for call in calls:
            try:
                yield call
            except TaskTimeoutError as error:
                assert "schedule_to_close" in error.failure.message
                ends.append(round((ctx.current_utc_datetime - began).total_seconds()))
        return ends

    limits = [30, 30, 45, 3600]
    ends: list[int] = run(make_world(Registry().add(main)), "main", limits)
    assert all(limit <= end <= limit + 2 for limit, end in zip(limits, ends, strict=True)), ends


def test_nothing_is_tried_again_beyond_schedule_to_close(make_world: Callable[[Registry], World]) -> None:
    attempts: list[int] = []

    @activity(schedule_to_close=25 * SECOND, retry=RetryPolicy(max_attempts=99, first_interval=10 * SECOND, backoff=1))
    def failing(ctx: ActivityContext) -> None:
        attempts.append(ctx.attempt)
        raise ValueError(ctx.attempt)

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        began = ctx.current_utc_datetime
        try:
            yield from ctx.call_activity(failing)
        except ActivityFailedError as error:
            return [error.failure.message, (ctx.current_utc_datetime - began) < 25 * SECOND]
        return []

    assert run(make_world(Registry().add(failing, main)), "main") == ["3", True]
    assert attempts == [1, 2, 3]


def test_schedule_to_close_stops_an_attempt_that_is_running(make_world: Callable[[Registry], World]) -> None:
    @activity(retry=RetryPolicy(max_attempts=9))
    async def slow() -> None:
        await asyncio.sleep(20)

    @orchestrator
    def main(ctx: OrchestrationContext, inline: bool) -> Orchestration[int]:
        began = ctx.current_utc_datetime
        try:
            yield from ctx.call_activity(slow, schedule_to_close=7 * SECOND, inline=inline)
        except TaskTimeoutError:
            return round((ctx.current_utc_datetime - began).total_seconds())
        return -1

    for inline in (False, True):
        assert run(make_world(Registry().add(slow, main)), "main", inline) in (7, 8)


def test_the_details_of_the_last_heartbeat_reach_the_next_attempt(make_world: Callable[[Registry], World]) -> None:
    @activity(heartbeat_timeout=6 * SECOND, retry=RetryPolicy(max_attempts=4, first_interval=SECOND))
    async def work(ctx: ActivityContext) -> list[Any]:
        seen: list[Any] = [*(ctx.last_heartbeat or []), ctx.attempt]
        for _ in range(4):
            ctx.heartbeat(seen)
            await asyncio.sleep(2)
        match ctx.attempt:
            case 1:
                raise ValueError("fails")
            case 2:
                await asyncio.sleep(60)  # falls silent
            case _:
                pass
        return seen

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        return (yield from ctx.call_activity(work))

    world = make_world(Registry().add(work, main))

    async def scenario(world: World) -> list[str]:
        assert await outcome(world, "main") == [1, 2, 3]
        await asyncio.sleep(1)
        found = await world.storage.table(world.outside.hub.names.instances).read_range("one")
        return [row.key[0] for row in found.rows]

    assert world.run(scenario) == ["z"]  # and the heartbeat row is gone with the result
    assert not world.errors


def test_a_silent_activity_times_out_and_one_that_beats_does_not(make_world: Callable[[Registry], World]) -> None:
    @activity(heartbeat_timeout=3 * SECOND)
    async def work(ctx: ActivityContext, beats: bool) -> str:
        for _ in range(10):
            await asyncio.sleep(1)
            if beats:
                ctx.heartbeat()
        return "done"

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        done = yield from ctx.call_activity(work, True)
        try:
            yield from ctx.call_activity(work, False)
        except TaskTimeoutError as error:
            return [done, error.failure.message]
        return []

    done, message = run(make_world(Registry().add(work, main)), "main")
    assert done == "done"
    assert "no heartbeat for 3 s" in message


def test_a_heartbeat_tells_an_activity_that_its_instance_was_terminated(
    make_world: Callable[[Registry], World],
) -> None:
    told: list[float] = []
    world: World

    @activity(heartbeat_timeout=3 * SECOND, inline=False)
    async def work(ctx: ActivityContext) -> None:
        for step in range(25):
            if ctx.is_cancelled:
                told.append(world.loop.time())
                return
            ctx.heartbeat(step)
            await asyncio.sleep(1)

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(work)

    world = make_world(Registry().add(work, main))

    async def scenario(world: World) -> float:
        await world.client.start_new("main", "one")
        await asyncio.sleep(5)
        await world.client.terminate("one", "enough")
        began = world.loop.time()
        await asyncio.sleep(40)
        return began

    began = world.run(scenario)
    assert told and told[0] - began <= 3, (told, began)
    assert not world.errors


def test_no_more_than_max_concurrency_run_at_once_and_all_run_once(make_world: Callable[[Registry], World]) -> None:
    running, most, runs = 0, 0, 0

    @activity(max_concurrency=2)
    async def limited(number: int) -> int:
        nonlocal running, most, runs
        running, runs = running + 1, runs + 1
        most = max(most, running)
        await asyncio.sleep(3)
        running -= 1
        return number

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[int]:
        results = yield from ctx.task_all([ctx.call_activity(limited, n) for n in range(30)])
        return sum(results)

    world = make_world(Registry().add(limited, main))
    assert run(world, "main") == sum(range(30))
    assert most == 2 * len(world.hosts)
    assert runs == 30


def test_calls_begin_at_the_rate_and_not_faster(make_world: Callable[[Registry], World]) -> None:
    begun: list[float] = []
    world: World

    @activity(rate=2.0)
    async def limited(number: int) -> int:
        begun.append(world.loop.time())
        return number

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[int]:
        for n in range(3):
            yield from ctx.call_activity(limited, n)
        results = yield from ctx.task_all([ctx.call_activity(limited, n) for n in range(40)])
        return sum(results)

    world = make_world(Registry().add(limited, main))
    assert run(world, "main") == sum(range(40))
    assert len(begun) == 43
    hosts = len(world.hosts)
    assert all(later - earlier >= 0.499 for earlier, later in zip(begun, begun[hosts:], strict=False)), begun


def test_an_activity_with_a_queue_of_its_own_runs_from_that_queue(make_world: Callable[[Registry], World]) -> None:
    @activity(queue="gpu")
    def train(number: int) -> int:
        return number + 1

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[int]:
        number = 0
        for _ in range(3):
            number = yield from ctx.call_activity(train, number)
        return number

    world = make_world(Registry().add(train, main))
    assert run(world, "main") == 3
    sent = [what for plan in world.plans for what in plan.operations if "durable-work" in what and "send" in what]
    assert sent and all("durable-work-gpu" in what for what in sent), sent


def test_a_host_that_lacks_the_activity_sends_its_work_where_the_others_look_for_it() -> None:
    @activity(queue="gpu")
    def train(number: int) -> int:
        return number + 1

    @orchestrator
    def main(ctx: OrchestrationContext, by_name: bool) -> Orchestration[int]:
        called = ctx.call_activity("train", 1, returns=int) if by_name else ctx.call_activity(train, 1)
        return (yield from called)

    for by_name in (False, True):
        world = World(Registry().add(train, main), hosts=0)

        async def scenario(world: World, by_name: bool = by_name) -> Any:
            world.add_host(Registry().add(main))
            await world.client.start_new("main", "one", by_name)
            await asyncio.sleep(5)
            world.add_host()
            return await outcome(world, "main", by_name, "two")

        assert world.run(scenario) == 2
        assert not world.errors


def test_an_idempotency_key_is_one_per_call_whatever_comes_between(make_world: Callable[[Registry], World]) -> None:
    keys: dict[str, list[str]] = {}

    @activity(retry=RetryPolicy(max_attempts=3, first_interval=SECOND))
    def charge(ctx: ActivityContext, what: str) -> str:
        keys.setdefault(what, []).append(ctx.idempotency_key)
        if ctx.attempt < 3:
            raise ValueError(ctx.attempt)
        return ctx.idempotency_key

    @orchestrator
    def child(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
        return (yield from ctx.call_activity(charge, what))

    @orchestrator
    def main(ctx: OrchestrationContext, life: list[Any]) -> Orchestration[None]:
        name, generation = life
        for n in range(2):
            yield from ctx.call_activity(charge, f"{name} {generation} {n}")
            yield from ctx.call_sub_orchestrator(child, f"{name} {generation} {n} child")
        if generation < 1:
            ctx.continue_as_new([name, generation + 1])

    world = make_world(Registry().add(charge, child, main))

    async def scenario(world: World) -> None:
        await outcome(world, "main", ["first", 0])
        await world.client.purge_instance_history("one")
        await outcome(world, "main", ["second", 0])

    world.run(scenario)
    assert len(keys) == 2 * 2 * 2 * 2
    assert all(len(found) == 3 and len(set(found)) == 1 for found in keys.values()), "not the same over its attempts"
    assert len({found[0] for found in keys.values()}) == len(keys), "two calls share a key"


def test_heartbeats_are_stored_now_and_then_and_the_ordinary_activity_stores_nothing() -> None:
    @activity(heartbeat_timeout=9 * SECOND)
    async def beats(ctx: ActivityContext) -> None:
        for n in range(120):
            ctx.heartbeat(n)
            await asyncio.sleep(0.1)

    @activity
    def plain(ctx: ActivityContext) -> None:
        ctx.logger.info("nothing to say")

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(beats)
        yield from ctx.call_activity(plain)

    world = World(Registry().add(beats, plain, main))
    run(world, "main")
    rows = [what.split()[0] for what in world.plans[0].operations if " one b" in what]
    # Read once; the first write finds no row; then one every three seconds for twelve; gone at the end.
    assert rows in (
        ["get", "replace", "insert", "replace", "replace", "replace", "delete"],
        ["get", "replace", "insert", "replace", "replace", "replace", "replace", "delete"],
    ), rows


def test_a_cancelled_orchestration_tells_its_activities_and_not_those_that_clean_up() -> None:
    told: list[str] = []

    @activity(inline=False)
    async def work(ctx: ActivityContext, name: str) -> None:
        for _ in range(10):
            await asyncio.sleep(1)
            if ctx.is_cancelled:
                told.append(name)
                return

    @orchestrator
    def main(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            yield from ctx.call_activity(work, "work")
        except TaskCancelledError:
            yield from ctx.call_activity(work, "clean-up")
        return "cleaned up"

    world = World(Registry().add(work, main))

    async def scenario(world: World) -> None:
        await world.client.start_new("main", "one")
        await asyncio.sleep(3)
        await world.client.cancel("one", "enough")
        await asyncio.sleep(60)
        assert (await world.client.get_status("one")).is_terminal

    world.run(scenario)
    assert told == ["work"]
    assert not world.errors
