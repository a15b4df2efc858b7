"""What instances cost in memory and in the embedded store's file, in bytes and objects that Python counts itself."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import tracemalloc
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import durable_core
from durable_core import Orchestration, OrchestrationContext, Registry, RuntimeStatus, activity, orchestrator
from durable_core.runtime import completion
from durable_core.runtime.turn import dispatched_commits
from durable_core.settings import Settings
from durable_core.testing.simulation import World


@activity
def double(number: int) -> int:
    return 2 * number


@orchestrator
def waiter(ctx: OrchestrationContext) -> Orchestration[int]:
    return (yield from ctx.wait_for_external_event("go", int))


@orchestrator
def short(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(double, number))


def registry() -> Registry:
    return Registry().add(double, waiter, short)


def test_a_warm_instance_that_waits_takes_few_bytes() -> None:
    """It was 8,400 bytes when the row had a dict and each name of an event two deques, and 5,800 when each instance had
    its own dict of whatever it may have, however empty."""
    count = 500

    async def bytes_of_each(world: World) -> float:
        instance_cache = world.hosts[0].app.instance_cache
        await world.client.start_new(waiter, "first")  # what all share
        await asyncio.sleep(60)
        tracemalloc.start()
        try:
            for number in range(count):
                await world.client.start_new(waiter, f"w{number:04}")
            await asyncio.sleep(60)
            assert instance_cache.warm_instances == count + 1
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            instance_cache.abandon()
            gc.collect()
            return (before - tracemalloc.get_traced_memory()[0]) / count
        finally:
            tracemalloc.stop()

    taken = World(registry(), settings=replace(Settings(), warm_cache=1 << 40)).run(bytes_of_each)
    assert 2_000 < taken <= 5_300, f"{taken:,.0f} bytes"


def test_an_instance_that_leaves_the_memory_leaves_it_at_once() -> None:
    """And not when Python looks for circles, which it does seldom in a host: two fifths of each waited for that."""
    count = 200

    async def objects_left(world: World) -> tuple[float, int]:
        for number in range(count):
            await world.client.start_new(waiter, f"w{number:04}")
        await asyncio.sleep(60)
        gc.collect()
        gc.disable()
        try:
            before = len(gc.get_objects())
            world.hosts[0].app.instance_cache.abandon()
            freed = (before - len(gc.get_objects())) / count
            return freed, gc.collect()
        finally:
            gc.enable()

    freed, found = World(registry(), settings=replace(Settings(), warm_cache=1 << 40)).run(objects_left)
    assert freed > 20, "this counts the objects of the instances"
    assert found < count, f"{found} objects were left to the collector"


def _objects() -> Counter[str]:
    gc.collect()
    kinds: list[type[object]] = [type(each) for each in gc.get_objects()]
    ours = ("durable_core.runtime.", "durable_core.engine.", "durable_core.hub.", "durable_core.hang_watch")
    return Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith(ours))


@pytest.mark.parametrize("program", ["waiter", "short"])
def test_an_instance_that_is_not_warm_leaves_no_object_behind(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "REMEMBERED", 10)
    monkeypatch.setattr(dispatched_commits, "EXECUTIONS_KEPT", 10)

    async def growth(world: World) -> dict[str, int]:
        async def run(first: int, count: int) -> Counter[str]:
            for number in range(first, first + count):
                await world.client.start_new(program, f"i{number}", None if program == "waiter" else number)
                await asyncio.sleep(1)
            await asyncio.sleep(600)
            return _objects()

        before = await run(0, 50)
        after = await run(50, 200)
        return {kind: after[kind] - before[kind] for kind in after if after[kind] > before[kind]}

    left = World(registry(), settings=replace(Settings(), warm_instances=5)).run(growth)
    assert sum(left.values()) <= 5, left


async def test_the_file_of_a_store_does_not_grow_with_instances_that_are_purged(tmp_path: Path) -> None:
    store = tmp_path / "s.db"

    def pages() -> int:
        with closing(sqlite3.connect(store)) as con:
            con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (all_pages,), (free,) = (
                con.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "freelist_count")
            )
            return int(all_pages) - int(free)

    async def round_of(client: durable_core.DurableClient, number: int) -> None:
        ids = [await client.start_new(short, f"r{number}-{n}", client_input=n) for n in range(60)]
        ends = await asyncio.gather(*(client.wait_for_completion(each, 60) for each in ids))
        assert all(end.runtime_status is RuntimeStatus.COMPLETED for end in ends)
        for each in ids:
            await client.purge_instance_history(each)

    used: list[int] = []
    sizes: list[int] = []
    async with durable_core.running(registry(), store=store) as client:
        for number in range(5):
            await round_of(client, number)
            used.append(pages())
            sizes.append(store.stat().st_size)
    assert used[-1] <= used[1] + 4, used
    assert sizes[-1] <= sizes[1] * 1.25, sizes
