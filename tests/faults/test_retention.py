"""Retention deletes what is old enough, in small bites, and nothing else; a fault at any operation changes nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.errors import ConfigurationError
from durable_core.hub.catalog import CLOSED, ENDED, OPEN
from durable_core.models import RuntimeStatus
from durable_core.settings import Settings
from durable_core.storage.counting import Counts
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each

HOUR = 3600.0
KEEP = {RuntimeStatus.COMPLETED: timedelta(hours=3), RuntimeStatus.FAILED: timedelta(hours=9)}


@orchestrator
def ends(ctx: OrchestrationContext, how: str) -> Orchestration[str]:
    yield from ctx.wait_for_external_event("Go")
    if how == "fails":
        raise ValueError(how)
    return how


def world_of(**options: Any) -> World:
    options.setdefault("settings", Settings(retention=KEEP))
    return World(Registry().add(ends), **options)


async def start(world: World, *instances: tuple[str, str]) -> None:
    for instance_id, how in instances:
        await world.client.start_new("ends", instance_id, how)


async def go(world: World, *instance_ids: str) -> None:
    for instance_id in instance_ids:
        await world.client.raise_event(instance_id, "Go")


async def ids(world: World) -> set[str]:
    return {status.instance_id for status in await world.client.get_status_all()}


async def rows(world: World, kind: str) -> set[str]:
    catalog = world.outside.hub.catalog
    return {entry.instance_id for shard in catalog.shards for entry in await catalog.read(shard, kind)}


def test_each_status_is_kept_for_its_own_time_from_the_end_on() -> None:
    async def drive(world: World) -> None:
        await start(world, ("done", ""), ("failed", "fails"), ("ended", ""), ("late", ""), ("open", ""))
        await go(world, "done", "failed")
        await world.client.terminate("ended")
        await asyncio.sleep(2 * HOUR)
        await go(world, "late")
        assert await ids(world) == {"done", "failed", "ended", "late", "open"}
        await asyncio.sleep(1.1 * HOUR)
        assert await ids(world) == {"failed", "ended", "late", "open"}
        await asyncio.sleep(2 * HOUR)
        assert await ids(world) == {"failed", "ended", "open"}
        await asyncio.sleep(5 * HOUR)
        assert await ids(world) == {"ended", "open"}
        assert await rows(world, ENDED) == await rows(world, CLOSED) == {"ended"}
        assert not await world.client.get_status("failed")

    world_of().run(drive)


def test_without_the_setting_nothing_is_deleted_and_nothing_is_read() -> None:
    async def drive(world: World) -> Counts:
        await start(world, ("done", ""))
        await go(world, "done")
        await asyncio.sleep(30 * HOUR)
        assert await ids(world) == {"done"}
        before = world.counted.counts
        await world.hosts[0].app.recover()
        return world.counted.counts - before

    without = world_of(settings=Settings(), counting=True).run(drive)
    keep = {RuntimeStatus.FAILED: timedelta(hours=1)}
    with_it = world_of(settings=Settings(retention=keep), counting=True).run(drive)
    assert with_it.total == without.total + 1, "one range read in five minutes"


def test_more_than_a_page_is_deleted_in_several_rounds_past_those_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_core.runtime.retention.PAGE", 5)

    async def drive(world: World) -> None:
        names = [(f"{how}{n:02}", how) for n in range(12) for how in ("fails", "ok")]
        await start(world, *names)
        await go(world, *(name for name, _ in names))
        await asyncio.sleep(3 * HOUR - 60)
        assert len(await ids(world)) == 24
        await asyncio.sleep(3600)
        assert await ids(world) == {name for name, how in names if how == "fails"}
        await asyncio.sleep(7 * HOUR)
        assert await ids(world) == set()

    world_of().run(drive)


def test_an_instance_that_was_started_again_is_kept() -> None:
    async def drive(world: World) -> None:
        await start(world, ("one", ""))
        await go(world, "one")
        await asyncio.sleep(2 * HOUR)
        await world.client.start_new("ends", "one", "", if_exists="restart_if_done")
        await asyncio.sleep(20 * HOUR)
        assert await ids(world) == {"one"}

    world_of().run(drive)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_leaves_nothing_and_takes_nothing_else(fault: Fault, totals: Totals) -> None:
    async def drive(world: World) -> tuple[set[str], ...]:
        await start(world, ("a", ""), ("b", "fails"), ("c", ""), ("open", ""))
        await go(world, "a", "b")
        await world.client.terminate("c")
        await asyncio.sleep(10 * HOUR)
        return (await ids(world), await rows(world, OPEN), await rows(world, CLOSED), await rows(world, ENDED))

    def run(plan: FaultPlan) -> tuple[Any, World]:
        world = world_of()
        outcome = world.run(drive, plan)
        assert not world.errors, world.errors
        return outcome, world

    expected: tuple[set[str], ...] = ({"c", "open"}, {"open"}, {"c"}, {"c"})
    strike_each(run, fault, expected, totals)


# ---------------------------------------------------------------- the setting


def test_the_setting_is_read() -> None:
    settings = Settings.from_environment({"DURABLE_RETENTION": "completed=30d, Failed = 12h"})
    assert settings.retention == {
        RuntimeStatus.COMPLETED: timedelta(days=30),
        RuntimeStatus.FAILED: timedelta(hours=12),
    }
    assert Settings.from_environment({}).retention == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "''"),
        ("30d", "30d"),
        ("Completed=30", "Completed=30"),
        ("Completed=30m", "Completed=30m"),
        ("Completed=-1d", "Completed=-1d"),
        ("Completed=0d", "as soon as"),
        ("Running=30d", "Running"),
        ("Done=30d", "Done"),
        ("Completed=1d,Completed=2d", "twice"),
        ("Completed=1d,", "''"),
    ],
)
def test_a_setting_that_cannot_be_read_is_refused_and_says_why(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="DURABLE_RETENTION") as refusal:
        Settings.from_environment({"DURABLE_RETENTION": text})
    assert said in str(refusal.value)
