"""Lists by name, version, stuck, retrying and time of end are true, cheap, and hold after a fault at any operation."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    activity,
    orchestrator,
)
from durable_core.errors import InvalidInputError
from durable_core.hub.catalog import CLOSED, ENDED, OPEN
from durable_core.hub.hub_row import KEY, PARTITION
from durable_core.storage.counting import Counts
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .test_waits import Backwards

FAILED, TERMINATED, COMPLETED = RuntimeStatus.FAILED, RuntimeStatus.TERMINATED, RuntimeStatus.COMPLETED
PAST = datetime(2000, 1, 1, tzinfo=UTC)


@activity
async def work(seconds: float) -> None:
    await asyncio.sleep(seconds)


@activity
def flaky(ctx: ActivityContext, failures: int) -> None:
    if ctx.attempt <= failures:
        raise OSError("no route to the bank")


@orchestrator
def fails(ctx: OrchestrationContext, text: str) -> Orchestration[None]:
    yield from ctx.wait_for_external_event("Go")
    raise ValueError(text)


@orchestrator
def works(ctx: OrchestrationContext, steps: int) -> Orchestration[str]:
    for _ in range(steps):
        yield from ctx.call_activity(work, 3)
    return "done"


@orchestrator
def retries(ctx: OrchestrationContext, seconds: int) -> Orchestration[None]:
    policy = RetryPolicy(max_attempts=9, first_interval=timedelta(seconds=seconds), backoff=1)
    yield from ctx.call_activity(flaky, 5, retry=policy)


@orchestrator(version="2")
def waits(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.wait_for_external_event("Go"))


def make_registry() -> Registry:
    return Registry().add(work, flaky, fails, works, retries, waits)


def world_of(**options: Any) -> World:
    return World(make_registry(), **options)


async def ids(world: World, **filters: Any) -> set[str]:
    return {status.instance_id for status in await world.client.get_status_by(**filters)}


async def spent(world: World, before: Counts) -> Counts:
    return world.counted.counts - before


async def rows(world: World, kind: str) -> list[str]:
    catalog = world.outside.hub.catalog
    return [entry.instance_id for shard in catalog.shards for entry in await catalog.read(shard, kind)]


async def fail(world: World, instance_id: str, text: str = "declined") -> OrchestrationStatus:
    started = await world.client.start_new("fails", instance_id, text)
    await world.client.raise_event(instance_id, "Go")
    return await world.client.wait_for_completion(started, 3600)


# ---------------------------------------------------------------- by the time of the end


def test_what_failed_lately_is_found_whatever_was_created_before_and_after() -> None:
    async def drive(world: World) -> None:
        client = world.client
        await client.start_new("fails", "old", "late")  # created first, fails last
        for number in range(3):
            await fail(world, f"early{number}")
            await asyncio.sleep(1)
        await client.start_new("waits", "open")
        await asyncio.sleep(7200)
        since = world.loop.now()
        await asyncio.sleep(1)
        await client.raise_event("old", "Go")
        await client.start_new("waits", "ended")
        await asyncio.sleep(60)
        await client.terminate("ended", "enough")
        await asyncio.sleep(60)
        assert await ids(world, runtime_status=[FAILED], ended_time_from=since) == {"old"}
        assert await ids(world, runtime_status=[FAILED, TERMINATED], ended_time_from=since) == {"old", "ended"}
        assert await ids(world, ended_time_from=since) == {"old", "ended"}
        assert await ids(world, ended_time_to=since) == {"early0", "early1", "early2"}
        page = await client.list_instances(order="ended")
        listed = [status.instance_id for status in page.instances]
        assert listed == ["ended", "old", "early2", "early1", "early0"]
        first = await client.list_instances(order="ended", page_size=2)
        rest = await client.list_instances(order="ended", continuation_token=first.continuation_token)
        assert [status.instance_id for status in [*first.instances, *rest.instances]] == listed

    world_of().run(drive)


def test_the_failures_of_the_last_hour_cost_one_read_of_their_own_rows() -> None:
    async def drive(world: World) -> None:
        for number in range(30):
            await fail(world, f"early{number}")
        await asyncio.sleep(7200)
        since = world.loop.now()
        await fail(world, "late")
        await asyncio.sleep(60)  # until the host is at rest
        before = world.counted.counts
        page = await world.client.list_instances(runtime_status=FAILED, ended_time_from=since)
        counts = await spent(world, before)
        assert counts.total <= 2, counts  # the row of the hub, and the rows of the ends
        (late,) = page.instances
        assert late.failure is not None
        assert (late.failure.type, late.failure.message) == ("ValueError", "declined")
        assert late.failure.line.startswith("faults/test_list_filters.py:")
        assert late.ended_time is not None
        assert late.ended_time >= since

    world_of(counting=True).run(drive)


def test_a_long_message_is_cut_in_the_list_and_whole_in_the_status() -> None:
    async def drive(world: World) -> None:
        whole = await fail(world, "one", "x" * 5000)
        (listed,) = (await world.client.list_instances()).instances
        assert listed.failure is not None
        assert whole.failure is not None
        assert listed.failure.message == "x" * 200
        assert whole.failure.message == "x" * 4000
        assert listed.failure.line == whole.failure.line != ""

    world_of().run(drive)


def test_with_a_codec_the_catalogue_holds_no_plain_message_and_the_list_shows_it() -> None:
    async def drive(world: World) -> None:
        await fail(world, "one", "a secret")
        found = await world.storage.table(world.outside.hub.names.catalog).read_range("00")
        assert found.rows
        assert "a secret" not in str([row.props for row in found.rows])
        (listed,) = (await world.client.list_instances()).instances
        assert listed.failure is not None
        assert listed.failure.message == "a secret"
        await world.replace_hosts(None)
        (listed,) = (await world.hosts[0].app.client.list_instances()).instances
        assert listed.failure is None
        assert listed.runtime_status is FAILED

    world_of(codec=Backwards()).run(drive)


def test_a_purge_and_a_restart_take_the_row_of_the_end_with_them() -> None:
    async def drive(world: World) -> None:
        for name in ("purged", "again", "left"):
            await fail(world, name)
        assert set(await rows(world, ENDED)) == {"purged", "again", "left"}
        before = world.counted.counts
        await world.client.purge_instance_history("purged")
        assert (await spent(world, before))["table.transact"] == 1, "both rows go in one transaction"
        await world.client.start_new("waits", "again", if_exists="restart_if_done")
        assert set(await rows(world, ENDED)) == set(await rows(world, CLOSED)) == {"left"}
        assert await ids(world, order="ended") == {"left"}

    world_of(counting=True).run(drive)


def test_an_instance_that_an_older_host_closed_is_found_and_purged() -> None:
    """Older hosts write no row of the end, and delete the closed row alone."""

    async def drive(world: World) -> None:
        catalog = world.storage.table(world.outside.hub.names.catalog)
        for name in ("one", "two", "three"):
            await fail(world, name)
        for row in (await catalog.read_range("00", ENDED, chr(ord(ENDED) + 1))).rows:
            if "three" not in row.key:
                await catalog.delete("00", row.key)
        await catalog.replace(PARTITION, KEY, {"fmt": 1, "partitions": 1})  # as an older host wrote it
        await world.outside.hub.create()
        since = world.loop.now() - timedelta(hours=1)
        assert await ids(world, runtime_status=FAILED, ended_time_from=since) == {"one", "two", "three"}
        await asyncio.sleep(25 * 3600)
        await fail(world, "four")
        assert await ids(world, runtime_status=FAILED, ended_time_from=since) == {"one", "two", "three", "four"}
        before = world.loop.now() - timedelta(minutes=1)
        assert await ids(world, runtime_status=FAILED, ended_time_from=before) == {"four"}
        assert await ids(world, order="ended") == {"three", "four"}
        assert await world.client.purge_instance_history("one") == 1
        for row in (await catalog.read_range("00", CLOSED, chr(ord(CLOSED) + 1))).rows:
            if "three" in row.key:  # as an older host deletes it
                await catalog.delete("00", row.key)
        assert await world.client.purge_instance_history("three") == 1
        assert set(await rows(world, ENDED)) == {"four"}

    world_of().run(drive)


@pytest.mark.parametrize("fault", list(Fault))
def test_the_rows_of_an_end_hold_after_a_fault_at_any_storage_operation(fault: Fault, totals: Totals) -> None:
    async def drive(world: World) -> tuple[list[str], ...]:
        client = world.client
        await client.start_new("fails", "one", "declined")
        await client.start_new("waits", "two")
        await client.raise_event("one", "Go")
        await client.terminate("two")
        for _ in range(200):
            if not await rows(world, OPEN):
                break
            await asyncio.sleep(20)
        found = [sorted(await rows(world, kind)) for kind in (OPEN, CLOSED, ENDED)]
        failures = [status.failure for status in await client.get_status_by(runtime_status=FAILED)]
        return (*found, [f"{failure.message} {bool(failure.line)}" for failure in failures if failure])

    def run(plan: FaultPlan) -> tuple[Any, World]:
        world = world_of()
        outcome = world.run(drive, plan)
        assert not world.errors, world.errors
        return outcome, world

    expected: tuple[list[str], ...] = ([], ["one", "two"], ["one", "two"], ["declined True"])
    strike_each(run, fault, expected, totals)


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOSE_ANSWER, Fault.RETRY])
def test_a_purge_that_dies_half_way_is_finished_by_the_next(fault: Fault) -> None:
    async def drive(world: World) -> None:
        await fail(world, "one")
        number, struck = 0, True
        while struck:
            await fail(world, f"n{number}")
            plan = FaultPlan()
            host = world.add_host(plan=plan)
            plan.strikes[len(plan.operations) + number] = fault
            before = len(plan.struck)
            purge = host.app.client.purge_instance_history(f"n{number}")
            await asyncio.gather(asyncio.create_task(purge), return_exceptions=True)
            struck = len(plan.struck) > before
            await world.client.purge_instance_history(f"n{number}")
            assert set(await rows(world, ENDED)) == set(await rows(world, CLOSED)) == {"one"}
            number += 1
        assert number > 3

    world_of().run(drive)


# ---------------------------------------------------------------- true statuses


def test_an_instance_that_runs_from_one_inline_activity_to_the_next_is_listed_as_running_for_one_operation() -> None:
    async def entries(world: World) -> list[RuntimeStatus]:
        catalog = world.outside.hub.catalog
        return [entry.status for shard in catalog.shards for entry in await catalog.read(shard, OPEN)]

    async def drive(world: World) -> tuple[int, int]:
        await world.client.start_new("works", "long", 40)
        await asyncio.sleep(20)
        assert await entries(world) == [RuntimeStatus.RUNNING]
        before = world.counted.counts
        page = await world.client.list_instances(runtime_status=RuntimeStatus.RUNNING)
        assert len(page.instances) == 1
        assert (await spent(world, before))["table.get"] == 0, "the catalogue says so itself"
        await asyncio.sleep(200)
        assert await ids(world, runtime_status=COMPLETED) == {"long"}
        notes = world.counted.counts.by_kind["table.merge"]
        return notes, len([r for r in world.counted.counts.requests if r.kind == "table.merge" and "Catalog" in r.name])

    _, notes = world_of(counting=True).run(drive)
    assert notes == 1


def test_a_short_instance_costs_no_note() -> None:
    async def drive(world: World) -> int:
        await world.client.start_new("works", "short", 2)
        await asyncio.sleep(60)
        return len([r for r in world.counted.counts.requests if r.kind == "table.merge" and "Catalog" in r.name])

    assert world_of(counting=True).run(drive) == 0


# ---------------------------------------------------------------- retrying, stuck, name, version


def test_only_what_is_tried_again_for_long_is_listed_as_retrying() -> None:
    async def drive(world: World) -> None:
        client = world.client
        await client.start_new("retries", "slow", 60)
        await client.start_new("retries", "quick", 2)
        await client.start_new("waits", "other")
        await asyncio.sleep(3)
        assert await ids(world, retrying=True) == {"slow"}
        await asyncio.sleep(5)  # the fourth attempt of quick
        assert await ids(world, retrying=True) == {"slow", "quick"}
        assert await ids(world, retrying=False) == {"other"}
        assert (await client.get_status("slow")).retrying == 1
        (wait,) = (await client.get_status("slow")).waits
        assert (wait.kind, wait.name) == ("retry", "flaky")
        await asyncio.sleep(30)
        assert await ids(world, retrying=True) == {"slow"}
        assert await ids(world, retrying=False) == {"quick", "other"}
        await asyncio.sleep(600)
        assert await ids(world, retrying=True) == set()
        assert (await client.get_status("slow")).retrying == 0

    world_of().run(drive)


def test_by_name_version_and_what_is_stuck() -> None:
    async def drive(world: World) -> None:
        client = world.client
        await client.start_new("waits", "a", tags={"shop": "berlin"})
        await client.start_new("waits", "b")
        await client.start_new("works", "c", 100)
        await asyncio.sleep(5)
        assert await ids(world, name="waits") == {"a", "b"}
        assert await ids(world, name="waits", tags={"shop": "berlin"}) == {"a"}
        assert await ids(world, version="2") == {"a", "b"}
        assert await ids(world, version="") == {"c"}
        assert await ids(world, name="nobody") == set()
        instance = await world.outside.hub.instances.get("b")
        assert instance is not None
        await world.outside._stuck_marker.show(instance, "no host has it")  # pyright: ignore[reportPrivateUsage]
        assert await ids(world, stuck=True) == {"b"}
        assert await ids(world, stuck=False) == {"a", "c"}
        assert await ids(world, stuck=True, name="works") == set()

    world_of().run(drive)


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"order": "oldest"}, "order"),
        ({"order": "ended", "runtime_status": "Running"}, "Failed"),
        ({"order": "ended", "runtime_status": ["Failed", "Completed"]}, "Failed"),
        ({"name": 7}, "name"),
        ({"version": 2}, "version"),
        ({"stuck": "yes"}, "stuck"),
        ({"retrying": 1}, "retrying"),
        ({"jobs": "yes"}, "jobs"),
        ({"ended_time_from": "today"}, "ended_time_from"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_a_filter_that_cannot_be_is_refused_and_named(filters: dict[str, Any], named: str) -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("waits", "a")
        with pytest.raises(InvalidInputError, match=named):
            await world.client.list_instances(**filters)

    world_of().run(drive)


def test_a_page_ends_when_many_rows_were_read_and_few_match(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_core.runtime.listing.CHUNK", 10)
    monkeypatch.setattr("durable_core.runtime.listing.MOST_ROWS", 20)

    async def drive(world: World) -> None:
        for number in range(50):
            await world.client.start_new("waits", f"w{number:02}")
        await asyncio.sleep(5)
        before = world.counted.counts
        page = await world.client.list_instances(name="nobody")
        assert page.instances == []
        assert page.continuation_token is not None
        assert (await spent(world, before)).total < 10
        assert await ids(world, name="nobody") == set()
        assert len(await ids(world, name="waits")) == 50

    world_of(counting=True).run(drive)
