"""A hub at one moment: its instances by status, its queues, its hosts, its long timers, for a few operations."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, RetryPolicy, activity, orchestrator
from durable_core.errors import InvalidInputError
from durable_core.hub.taskhub import TaskHub
from durable_core.models import RuntimeStatus
from durable_core.operate.overview import read_overview
from durable_core.product_version import VERSION
from durable_core.settings import Settings
from durable_core.storage.counting import Counts
from durable_core.storage.sqlite import SqliteStorage
from durable_core.testing.simulation import World


@activity(queue="gpu")
def paint(_: None) -> None: ...


@activity
def flaky(_: None) -> None:
    raise OSError("no")


@orchestrator
def waits(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.wait_for_external_event("Go"))


@orchestrator
def sleeps(ctx: OrchestrationContext, hours: float) -> Orchestration[None]:
    yield ctx.create_timer(timedelta(hours=hours))


@orchestrator
def retries(ctx: OrchestrationContext) -> Orchestration[None]:
    policy = RetryPolicy(max_attempts=9, first_interval=timedelta(hours=1))
    yield from ctx.call_activity(flaky, None, retry=policy)


@orchestrator
def paints(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(paint, None)


def world_of(partitions: int = 1, **options: Any) -> World:
    registry = Registry().add(paint, flaky, waits, sleeps, retries, paints)
    return World(registry, counting=True, settings=Settings(partitions=partitions), **options)


async def spent(world: World, before: Counts) -> Counts:
    return world.counted.counts - before


@pytest.mark.parametrize("partitions", [1, 3])
def test_the_overview_counts_what_there_is_for_a_few_operations(partitions: int) -> None:
    async def drive(world: World) -> None:
        client = world.client
        for number in range(6):
            await client.start_new("waits", f"w{number}")
        await client.start_new("retries", "r")
        await asyncio.sleep(5)
        await client.raise_event("w0", "Go")
        await client.terminate("w1")
        await client.suspend("w2", "a look")
        await asyncio.sleep(5)
        before = world.counted.counts
        overview = await client.hub_overview()
        counts = await spent(world, before)
        assert overview.counts == {
            RuntimeStatus.COMPLETED: 1,
            RuntimeStatus.RUNNING: 4,
            RuntimeStatus.SUSPENDED: 1,
            RuntimeStatus.TERMINATED: 1,
        }
        assert (overview.stuck, overview.retrying, overview.is_complete) == (0, 1, True)
        queues = 6 * partitions  # control, work and gpu, each with its poison queue
        assert counts.total <= 2 * partitions + 1 + 2 * queues, counts
        assert [queue.kind for queue in overview.queues].count("poison") == queues / 2
        shown = overview.to_json()
        assert (shown["hub"], shown["store"], shown["partitions"]) == ("durable", "embedded", partitions)
        assert shown["counts"]["Running"] == 4

    world_of(partitions).run(drive)


def test_a_large_hub_costs_no_more_and_says_that_it_was_not_counted_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_core.operate.overview.COUNTED", 5)

    async def drive(world: World) -> None:
        costs: list[int] = []
        for number in range(20):
            await world.client.start_new("waits", f"w{number}")
            await asyncio.sleep(60)
            before = world.counted.counts
            overview = await world.client.hub_overview()
            costs.append((await spent(world, before)).total)
            assert overview.is_complete is (number < 4)
            assert sum(overview.counts.values()) == min(number + 1, 5)
        assert len(set(costs)) == 1, costs

    world_of().run(drive)


def test_queues_say_how_much_waits_for_how_long_and_for_whom() -> None:
    async def drive(world: World) -> None:
        host = world.hosts[0]
        host.shape.work = False
        await world.client.start_new("paints", "p")
        await asyncio.sleep(90)
        overview = await world.client.hub_overview()
        (gpu,) = [queue for queue in overview.queues if queue.own == "gpu" and queue.kind == "work"]
        assert (gpu.name, gpu.depth, gpu.dequeue_count) == ("durable-work-gpu", 1, 0)
        assert gpu.oldest is not None
        shown = {queue["name"]: queue for queue in overview.to_json()["queues"]}
        assert 80 < shown["durable-work-gpu"]["oldestSeconds"] < 95
        assert shown["durable-work-gpu"]["serves"] == ["gpu"]
        assert shown["durable-work"]["serves"] == ["*"]
        assert shown["durable-work-gpu-poison"]["kind"] == "poison"
        assert shown["durable-control"] == {"name": "durable-control", "kind": "control", "depth": 0}

    world_of(hosts=["control"]).run(drive)


# ---------------------------------------------------------------- hosts


def test_a_host_is_listed_from_its_start_seen_every_five_minutes_and_says_that_it_stops() -> None:
    async def drive(world: World) -> None:
        app, client = world.hosts[0].app, world.client
        assert (await client.hub_overview()).hosts == []
        app.serve(["durable-control", "durable-work-gpu", "another-queue"])
        app.serve()
        await asyncio.sleep(1)
        before = world.counted.counts
        (host,) = (await client.hub_overview()).hosts
        me = app.host
        assert (host.id, host.name, host.pid, host.version) == (me.id, me.name, me.pid, VERSION)
        assert host.queues == ("control", "work:gpu")
        assert host.build == "simulated"
        await client.start_new("waits", "one")
        await asyncio.sleep(650)
        (host,) = (await client.hub_overview()).hosts
        assert host.warm == 1
        assert world.loop.now() - host.seen < timedelta(seconds=301)
        assert (await client.hub_overview()).to_json()["hosts"][0]["isAlive"] is True
        writes = [r for r in (await spent(world, before)).requests if r.partition == "hosts" and r.written]
        assert len(writes) == 2, "one in five minutes"
        await app.presence.end()
        (shown,) = (await client.hub_overview()).to_json()["hosts"]
        assert shown["isAlive"] is False
        assert "stoppedTime" in shown

    world_of().run(drive)


def test_a_host_that_was_killed_is_not_alive_after_eleven_minutes_and_gone_after_a_day() -> None:
    async def drive(world: World) -> None:
        killed, client = world.hosts[0], world.client
        killed.app.serve()
        await asyncio.sleep(1)
        killed.plan.dead = True  # nothing of it reaches the store any more
        await asyncio.sleep(600)
        assert (await client.hub_overview()).to_json()["hosts"][0]["isAlive"] is True
        await asyncio.sleep(120)
        assert (await client.hub_overview()).to_json()["hosts"][0]["isAlive"] is False
        await asyncio.sleep(24 * 3600)
        assert (await client.hub_overview()).hosts == []
        hosts = world.outside.hub.hosts
        (row,) = await hosts.read()
        await hosts.write(row, is_new=False)
        (row,) = await hosts.read()
        await hosts.delete(row)
        await hosts.delete(row)
        assert await hosts.read() == []

    world_of().run(drive)


def test_a_host_that_starts_deletes_the_rows_of_those_that_were_not_seen_for_a_day() -> None:
    async def drive(world: World) -> None:
        first = world.hosts[0].app
        first.serve()
        await asyncio.sleep(1)
        hosts = world.outside.hub.hosts
        (row,) = await hosts.read()
        for number, hours in enumerate((1, 23, 25, 100)):
            old = replace(row, id=f"old{number}", seen=world.loop.now() - timedelta(hours=hours))
            await hosts.write(old, is_new=True)
        another = world.add_host().app
        another.serve()
        await asyncio.sleep(1)
        assert {each.id for each in await hosts.read()} == {row.id, another.host.id, "old0", "old1"}

    world_of().run(drive)


def test_a_store_that_does_not_answer_stops_no_host() -> None:
    async def drive(world: World) -> None:
        host = world.hosts[0]
        host.plan.unreachable_until = 2000.0
        host.app.serve()
        await asyncio.sleep(3000)
        (row,) = await world.outside.hub.hosts.read()
        assert row.seen > row.started

    world_of().run(drive)


def test_an_app_that_serves_nothing_is_in_no_list() -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("waits", "one")
        await asyncio.sleep(1000)
        assert await world.outside.hub.hosts.read() == []

    world_of().run(drive)


# ---------------------------------------------------------------- timers


def test_long_timers_are_listed_the_earliest_first_over_pages_and_shards() -> None:
    async def drive(world: World) -> None:
        client = world.client
        for number in range(7):
            await client.start_new("sleeps", f"s{number}", 10 - number)
        await client.start_new("waits", "w", timeout=timedelta(days=2))
        await asyncio.sleep(5)
        whole = await client.list_timers()
        assert [timer.instance_id for timer in whole.timers] == [*(f"s{n}" for n in reversed(range(7))), "w"]
        assert whole.continuation_token is None
        found: list[str] = []
        token: str | None = None
        while True:
            page = await client.list_timers(page_size=3, continuation_token=token)
            found += [timer.instance_id for timer in page.timers]
            token = page.continuation_token
            if token is None:
                break
        assert found == [timer.instance_id for timer in whole.timers]
        shown = whole.to_json()[0]
        assert (shown["instanceId"], shown["taskId"], shown["isDeadline"]) == ("s6", 1, False)
        for wrong in ("x", "WzEsICJ6Il0="):
            with pytest.raises(InvalidInputError):
                await client.list_timers(continuation_token=wrong)
        with pytest.raises(InvalidInputError):
            await client.list_timers(page_size=0)

    world_of(4).run(drive)


async def test_a_hub_that_is_empty_is_shown() -> None:
    storage = SqliteStorage(":memory:")
    hub = TaskHub(storage, Settings())
    await hub.create()
    overview = await read_overview(hub, datetime.now(UTC))
    assert overview.counts == {}
    assert overview.hosts == []
    await storage.close()
