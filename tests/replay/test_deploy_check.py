"""The gate: which running instances would new code break? It reads, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import pytest

from durable_core import Registry
from durable_core.errors import ConfigurationError
from durable_core.hub.catalog import OPEN
from durable_core.hub.taskhub import TaskHub
from durable_core.replay.deploy_check import DeployReport, check_deploy, entries
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from durable_core.testing.simulation import World
from tests.replay.programs import CHANGED, DEPLOYED, KEPT, collect, collect_changed, count, parent, pinned_1
from tests.support.refusing_store import RefusingStorage

T = TypeVar("T")


def in_world(scenario: Callable[[World], Awaitable[T]], registry: Registry = DEPLOYED, partitions: int = 1) -> T:
    world = World(registry, settings=Settings(partitions=partitions))
    outcome = world.run(scenario)
    assert not world.errors, world.errors
    return outcome


def reader(world: World) -> TaskHub:
    return TaskHub(RefusingStorage(world.storage), world.settings)


async def check(world: World, registry: Registry, **more: str | int | None) -> DeployReport:
    return await check_deploy(reader(world), registry, **more)  # pyright: ignore[reportArgumentType]


async def a_bit_of_everything(world: World) -> None:
    """Instances that move, wait, hold events, have not begun, have begun anew, have ended."""
    client = world.client
    for steps in (0, 1, 5, 140):  # the longest has its older commits in a chunk row
        await client.start_new(count, f"count-{steps}", steps)
    await client.start_new(parent, "parent", 3)
    await client.start_new(pinned_1, "pinned")
    await client.start_new(count, "later", 2, start_at=world.loop.now() + timedelta(days=1))
    await client.raise_event("later", "go")  # waits in the inbox until it begins
    await client.start_new(collect, "rounds", 2)
    for number in range(5):
        await client.raise_event("rounds", "item", event_id=f"e{number}")
    await client.start_new(collect, "suspended", 3)
    await client.raise_event("suspended", "item")
    await client.create_schedule("nightly", count, cron="30 2 * * *", client_input=1)
    await asyncio.sleep(3600)
    await client.suspend("suspended", "why not")
    await asyncio.sleep(60)
    await client.raise_event("suspended", "item")
    await client.start_new(count, "ended", 1)
    await client.raise_event("ended", "go")
    await client.wait_for_completion("ended", 60)
    for host in world.hosts:
        await host.stop()
    await client.raise_event("count-5", "go")  # lies in the inbox: nobody takes it
    assert (await world.outside.hub.instances.load("count-5")).inbox


OPEN_INSTANCES = 4 + 2 + 1 + 1 + 1 + 1  # begun ones; a parent has a child


@pytest.mark.parametrize("partitions", [1, 4])
def test_the_code_that_runs_passes_whatever_its_instances_do(partitions: int) -> None:
    async def scenario(world: World) -> DeployReport:
        await a_bit_of_everything(world)
        rounds = await world.outside.hub.instances.get("rounds")
        assert rounds is not None and rounds.generation == 2
        return await check(world, DEPLOYED)

    report = in_world(scenario, partitions=partitions)
    assert report.is_fine
    assert (report.fitting, report.not_begun, report.ended) == (OPEN_INSTANCES, 1, 0)


def test_what_would_break_is_told_by_the_line_and_once() -> None:
    async def scenario(world: World) -> DeployReport:
        await a_bit_of_everything(world)
        return await check(world, CHANGED)

    report = in_world(scenario)
    assert not report.is_fine
    (broken,) = report.breaking  # count-1, count-5, count-140 and the parent's child; count-0 has made no step yet
    assert (broken.orchestrator, broken.count, len(broken.instance_ids)) == ("count", 4, 4)
    assert broken.line.startswith("replay/programs.py:") and "'shout'" in broken.text and "'echo'" in broken.text
    (missing,) = report.missing
    assert (missing.orchestrator, missing.version, missing.instance_ids) == ("pinned", "1", ["pinned"])
    assert report.troubled == 5 and report.checked == OPEN_INSTANCES + 1
    assert report.to_json()["ok"] is False


def test_an_old_version_that_is_kept_lets_its_instances_go_on() -> None:
    async def scenario(world: World) -> DeployReport:
        await a_bit_of_everything(world)
        return await check(world, KEPT)

    assert in_world(scenario).is_fine


def test_an_instance_that_has_not_begun_needs_its_orchestrator_too() -> None:
    async def scenario(world: World) -> DeployReport:
        await world.client.start_new(count, "later", 2, start_at=world.loop.now() + timedelta(days=1))
        return await check(world, Registry())

    report = in_world(scenario)
    assert [(group.orchestrator, group.count) for group in report.missing] == [("count", 1)]


def test_many_that_break_alike_are_one_error_with_a_few_ids() -> None:
    async def scenario(world: World) -> DeployReport:
        for number in range(300):
            await world.client.start_new(count, f"c{number:03}", 1 + number % 3)
        await asyncio.sleep(600)
        return await check(world, CHANGED)

    report = in_world(scenario)
    (broken,) = report.breaking
    assert (broken.count, len(broken.instance_ids)) == (300, 5)


def test_only_the_instances_asked_for_are_looked_at() -> None:
    async def scenario(world: World) -> tuple[DeployReport, DeployReport]:
        await a_bit_of_everything(world)
        return await check(world, CHANGED, name="collect"), await check(world, DEPLOYED, limit=3)

    of_one, first = in_world(scenario)
    assert of_one.is_fine and of_one.checked == 2
    assert first.checked == 3


def test_an_instance_that_moves_while_it_is_read_is_read_again() -> None:
    """Between the read of its row and that of its chunk row it begins a new generation, and the chunk is collected."""

    async def scenario(world: World) -> tuple[DeployReport, list[str]]:
        client, hub = world.client, world.outside.hub
        await client.start_new(collect, "rounds", 80)
        for _ in range(79):
            await client.raise_event("rounds", "item")
            await asyncio.sleep(2)

        class Meddling(RefusingStorage):
            async def before_read(self, table: str, partition: str, low: str) -> None:
                if low.startswith("h"):
                    await client.raise_event("rounds", "item")
                    await asyncio.sleep(10)
                    now = await hub.instances.get("rounds")
                    assert now is not None and now.generation == 1

        storage = Meddling(world.storage)
        report = await check_deploy(TaskHub(storage, world.settings), DEPLOYED)
        return report, [read for read in storage.reads if "Instances rounds" in read]

    report, reads = in_world(scenario)
    assert [read.split()[0] for read in reads] == ["get", "range", "get"], reads
    assert report.is_fine and report.not_begun + report.fitting == 1


def test_an_instance_that_ends_or_is_purged_meanwhile_is_fine() -> None:
    async def scenario(world: World) -> DeployReport:
        client = world.client
        for name in ("ends", "goes", "stays"):
            await client.start_new(count, name, 1)
        await asyncio.sleep(60)

        class Meddling(RefusingStorage):
            async def before_read(self, table: str, partition: str, low: str) -> None:
                if partition in ("ends", "goes"):
                    await client.raise_event(partition, "go")
                    await client.wait_for_completion(partition, 60)
                if partition == "goes":
                    await client.purge_instance_history("goes")

        return await check_deploy(TaskHub(Meddling(world.storage), world.settings), DEPLOYED)

    report = in_world(scenario)
    assert report.is_fine and (report.fitting, report.ended) == (1, 2)


class BrokenCodec:
    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


def test_what_cannot_be_read_is_told_apart_from_what_would_break() -> None:
    world = World(DEPLOYED, codec=BrokenCodec())

    async def scenario(world: World) -> DeployReport:
        await world.client.start_new(count, "sealed", 1)
        await world.client.start_new(count, "newer", 1)
        await asyncio.sleep(60)
        await world.storage.table("durableInstances").merge("newer", "z", {"fmt": 99})
        return await check(world, DEPLOYED)

    report = world.run(scenario)
    assert not report.is_fine and not report.breaking and not report.missing
    assert {group.instance_ids[0]: group.count for group in report.unreadable} == {"sealed": 1, "newer": 1}
    told = " ".join(group.text for group in report.unreadable)
    assert "codec" in told and "format 99" in told


def test_stuck_instances_are_counted_among_those_that_break() -> None:
    async def scenario(world: World) -> DeployReport:
        await world.client.start_new(collect, "rounds", 2)
        await asyncio.sleep(60)
        await world.client.raise_event("rounds", "item")
        await asyncio.sleep(60)
        await world.outside.hub.instances.mark_stuck("rounds", "history and code disagree")
        async for entry in entries(world.outside.hub, OPEN):
            await world.outside.hub.catalog.note(replace(entry, stuck="history and code disagree"))
        return await check(world, Registry().add(collect_changed))

    (broken,) = in_world(scenario).breaking
    assert (broken.count, broken.stuck) == (1, 1)


async def test_a_hub_that_is_not_there_is_an_error_and_is_not_made() -> None:
    storage = SqliteStorage(":memory:")
    with pytest.raises(ConfigurationError, match="no task hub 'absent'"):
        await check_deploy(TaskHub(RefusingStorage(storage), Settings(hub="absent")), DEPLOYED)
    await storage.close()


def test_a_hub_with_more_partitions_than_the_settings_say_is_refused() -> None:
    """Else the instances of the others would be left out in silence."""

    async def scenario(world: World) -> None:
        for number in range(20):
            await world.client.start_new(count, f"c{number}", 1)
        with pytest.raises(ConfigurationError, match="DURABLE_PARTITIONS"):
            await check_deploy(TaskHub(RefusingStorage(world.storage), Settings(partitions=1)), DEPLOYED)

    in_world(scenario, partitions=4)


def test_memory_is_bounded_by_pages_of_the_catalogue_and_few_instances_at_a_time() -> None:
    async def scenario(world: World) -> tuple[int, int]:
        for number in range(500):
            await world.client.start_new(count, f"c{number:03}", 1)
        await asyncio.sleep(600)

        class Watching(RefusingStorage):
            async def before_read(self, table: str, partition: str, low: str) -> None:
                if low.startswith(OPEN) and table.endswith("Catalog"):
                    pages.append(sum(read.startswith("get") for read in self.reads))

        pages: list[int] = []
        report = await check_deploy(TaskHub(Watching(world.storage), world.settings), DEPLOYED)
        assert report.fitting == 500
        # When the second page is asked for, the first one has been worked off but for what is under way.
        ahead = [min(200 * number, 500) - done for number, done in enumerate(pages[64:])]
        return len(ahead), max(ahead)

    pages, ahead = in_world(scenario)
    assert pages == 4 and ahead <= 2 * 16 + 1


async def test_the_wrapper_of_these_tests_refuses_writes() -> None:
    storage = SqliteStorage(":memory:")
    with pytest.raises(AssertionError):
        await RefusingStorage(storage).table("aTable").insert("p", "k", {})
    await storage.close()
