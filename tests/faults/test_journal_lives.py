"""Journaled activities whose instance is terminated, purged or restarted while a step runs, and their limits."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    JournalContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RuntimeStatus,
    activity,
    orchestrator,
)
from durable_core.testing.simulation import World

from .scenarios import result

RUNS: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def fresh() -> None:
    RUNS.clear()


async def count(name: str) -> str:
    RUNS[name] += 1
    if name == "long":
        await asyncio.sleep(20)
    return f"{name} {RUNS[name]}"


@activity(journal=True)
async def work(ctx: JournalContext) -> list[str]:
    return [await ctx.step(name, count, name) for name in ("short", "long", "last")]


@activity(journal=True, schedule_to_close=timedelta(hours=1))
async def limited(ctx: JournalContext) -> str:
    await ctx.step("short", count, "short")
    await ctx.wait_for_event("Go")
    return await ctx.step("last", count, "last")


@orchestrator
def call_work(ctx: OrchestrationContext, inline: bool) -> Orchestration[list[str]]:
    return (yield from ctx.call_activity(work, inline=inline))


@orchestrator
def call_limited(ctx: OrchestrationContext) -> Orchestration[str]:
    return (yield from ctx.call_activity(limited))


def played(drive: Any) -> Any:
    world = World(Registry().add(work, limited, call_work, call_limited))
    found = world.run(drive)
    assert not world.errors, world.errors
    return found


async def _entries(world: World, instance_id: str = "one") -> list[str]:
    table = world.storage.table(world.outside.hub.names.instances)
    return [row.key for row in (await table.read_range(instance_id, "d", "e")).rows]


async def _under_way(world: World, inline: bool) -> None:
    await world.client.start_new("call_work", "one", inline)
    await asyncio.sleep(10)
    assert RUNS["long"], "it runs for 20 seconds"


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "by_message"])
def test_a_termination_while_a_step_runs_begins_no_other(inline: bool) -> None:
    async def drive(world: World) -> Any:
        await _under_way(world, inline)
        await world.client.terminate("one", "enough")
        ended = await world.client.wait_for_completion("one", timeout=3600)
        await asyncio.sleep(3600)
        return ended.runtime_status, RUNS

    status, runs = played(drive)
    assert status is RuntimeStatus.TERMINATED
    assert runs == {"short": 1, "long": 1}


def test_a_purge_while_a_step_runs_leaves_nothing() -> None:
    async def drive(world: World) -> Any:
        await _under_way(world, inline=False)
        await world.client.terminate("one", "enough")
        await world.client.wait_for_completion("one", timeout=3600)
        assert await world.client.purge_instance_history("one") == 1
        await asyncio.sleep(3600)
        table = world.storage.table(world.outside.hub.names.instances)
        return [row.key for row in (await table.read_range("one")).rows], RUNS

    rows, runs = played(drive)
    assert runs == {"short": 1, "long": 1}
    assert rows == [], "a step that ended behind the purge was recorded"


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "by_message"])
def test_a_restart_while_a_step_runs_begins_with_an_empty_journal(inline: bool) -> None:
    async def drive(world: World) -> Any:
        await _under_way(world, inline)
        await world.client.terminate("one", "again")
        await world.client.wait_for_completion("one", timeout=3600)
        await world.client.restart("one", restart_with_new_instance_id=False)
        told = await result(world, "one")
        await asyncio.sleep(3600)
        return told, await _entries(world)

    told, entries = played(drive)
    assert told == ["short 2", "long 2", "last 1"]
    assert len({key.split("-")[0] for key in entries}) == 1, f"entries of the execution before: {entries}"


def test_the_limit_of_the_whole_call_counts_over_its_waits() -> None:
    async def drive(world: World) -> Any:
        await world.client.start_new("call_limited", "late")
        await world.client.start_new("call_limited", "soon")
        await asyncio.sleep(1800)
        await world.client.raise_event("soon", "Go")
        assert await result(world, "soon") == "last 1"
        await asyncio.sleep(5400)
        await world.client.raise_event("late", "Go")
        ended = await world.client.wait_for_completion("late", timeout=3600)
        assert ended.failure is not None
        return ended.runtime_status, ended.failure.message, RUNS["last"]

    status, message, runs = played(drive)
    assert status is RuntimeStatus.FAILED
    assert "schedule_to_close" in message
    assert runs == 1, "a step has run behind the limit"
