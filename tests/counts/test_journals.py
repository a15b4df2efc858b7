"""What journaled activities cost: one insert for a step, and nothing while they wait."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import JournalContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.models import Operations
from durable_core.testing.simulation import World

from .test_operations_of_instances import in_classes


async def nothing(number: int) -> int:
    return number


@activity(journal=True)
async def stepping(ctx: JournalContext, steps: int) -> None:
    for number in range(steps):
        await ctx.step("nothing", nothing, number)


@activity(journal=True)
async def at_once(ctx: JournalContext, steps: int) -> None:
    await asyncio.gather(*(ctx.step("nothing", nothing, number) for number in range(steps)))


@activity(journal=True)
async def sleeping(ctx: JournalContext, minutes: int) -> None:
    if minutes:
        await ctx.sleep(timedelta(minutes=minutes))


@orchestrator
def call(ctx: OrchestrationContext, given: list[Any]) -> Orchestration[None]:
    name, number, inline = given
    yield from ctx.call_activity(name, number, inline=inline)


def counted(name: str, number: int, *, inline: bool = True) -> Operations:
    """The operations of an instance, from its start to rest."""

    async def drive(world: World) -> Operations:
        await asyncio.sleep(60)
        before = world.counted.counts
        await world.client.start_new("call", "one", [name, number, inline])
        await world.client.wait_for_completion("one", timeout=3600)
        await asyncio.sleep(30)
        return in_classes(world.counted.counts - before)

    return World(Registry().add(stepping, at_once, sleeping, call), counting=True).run(drive)


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "by_message"])
def test_a_step_costs_one_write(inline: bool) -> None:
    none, many = counted("stepping", 0, inline=inline), counted("stepping", 20, inline=inline)
    assert many.writes - none.writes == 20
    assert many.reads == none.reads
    assert many.messages == none.messages


def test_steps_that_end_together_are_one_write_for_ninety() -> None:
    none, many = counted("at_once", 0), counted("at_once", 100)
    assert many.writes - none.writes <= 2
    assert many.reads == none.reads


def test_a_wait_costs_the_same_however_long_it_is() -> None:
    none, short, long = (counted("sleeping", minutes) for minutes in (0, 1, 5))
    assert short.writes == long.writes
    assert short.messages == long.messages
    assert short.writes - none.writes <= 4, "two commits, a beginning in the journal, and what is known as dispatched"
    assert short.messages - none.messages <= 3, "the reminder of the timer: sent, received, deleted"


def test_ten_thousand_steps_are_a_hundred_odd_writes_and_one_more_is_refused() -> None:
    none, many = counted("at_once", 0), counted("at_once", 10_000)
    assert many.writes - none.writes <= 10_000 // 90 + 2
    assert many.reads == none.reads

    async def drive(world: World) -> str:
        await world.client.start_new("call", "one", ["at_once", 10_001, True])
        ended = await world.client.wait_for_completion("one", timeout=3600)
        assert ended.failure is not None
        return ended.failure.message

    assert "at most 10,000 steps" in World(Registry().add(at_once, call)).run(drive)


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "by_message"])
def test_the_price_of_an_instance_has_its_steps(inline: bool) -> None:
    def said(steps: int) -> Operations:
        async def drive(world: World) -> Operations:
            await world.client.start_new("call", "one", ["stepping", steps, inline])
            ended = await world.client.wait_for_completion("one", timeout=3600)
            assert ended.operations is not None
            return ended.operations

        return World(Registry().add(stepping, call)).run(drive)

    none, many = said(0), said(20)
    assert many.writes - none.writes == 20
    assert many.reads == none.reads
