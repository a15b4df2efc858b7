"""The row says what the code waits for: through retries, children and generations, and a fault at any operation."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    orchestrator,
)
from durable_core.codec import PayloadCodec
from durable_core.converter import Converter
from durable_core.errors import InstanceNotFoundError
from durable_core.models import OrchestrationStatus
from durable_core.runtime.turn.cached import definition_for, info_of, replayed
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each

PATIENCE = RetryPolicy(max_attempts=5, first_interval=timedelta(minutes=8), backoff=1.0)


class Backwards(PayloadCodec):
    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


@activity
def flaky(ctx: ActivityContext, _: None) -> None:
    if ctx.attempt == 1:
        raise ValueError("the first attempt fails")


@orchestrator
def child(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.wait_for_external_event("Go"))


@orchestrator
def stages(ctx: OrchestrationContext, generation: int) -> Orchestration[str]:
    if generation == 0:
        yield from ctx.call_activity(flaky, None, retry=PATIENCE)
        yield from ctx.call_sub_orchestrator(child, None, "child")
        ctx.continue_as_new(1)
        return ""
    yield from ctx.task_any([ctx.create_timer(timedelta(hours=1)), ctx.wait_for_external_event("never")])
    return "done"


STAGES = [["retry flaky"], ["child child"], ["timer ", "event never"], []]


async def comes_to_wait(world: World, waits: list[str]) -> OrchestrationStatus:
    status = await world.client.get_status("one")
    for _ in range(400):
        if [f"{wait.kind} {wait.name}" for wait in status.waits] == waits and (waits or status.is_terminal):
            return status
        await asyncio.sleep(10)
        status = await world.client.get_status("one")
    raise AssertionError(f"waits for {status.waits} and not for {waits}")


async def could_raise(world: World, instance_id: str) -> bool:
    """Whether the event was sent: an outage may outlast the pause, and the instance is not there before."""
    try:
        await world.client.raise_event(instance_id, "Go")
    except InstanceNotFoundError:
        return False
    return True


async def drive(world: World) -> str:
    await world.client.start_new("stages", "one", 0)
    for stage in STAGES:
        status = await comes_to_wait(world, stage)
        if stage == STAGES[1]:
            await world.client.suspend("one", "a look")
            await asyncio.sleep(60)
            assert (await world.client.get_status("one")).waits == status.waits
            await world.client.resume("one")
            while not await could_raise(world, "child"):  # noqa: ASYNC110  virtual time
                await asyncio.sleep(30)
    return (await world.client.get_status("one")).output


def run(plan: FaultPlan, *, cold: bool = False, codec: PayloadCodec | None = None) -> tuple[str, World]:
    settings = Settings(warm_cache=0) if cold else None
    world = World(Registry().add(flaky, child, stages), settings=settings, codec=codec)
    outcome = world.run(drive, plan)
    assert not world.errors, world.errors
    return outcome, world


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_what_it_waits_for_survives_a_fault_at_any_storage_operation(fault: Fault, cold: bool, totals: Totals) -> None:
    strike_each(lambda plan: run(plan, cold=cold), fault, "done", totals)


def test_it_is_the_same_as_a_replay_says() -> None:
    async def look(world: World) -> None:
        await world.client.start_new("stages", "one", 0)
        for stage in STAGES[1:3]:
            status = await comes_to_wait(world, stage)
            app = world.hosts[0].app
            loaded = (await app.hub.instances.load("one")).instance
            assert loaded is not None
            segments = await app.hub.instances.history(loaded)
            live = replayed(definition_for(app.registry, "stages", ""), info_of(loaded, ""), Converter(), segments)
            assert [(wait.name, wait.line, wait.task_id) for wait in live.waits] == [
                (wait.name, wait.line, wait.task_id) for wait in status.waits
            ]
            live.close()
            if stage == STAGES[1]:
                await world.client.raise_event("child", "Go")

    World(Registry().add(flaky, child, stages)).run(look)


def test_with_a_codec_no_name_or_line_is_stored_as_plain_text() -> None:
    async def look(world: World) -> str:
        await world.client.start_new("stages", "one", 0)
        await comes_to_wait(world, STAGES[0])
        row = await world.storage.table(world.outside.hub.names.instances).get("one", "z", ["waits"])
        assert row is not None
        return str(row.props["waits"])

    stored = World(Registry().add(flaky, child, stages), codec=Backwards()).run(look)
    assert stored.startswith("~enc:")


def test_a_host_without_the_codec_shows_the_status_and_the_reason() -> None:
    async def look(world: World) -> OrchestrationStatus:
        await world.client.start_new("stages", "one", 0)
        await comes_to_wait(world, STAGES[0])
        await world.replace_hosts(None)
        return await world.hosts[0].app.client.get_status("one")

    status = World(Registry().add(flaky, child, stages), codec=Backwards()).run(look)
    assert status.waits == ()
    assert "codec" in (status.stuck_reason or "")


@pytest.mark.parametrize("codec", [None, Backwards()], ids=["plain", "encoded"])
def test_the_status_names_the_parents_call_the_generation_and_why_it_is_suspended(codec: PayloadCodec | None) -> None:
    async def look(world: World) -> None:
        client = world.client
        await client.start_new("stages", "one", 0)
        await comes_to_wait(world, STAGES[1])
        of_child = await client.get_status("child")
        assert (of_child.parent_instance_id, of_child.parent_task_id) == ("one", 2)
        await client.suspend("one", "fraud check")
        await asyncio.sleep(60)
        suspended = await client.get_status("one")
        assert (suspended.pause_reason, suspended.generation) == ("fraud check", 0)
        row = await world.storage.table(world.outside.hub.names.instances).get("one", "z", ["pause"])
        assert row is not None
        assert (row.props["pause"] == "fraud check") is (codec is None)
        await client.resume("one")
        await client.raise_event("child", "Go")
        status = await comes_to_wait(world, STAGES[2])
        assert (status.pause_reason, status.generation) == (None, 1)

    World(Registry().add(flaky, child, stages), codec=codec).run(look)
