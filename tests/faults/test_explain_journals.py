"""What ``explain`` says of a journaled activity: how far it has come, and what its running step has met."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    JournalContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    orchestrator,
)
from durable_core.testing.simulation import World

from .explained import HOSTILE, Look, tell

OFTEN = RetryPolicy(max_attempts=9, first_interval=timedelta(minutes=10), backoff=1.0)


SOON = RetryPolicy(max_attempts=9, first_interval=timedelta(seconds=8), backoff=1.0)


async def fine(number: int) -> int:
    await asyncio.sleep(1)
    return number


async def refuse() -> None:
    raise ValueError(f"the bank says no {HOSTILE}")


async def wait_long() -> None:
    await asyncio.sleep(5 * 3600)


@activity(journal=True)
async def trip(ctx: JournalContext, ending: str) -> None:
    for number in range(3):
        await ctx.step("book", fine, number)
    if ending == "retries":
        await ctx.step("charge", refuse, retry=SOON)
    if ending == "many":
        await asyncio.gather(*(ctx.step("ask", wait_long, key=str(number)) for number in range(8)))
    if ending == "fails":
        await ctx.step("charge", refuse)
    await ctx.wait_for_event("Go")
    await ctx.step("long", wait_long)


@activity(journal=True)
async def empty(ctx: JournalContext) -> None:
    await ctx.step("long", wait_long)


@orchestrator
def travel(ctx: OrchestrationContext, ending: str) -> Orchestration[None]:
    yield from ctx.call_activity(trip, ending, inline=False, retry=OFTEN)


@orchestrator
def travel_empty(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(empty, inline=False)


@pytest.fixture
def world() -> World:
    return World(Registry().add(trip, empty, travel, travel_empty))


def test_the_running_step_its_tries_and_what_is_recorded(world: World) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("travel", "one", "retries")
        await asyncio.sleep(25)
        found = await look("one")
        assert "3 steps of it are recorded; the last, 'book' (call 3 of this name) (" in found.sentence
        explained = await world.hosts[0].app.client.explain("one")
        assert "Step 'charge' (call 1 of this name) runs (" in explained.sentence
        # Its run was handed over after 60 % of the lease, and the next one counts the tries anew.
        assert "has failed 2 times: ValueError: the bank says no" in explained.sentence
        assert explained.details["recordedSteps"] == 3
        steps: Any = explained.details["steps"]
        assert [(step["name"], step["failed"]) for step in steps] == [("'charge' (call 1 of this name)", 2)]
        await world.client.terminate("one", "enough")

    tell(story, True, world)


def test_many_steps_at_once_are_counted(world: World) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("travel", "one", "many")
        await asyncio.sleep(20)
        await look("one")
        explained = await world.hosts[0].app.client.explain("one")
        assert "Step 'ask' (key '0') runs (" in explained.sentence
        assert "3 more run." in explained.sentence
        await world.client.terminate("one", "enough")

    tell(story, True, world)


def test_an_attempt_that_has_failed_names_its_step_and_keeps_the_others(world: World) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("travel", "one", "fails")
        await asyncio.sleep(60)
        found = await look("one")
        assert found.cause == "retry"
        assert "step 'charge' (call 1 of this name) failed: ValueError" in found.sentence
        assert "3 steps of it are recorded" in found.sentence
        await world.client.terminate("one", "enough")

    tell(story, True, world)


@pytest.mark.parametrize("has_code", [True, False])
def test_behind_a_wait_the_steps_before_it_count_too(world: World, has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("travel", "one", "waits")
        await asyncio.sleep(60)
        assert (await look("one")).cause == "event"
        await world.client.raise_event("one", "Go")
        await asyncio.sleep(60)
        assert "3 steps of it are recorded" in (await look("one")).sentence
        await world.client.terminate("one", "enough")

    tell(story, has_code, world)


def test_no_step_is_recorded_yet(world: World) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("travel_empty", "one")
        await asyncio.sleep(60)
        assert "None of its steps is recorded." in (await look("one")).sentence
        await world.client.terminate("one", "enough")

    tell(story, True, world)
