"""A stuck instance is terminated and purged though its code cannot run; a fault at any operation changes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.errors import DamagedRowError
from durable_core.hub.keys import INSTANCE_KEY
from durable_core.models import RuntimeStatus
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import Accepted, check, come_to_rest, watched
from .scenarios import Effects


@orchestrator
def child(ctx: OrchestrationContext) -> Orchestration[None]:
    yield ctx.wait_for_external_event("never")


def old_code(effects: Effects) -> Registry:
    @activity(inline=False)
    def note(ctx: ActivityContext, text: str) -> str:
        effects.runs[ctx.idempotency_key] += 1
        return text

    @orchestrator
    def changing(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.call_sub_orchestrator(child, None, "child")
        yield ctx.call_activity(note, "old")
        yield ctx.wait_for_external_event("Go")
        yield ctx.call_activity(note, "new")

    return Registry().add(note, child, changing)


def changed_code() -> Registry:
    """The child is as it was; history and code of its parent disagree."""

    @orchestrator
    def changing(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.wait_for_external_event("something else")

    return Registry().add(child, changing)


def code_without_it() -> Registry:
    """As ``changed_code``, but without the parent."""

    return Registry().add(child)


def code_that_reads_a_file() -> Registry:
    """It agrees with history, and is stopped by the guard in its next step."""

    @activity(name="note")
    def note(text: str) -> str:
        return text

    @orchestrator
    def changing(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.call_sub_orchestrator(child, None, "child")
        yield ctx.call_activity(note, "old")
        yield ctx.wait_for_external_event("Go")
        Path(__file__).read_text()

    return Registry().add(note, child, changing)


@dataclass
class New:
    """The hosts with the new code."""

    plans: list[FaultPlan]


def run(code: Registry, plan: FaultPlan) -> tuple[Any, New]:
    """Begun with the old code, stuck with the new one, terminated, purged. ``plan``: of the host with the new code."""
    effects = Effects()
    world = World(old_code(effects), settings=Settings(guard=True))
    oracle = watched(world)

    async def drive(world: World) -> Any:
        accepted, client = Accepted(world), world.client
        await client.start_new("changing", "one")
        await asyncio.sleep(5)
        await world.hosts.pop().stop()
        world.add_host(code, plan=plan)
        await client.raise_event("one", "Go")
        await asyncio.sleep(700)
        assert (await client.get_status("one")).stuck_reason
        await client.terminate("one", "of no use any more")
        ended = await client.wait_for_completion("one", 7200)
        child = await client.wait_for_completion("child", 7200)
        await come_to_rest(world)
        await check(world, effects, oracle=oracle, accepted=accepted)
        purged = await client.purge_instance_history("one")
        return ended.runtime_status, ended.output, child.runtime_status, purged, max(effects.runs.values())

    outcome = world.run(drive)
    assert not world.errors, world.errors
    return outcome, New(world.plans[1:])


CODES = [changed_code, code_without_it, code_that_reads_a_file]
ENDED = (RuntimeStatus.TERMINATED, "of no use any more", RuntimeStatus.TERMINATED, 1, 1)


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("code", CODES)
def test_a_stuck_instance_is_terminated_with_its_children_and_purged(code: Any, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(code(), plan), fault, ENDED, totals)


@pytest.mark.parametrize("event", ['["RC",1,"soon"]', '["RC",1,-1e300]', '["TF",1,7]', '["XO",null]'])
def test_an_instance_whose_history_no_version_can_read_says_so_and_can_be_terminated(event: str) -> None:
    async def drive(world: World) -> None:
        client, table = world.client, world.storage.table(world.outside.hub.names.instances)
        await client.start_new("child", "one")
        await asyncio.sleep(60)
        row = await table.get("one", INSTANCE_KEY)
        assert row is not None
        commit = str(row.props["s0_0"])
        await table.merge("one", INSTANCE_KEY, {"s0_0": f"{commit[:-2]},{event}]]"})
        await client.raise_event("one", "Go")
        await client.recover()
        await asyncio.sleep(60)
        assert f"'{event[2:4]}' event" in str((await client.get_status("one")).stuck_reason)
        with pytest.raises(DamagedRowError, match="history"):
            await client.get_status("one", show_history=True)
        await client.terminate("one", "broken")
        ended = await client.wait_for_completion("one", 60)
        assert (ended.runtime_status, ended.output) == (RuntimeStatus.TERMINATED, "broken")
        assert await client.purge_instance_history("one") == 1
        assert not world.errors, world.errors

    World(changed_code()).run(drive)
