"""What an explanation and a tree read: a bounded number of times, however long the history and however wide the fan."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, RetryPolicy, activity, orchestrator
from durable_core.testing.simulation import World

EIGHT = RetryPolicy(max_attempts=8, first_interval=timedelta(minutes=8), backoff=1.0)


@activity
def broken(_: Any) -> None:
    raise ValueError("no")


@activity(inline=False)
async def slow(_: Any) -> None:
    await asyncio.sleep(90_000)


@orchestrator
def waits(ctx: OrchestrationContext, rounds: int) -> Orchestration[None]:
    for _ in range(rounds):
        yield from ctx.wait_for_external_event("Again")
    yield from ctx.wait_for_external_event("Go")


@orchestrator
def retries(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(broken, None, retry=EIGHT)


@orchestrator
def works(ctx: OrchestrationContext, width: int) -> Orchestration[None]:
    yield from ctx.task_all([ctx.call_activity(slow, None) for _ in range(width)])


@orchestrator
def fails(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(broken, None)


@orchestrator
def calls(ctx: OrchestrationContext, levels: int) -> Orchestration[None]:
    if levels == 0:
        yield from ctx.wait_for_external_event("Go")
    yield from ctx.task_all([ctx.call_sub_orchestrator(calls, levels - 1, f"{ctx.instance_id}.{n}") for n in range(3)])


@orchestrator
def above(ctx: OrchestrationContext, width: int) -> Orchestration[None]:
    yield from ctx.call_sub_orchestrator(works, width)


def world() -> World:
    return World(Registry().add(broken, slow, waits, retries, works, fails, calls, above), counting=True, quiet=True)


LONG = 150  # commits: the older ones lie in a chunk row

COSTS: list[tuple[str, object, int, dict[str, int]]] = [
    ("waits", 0, 0, {"table.read_range": 1}),
    ("waits", LONG, LONG, {"table.read_range": 2}),
    ("retries", None, 0, {"table.read_range": 1}),
    ("fails", None, 0, {"table.read_range": 1}),
    ("works", 1, 0, {"table.read_range": 2, "table.get": 1, "queue.count": 1, "queue.oldest": 1}),
    ("works", 100, 0, {"table.read_range": 2, "table.get": 1, "queue.count": 1, "queue.oldest": 1}),
    ("works", "below", 0, {"table.read_range": 3, "table.get": 1, "queue.count": 1, "queue.oldest": 1}),
    ("calls", 0, 0, {"table.read_range": 1}),
    ("calls", 1, 0, {"table.read_range": 2}),
    ("calls", 2, 0, {"table.read_range": 3}),
    ("nobody", None, 0, {"table.read_range": 2}),
]


@pytest.mark.parametrize(("name", "data", "events", "expected"), COSTS, ids=lambda each: str(each)[:20])
def test_what_an_explanation_reads(name: str, data: object, events: int, expected: dict[str, int]) -> None:
    async def read(world: World) -> dict[str, int]:
        if data == "below":
            await world.client.start_new("above", "i", 1)
        elif name != "nobody":
            await world.client.start_new(name, "i", data)
        for _ in range(events):
            await world.client.raise_event("i", "Again")
            await asyncio.sleep(1)
        await asyncio.sleep(60)
        before = world.counted.counts
        await world.client.explain("i")
        return dict((world.counted.counts - before).by_kind)

    assert world().run(read) == expected


def test_what_a_tree_reads() -> None:
    async def read(world: World) -> tuple[int, int]:
        await world.client.start_new("calls", "i", 3)
        await asyncio.sleep(60)
        before = world.counted.counts
        tree = await world.client.tree("i")
        return (world.counted.counts - before).total, str(tree.to_json()).count("instanceId")

    operations, instances = world().run(read)
    assert instances == 1 + 3 + 9 + 27
    assert operations == instances
