"""Jobs: activities that a client runs by themselves. Each is an instance, and costs what one call in one costs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    DurableClient,
    EntityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    activity,
    entity,
    orchestrator,
)
from durable_core.errors import InvalidInputError, UnknownOrchestratorError
from durable_core.settings import Settings
from durable_core.source_location import short
from durable_core.testing.simulation import World
from tests.support.function_host import function_host

QUICK = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=1))


@activity(retry=QUICK)
async def lucky(ctx: ActivityContext, at: int) -> int:
    if ctx.attempt < at:
        raise LookupError(f"no luck at attempt {ctx.attempt}")
    return ctx.attempt


@activity
def greet(name: str = "you") -> str:
    return f"hello {name}"


@activity
def nothing() -> None: ...


@activity
async def sleeps() -> None:
    await asyncio.sleep(30)


@activity(queue="slow")
def elsewhere(ctx: ActivityContext, value: Any) -> Any:
    return value


@activity(name="the-name.of-it")
def renamed() -> str:
    return "found"


@orchestrator
def one_step(ctx: OrchestrationContext, name: str) -> Orchestration[str]:
    return (yield from ctx.call_activity(greet, name))


@entity
def tally(ctx: EntityContext) -> None: ...


def unmarked() -> None: ...


REGISTRY = Registry().add(lucky, greet, nothing, sleeps, elsewhere, renamed, one_step, tally)


def run(coroutine: Any, *, counting: bool = False) -> Any:
    world = World(REGISTRY, counting=counting)
    found = world.run(coroutine)
    assert not world.errors, world.errors
    return found


@pytest.mark.parametrize(
    ("function", "value", "output"),
    [
        (greet, "ann", "hello ann"),
        (greet, None, "hello you"),
        ("greet", "bob", "hello bob"),
        (nothing, None, None),
        (elsewhere, {"a": [1, None]}, {"a": [1, None]}),
        (elsewhere, None, None),
        (renamed, None, "found"),
    ],
)
def test_the_result_of_the_activity_is_the_output_of_the_job(function: Any, value: Any, output: Any) -> None:
    async def drive(world: World) -> None:
        client: DurableClient = world.client
        status = await client.wait_for_completion(await client.enqueue(function, value), 60)
        assert (status.runtime_status, status.output) == (RuntimeStatus.COMPLETED, output)

    run(drive)


def test_a_job_is_retried_as_the_decorator_says_and_fails_as_the_activity() -> None:
    async def drive(world: World) -> None:
        client = world.client
        status = await client.wait_for_completion(await client.enqueue(lucky, 3), 60)
        assert status.output == 3
        failed = await client.wait_for_completion(await client.enqueue(lucky, 9), 60)
        assert failed.runtime_status is RuntimeStatus.FAILED
        assert failed.failure is not None
        assert "no luck at attempt 3" in str(failed.failure.to_json())

    run(drive)


@pytest.mark.parametrize("warm_cache", [0, 10_000_000])
def test_a_job_is_at_the_line_of_its_activity_and_not_at_one_of_this_package(warm_cache: int) -> None:
    line = short(REGISTRY.activity("lucky").location)

    async def drive(world: World) -> None:
        client = world.client
        job = await client.enqueue(lucky, 9)
        await asyncio.sleep(2.5)
        assert [wait.line for wait in (await client.get_status(job)).waits] == [line]
        assert line in (await client.explain(job)).sentence
        await client.wait_for_completion(job, 60)
        ended = await client.get_status(job, show_history=True)
        assert {event["Line"] for event in ended.history_events or [] if event.get("Line")} == {line}
        assert ended.failure is not None and ended.failure.line == line
        assert "jobs.py" not in str(ended.failure.to_json()).replace("test_jobs.py", "")
        slow = await client.enqueue(sleeps, timeout=timedelta(seconds=2))
        late = await client.wait_for_completion(slow, 60)
        assert late.failure is not None and late.failure.type.endswith("TaskTimeoutError")
        assert "durable_core/jobs.py" not in str(late.failure.to_json())

    world = World(REGISTRY, settings=Settings(warm_cache=warm_cache))
    world.run(drive)
    assert not world.errors, world.errors


def test_a_job_is_listed_by_its_name_made_once_by_its_id_delayed_cancelled_and_restarted() -> None:
    async def drive(world: World) -> None:
        client = world.client
        soon = await client.get_status(await client.enqueue(greet, "ann", "one", tags={"of": "ann"}))
        assert soon.name == "job:greet"
        assert await client.enqueue(greet, "bob", "one", if_exists="return") == "one"
        await client.wait_for_completion("one", 60)
        page = await client.list_instances(name="job:greet", tags={"of": "ann"})
        assert [each.instance_id for each in page.instances] == ["one"]
        await client.start_new(one_step, "other", "eve")
        assert [each.instance_id for each in (await client.list_instances(jobs=True)).instances] == ["one"]
        assert [each.instance_id for each in (await client.list_instances(jobs=False)).instances] == ["other"]
        assert soon.created_time is not None
        later = soon.created_time + timedelta(hours=1)
        await client.enqueue(greet, "cid", "late", start_at=later)
        await asyncio.sleep(60)
        assert (await client.get_status("late")).runtime_status is RuntimeStatus.PENDING
        await client.cancel("late", "no need")
        assert (await client.wait_for_completion("late", 60)).runtime_status is RuntimeStatus.CANCELED
        again = await client.restart("one")
        assert (await client.wait_for_completion(again, 60)).output == "hello ann"

    run(drive)


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        (one_step, "is an orchestrator: start it with start_new"),
        (tally, "is an entity"),
        (unmarked, "is not marked with @activity"),
        ("gone", "no activity 'gone' is registered"),
        ("", "no activity '' is registered"),
        ("job:greet", "no activity 'job:greet' is registered"),
    ],
)
def test_what_is_no_activity_is_refused(function: Any, hint: str) -> None:
    async def drive(world: World) -> None:
        with pytest.raises(UnknownOrchestratorError, match=hint):
            await world.client.enqueue(function, None)

    run(drive)


def test_an_input_that_the_activity_could_not_read_is_refused() -> None:
    async def drive(world: World) -> None:
        with pytest.raises(InvalidInputError):
            await world.client.enqueue("lucky", "many", "one")
        assert not await world.client.get_status("one")

    run(drive)


def test_no_orchestrator_can_take_the_name_of_a_job_and_an_activity_is_not_started() -> None:
    async def drive(world: World) -> None:
        with pytest.raises(UnknownOrchestratorError, match=r"enqueue\(\.\.\.\)"):
            await world.client.start_new("greet")
        with pytest.raises(UnknownOrchestratorError):
            await world.client.start_new("job:greet", version="2")

    run(drive)
    assert "job:greet" not in REGISTRY.orchestrator_names


def test_a_job_costs_what_an_orchestrator_with_this_one_call_costs() -> None:
    def operations(enqueues: bool) -> int:
        async def drive(world: World) -> int:
            client = world.client
            await asyncio.sleep(60)
            before = world.counted.counts
            if enqueues:
                await client.enqueue(greet, "ann", "one")
            else:
                await client.start_new(one_step, "one", "ann")
            assert (await client.wait_for_completion("one", 60)).output == "hello ann"
            await asyncio.sleep(60)
            return (world.counted.counts - before).total

        return run(drive, counting=True)

    assert operations(enqueues=True) == operations(enqueues=False)


async def test_a_job_is_started_over_http_as_any_orchestrator(tmp_path: Path) -> None:
    async with function_host(REGISTRY, Settings(store=str(tmp_path / "hub.db"))) as host:
        started = await host.call("POST", "orchestrators/job:greet/one", "ann")
        assert started.status == 202, started.body
        await host.drain()
        assert (await host.call("GET", "instances/one")).json()["output"] == "hello ann"
        refused = await host.call("POST", "orchestrators/job:gone/two", "ann")
        assert refused.status == 400
        assert b"no activity 'gone' is registered" in refused.body


async def test_a_job_has_a_route_of_its_own_and_is_listed_as_one(tmp_path: Path) -> None:
    async with function_host(REGISTRY, Settings(store=str(tmp_path / "hub.db"))) as host:
        started = await host.call("POST", "jobs/greet/one", "ann")
        assert started.status == 202, started.body
        assert started.json()["id"] == "one"
        assert (await host.call("POST", "jobs/greet/one", "ann")).status == 409
        assert (await host.call("POST", "orchestrators/one_step/two", "bob")).status == 202
        await host.drain()
        assert (await host.call("GET", "instances/one")).json()["output"] == "hello ann"
        for asked, listed in (("true", ["one"]), ("false", ["two"])):
            found = (await host.call("GET", f"instances?jobs={asked}")).json()
            assert [each["instanceId"] for each in found] == listed
        assert (await host.call("GET", "instances?jobs=perhaps")).status == 400
        assert (await host.call("POST", "jobs/renamed?timeout=0")).status == 400, "the name of its function is no name"
        assert (await host.call("POST", "jobs/the-name.of-it")).status == 202


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("jobs/gone", b"no activity 'gone' is registered"),
        ("jobs/one_step", b"start it with start_new"),
        ("jobs/durable.http", b"is a built-in activity"),
        ("orchestrators/job:durable.http", b"is a built-in orchestrator"),
        ("jobs/greet?version=2", b"query parameter 'version' is not known"),
    ],
)
async def test_what_is_no_activity_is_refused_over_http(path: str, hint: bytes, tmp_path: Path) -> None:
    async with function_host(REGISTRY, Settings(store=str(tmp_path / "hub.db"))) as host:
        refused = await host.call("POST", path, "ann")
        assert refused.status == 400
        assert hint in refused.body


async def test_a_job_with_a_key_is_made_once(tmp_path: Path) -> None:
    async with function_host(REGISTRY, Settings(store=str(tmp_path / "hub.db"))) as host:
        once = "jobs/greet?deduplicate=k&deduplicateWindow=600"
        first, second = [(await host.call("POST", once, "ann")).json()["id"] for _ in range(2)]
        assert first == second
        key = {"Idempotency-Key": "mine"}
        made = [await host.call("POST", "jobs/greet", "ann", **key) for _ in range(2)]
        assert [(each.status, each.json()["id"]) for each in made] == [(202, "mine")] * 2
        other = await host.call("POST", "orchestrators/one_step", "ann", **key)
        assert other.status == 409
