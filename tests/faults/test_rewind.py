"""A rewind, its dispatch and what follows: right, and right when a host fails at any of its storage operations."""

from __future__ import annotations

import asyncio

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.settings import Settings
from durable_core.testing.faults import Fault
from durable_core.testing.simulation import World
from tests.support.totals import Totals
from tests.support.worlds import stop_all_hosts

from .exhaustive import strike_each
from .rewinds import SCENARIOS, Mending, Rewound, run, until_ended


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_of_a_rewind_changes_no_outcome(
    scenario: Rewound, fault: Fault, totals: Totals
) -> None:
    strike_each(lambda plan: run(scenario, plan), fault, scenario.expected, totals)


@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.STALL])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_so_too_when_every_message_replays_the_stored_history(scenario: Rewound, fault: Fault, totals: Totals) -> None:
    strike_each(
        lambda plan: run(scenario, plan, settings=Settings(warm_cache=0)), fault, scenario.expected, totals, at_most=1
    )


# ---------------------------------------------------------------- results that do not fit


def test_a_result_that_did_not_fit_is_told_to_code_that_is_mended() -> None:
    runs: list[int] = []

    @activity
    async def count() -> object:
        runs.append(1)
        return "three" if len(runs) == 1 else 3

    @orchestrator(name="counts")
    def strict(ctx: OrchestrationContext) -> Orchestration[object]:
        return (yield from ctx.call_activity("count", returns=int))

    @orchestrator(name="counts")
    def mended(ctx: OrchestrationContext) -> Orchestration[object]:
        return (yield from ctx.call_activity("count", returns=str))

    async def drive(world: World) -> object:
        await world.client.start_new("counts", "one")
        await until_ended(world)
        await stop_all_hosts(world)
        host = world.add_host(registry=Registry().add(count, mended))
        rewound = await host.app.client.rewind("one")
        assert rewound.undone == ()
        return (await world.client.wait_for_completion("one", 3600)).output

    world = World(Registry().add(count, strict))
    assert world.run(drive) == "three" and len(runs) == 1
    assert not world.errors, world.errors


# ---------------------------------------------------------------- events of earlier generations


def remembers(effects: Mending) -> Registry:
    @activity
    async def brittle(ctx: ActivityContext) -> str:
        effects.runs[ctx.idempotency_key] += 1
        effects.fail()
        return "mended"

    @orchestrator
    def listens(ctx: OrchestrationContext, heard: list[str]) -> Orchestration[list[str]]:
        """Takes one event in each of three generations, and fails in the last one after that."""
        heard.append((yield from ctx.wait_for_external_event("Told", str)))
        if len(heard) < 3:
            ctx.continue_as_new(heard)
            return heard
        heard.append((yield from ctx.call_activity(brittle)))
        heard.append((yield from ctx.wait_for_external_event("Told", str)))
        return heard

    return Registry().add(brittle, listens)


def test_what_earlier_generations_were_told_is_not_told_again_after_a_rewind_or_to_a_fork() -> None:
    """Events with an id of their own that are raised again, and again after the instance has continued as new."""
    effects = Mending()
    world = World(remembers(effects))

    async def tell(world: World, *texts: str) -> None:
        for text in texts:
            await world.client.raise_event("one", "Told", text, event_id=text)
            await asyncio.sleep(60)

    async def drive(world: World) -> list[object]:
        await world.client.start_new("listens", "one", [])
        await tell(world, "a", "b", "a", "c")
        await until_ended(world)
        assert (await world.client.get_status("one")).generation == 2
        effects.broken = False
        await world.client.rewind("one")
        forked = await world.client.fork("one", until_task=1, new_instance_id="two")
        await asyncio.sleep(60)
        assert [wait.kind for wait in (await world.client.get_status("two")).waits] == ["event"]
        await tell(world, "a", "b", "c", "d")
        await world.client.raise_event("two", "Told", "d", event_id="a")
        assert forked.again
        return [(await world.client.wait_for_completion(name, 3600)).output for name in ("one", "two")]

    assert world.run(drive) == [["a", "b", "c", "mended", "d"]] * 2
    assert not world.errors, world.errors
