"""The daily sweep: senders that are gone are forgotten, what is empty is deleted, lost locks are released."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest

from durable_core import EntityId
from durable_core.hub.entities.keys import ROW_KEY
from durable_core.runtime.entities import rules
from durable_core.testing.simulation import World

from .entity_scenarios import A, B, Log, entities_rest, entity_registry, items_of
from .oracle import watched
from .scenarios import Effects, result

T = TypeVar("T")


def played(play: Callable[[World], Awaitable[T]], hosts: int = 1) -> T:
    world = World(entity_registry(Effects()), hosts=hosts)
    watched(world)
    outcome = world.run(play)
    assert not world.errors, world.errors
    return outcome


async def rows_of(world: World, target: EntityId) -> list[str]:
    table = world.storage.table(world.outside.hub.names.entities)
    return [row.key for row in (await table.read_range(target.partition)).rows]


async def listed(world: World) -> list[str]:
    catalog = world.outside.hub.entity_catalog
    return [str(entry.entity) for shard in catalog.shards for entry in await catalog.page(shard)]


async def days(number: float) -> None:
    await asyncio.sleep(number * 24 * 3600)


def test_thousands_of_senders_leave_nothing_once_they_are_gone_and_the_state_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "CURSORS_KEPT", 100)
    monkeypatch.setattr(rules, "SPILLED_AT_ONCE", 50)

    async def play(world: World) -> None:
        for number in range(1000):
            await world.client.signal_entity(A, Log.add, str(number), signal_id=f"id {number}")
            if number % 50 == 0:
                await entities_rest(world)
        await entities_rest(world)
        assert sum(key.startswith("d") for key in await rows_of(world, A)) >= 5, "cursors leave the row"
        row = await world.outside.hub.entities.read(A)
        assert row is not None and len(row.cursors) <= 300
        await world.client.signal_entity(A, Log.add, "again", signal_id="id 3")
        await days(9)
        await entities_rest(world)
        assert await rows_of(world, A) == [ROW_KEY]
        row = await world.outside.hub.entities.read(A)
        assert row is not None and not row.cursors
        assert await items_of(world, A) == [str(number) for number in range(1000)]

    played(play)


def test_an_entity_without_a_state_is_deleted_then_its_catalogue_row_and_it_can_be_made_again() -> None:
    async def play(world: World) -> None:
        await world.client.signal_entity(A, Log.forward, "first")
        await entities_rest(world)
        await world.client.delete_entity(A)
        await days(6)
        assert ROW_KEY in await rows_of(world, A), "its row stays while it has cursors"
        while await rows_of(world, A):
            await days(1 / 24)
        await days(0.9)
        assert "@log@a" in await listed(world), "its catalogue row stays a day longer"
        await days(4)
        assert "@log@a" not in await listed(world)
        await world.client.signal_entity(A, Log.forward, "second")
        await entities_rest(world)
        assert await items_of(world, A) == ["second"]
        assert await items_of(world, B) == ["first from a", "second from a"]

    played(play)


def test_the_cursor_of_an_orchestration_that_runs_is_kept() -> None:
    async def play(world: World) -> None:
        await world.client.start_new("holds", "one", ["b"])
        await world.client.start_new("adds", "two", ["x"])
        await result(world, "two")
        await days(9)
        row = await world.outside.hub.entities.read(B)
        assert row is not None and len(row.cursors) == 1 and row.lock is not None
        other = await world.outside.hub.entities.read(A)
        assert other is not None and not other.cursors
        await world.client.raise_event("one", "Go", "go")
        await result(world, "one")
        await entities_rest(world)
        assert await items_of(world, B) == ["held"]

    played(play)


def test_a_lock_whose_holder_is_gone_is_released_by_recovery() -> None:
    """No rule foresees it: somebody has deleted the rows of the holder by hand."""

    async def play(world: World) -> None:
        await world.client.start_new("holds", "one", ["a", "b"])
        await asyncio.sleep(60)
        hub = world.outside.hub
        instance = await hub.instances.get("one")
        assert instance is not None
        await hub.instances.purge(instance)
        await world.client.signal_entity(A, Log.add, "x")
        await world.outside.recover(full=True)
        await asyncio.sleep(30)
        assert await items_of(world, A) == [], "it may be about to be released"
        await asyncio.sleep(600)
        report = await world.outside.recover(full=True)
        assert report.locks_released == 2
        await entities_rest(world)
        assert await items_of(world, A) == ["x"]

    world = World(entity_registry(Effects()))
    world.run(play)


def test_payload_rows_to_which_nothing_refers_are_deleted() -> None:
    async def play(world: World) -> None:
        from .more_scenarios import noise

        await world.client.signal_entity(A, Log.add, noise(200_000, 1))
        await entities_rest(world)
        kept = await rows_of(world, A)
        assert any(key.startswith("a") for key in kept)
        hub = world.outside.hub
        orphan = await hub.entities._payloads.put(A.partition, "0123456789ab", b"x" * 100_000)  # pyright: ignore[reportPrivateUsage]
        assert orphan
        assert len(await rows_of(world, A)) > len(kept)
        await days(9)
        assert await rows_of(world, A) == kept
        assert len((await items_of(world, A))[0]) == 200_000

    played(play)


def test_a_duplicate_whose_sender_has_died_before_its_wake_up_is_removed() -> None:
    async def play(world: World) -> None:
        await world.client.signal_entity(A, Log.add, "x", signal_id="id")
        await entities_rest(world)
        hub = world.outside.hub
        real = hub.wake_up

        async def lost(*_: object) -> None:
            return

        hub.wake_up = lost  # type: ignore[method-assign,assignment]
        await world.client.signal_entity(A, Log.add, "x", signal_id="id")
        hub.wake_up = real  # type: ignore[method-assign]
        assert len(await rows_of(world, A)) == 2
        await days(3)
        assert await rows_of(world, A) == [ROW_KEY]
        assert await items_of(world, A) == ["x"]

    played(play)


def test_an_idle_hub_is_swept_once_a_day_whatever_the_number_of_hosts() -> None:
    async def play(world: World) -> int:
        await world.client.signal_entity(A, Log.add, "x")
        swept: list[timedelta] = []
        for host in world.hosts:
            sweep = host.app._sweep  # pyright: ignore[reportPrivateUsage]
            real = sweep.run

            async def run(real: Callable[[], Awaitable[object]] = real) -> object:
                swept.append(timedelta(seconds=world.loop.time()))
                return await real()

            sweep.run = run  # type: ignore[method-assign,assignment]
        await days(5)
        return len(swept)

    assert 3 <= played(play, hosts=3) <= 5
