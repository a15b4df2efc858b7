"""An instance that cannot go on can be ended and purged without its code, spins nowhere, and goes on once mended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import DurableClient, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hub.catalog import OPEN
from durable_core.models import OrchestrationStatus, RuntimeStatus
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import SimulatedHost, World
from tests.support.worlds import stop_all_hosts

from .oracle import check_history, come_to_rest
from .test_holes import Bomb

HOUR = 3600.0
DAY = 24 * HOUR


class Code:
    """Two deployments of one app: the second one's orchestrators do not fit the first one's histories."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()
        lines = self.lines

        @activity
        def note(what: str) -> str:
            lines[what] += 1
            return what

        @activity
        def other(what: str) -> str:
            return what

        @orchestrator
        def leaf(ctx: OrchestrationContext, name: str) -> Orchestration[str]:
            lines[f"leaf {name}"] += 1
            yield ctx.wait_for_external_event("never")
            return name

        @orchestrator(name="family")
        def family(ctx: OrchestrationContext) -> Orchestration[str]:
            lines["first build"] += 1
            yield ctx.call_activity(note, "begun")
            yield from ctx.task_all([ctx.call_sub_orchestrator(leaf, name, f"leaf {name}") for name in "ab"])
            return "never"

        @orchestrator(name="family")
        def moved(ctx: OrchestrationContext) -> Orchestration[str]:
            lines["second build"] += 1
            yield ctx.call_activity(other, "begun")
            return "never"

        @orchestrator
        def above(ctx: OrchestrationContext) -> Orchestration[str]:
            child = ctx.call_sub_orchestrator("family", None, "one")
            winner = yield from ctx.task_any([child])
            return f"{winner.is_faulted}"

        self.first = Registry().add(note, leaf, family, above)
        self.second = Registry().add(note, other, leaf, moved, above)
        self.without = Registry().add(note, leaf, above)


async def replace_host(world: World, registry: Registry) -> SimulatedHost:
    await stop_all_hosts(world)
    return world.add_host(registry)


async def until(holds: Callable[[OrchestrationStatus], bool], client: DurableClient, name: str) -> OrchestrationStatus:
    for _ in range(400):
        status = await client.get_status(name, show_history=True)
        if holds(status):
            return status
        await asyncio.sleep(20)
    raise AssertionError(await client.get_status(name))


def is_stuck(status: OrchestrationStatus) -> bool:
    return bool(status.stuck_reason)


def has_ended(status: OrchestrationStatus) -> bool:
    return status.is_terminal


async def make_stuck(world: World, code: Code, later: Registry, start: str = "family") -> None:
    """The instance runs, its children wait; then the other deployment meets it."""
    world.add_host(code.first)
    await world.outside.client.start_new(start, "one" if start == "family" else "above")
    for name in ("leaf a", "leaf b"):
        await until(lambda status: status.runtime_status is RuntimeStatus.RUNNING, world.client, name)
    await replace_host(world, later)
    await world.client.raise_event("one", "nobody waits for it")
    await until(is_stuck, world.client, "one")


@pytest.mark.parametrize("what", ["another code", "no code"])
@pytest.mark.parametrize("recursive", [True, False], ids=["recursive", "alone"])
def test_a_stuck_instance_is_terminated_and_purged_without_its_code(what: str, recursive: bool) -> None:
    code = Code()
    world = World(code.first, hosts=0)

    async def drive(world: World) -> None:
        await make_stuck(world, code, code.second if what == "another code" else code.without, "above")
        await asyncio.sleep(HOUR)
        ran = Counter(code.lines)
        await world.client.terminate("one", "enough of it", recursive=recursive)
        status = await until(has_ended, world.client, "one")
        assert (status.runtime_status, status.output) == (RuntimeStatus.TERMINATED, "enough of it")
        assert status.stuck_reason is None
        assert status.history_events is not None
        check_history(status.history_events)
        assert (await until(has_ended, world.client, "above")).output == "True", "its parent was told"
        for name in ("leaf a", "leaf b"):
            if recursive:
                child = await until(has_ended, world.client, name)
                assert (child.runtime_status, child.output) == (RuntimeStatus.TERMINATED, "enough of it")
            else:
                await asyncio.sleep(HOUR)
                assert not (await world.client.get_status(name)).is_terminal
        assert code.lines["first build"] == ran["first build"]
        assert code.lines["second build"] == ran["second build"]
        assert await world.client.purge_instance_history("one") == 1
        if recursive:
            await come_to_rest(world)

    world.run(drive)
    assert not world.errors, world.errors
    assert code.lines["begun"] == 1


def test_a_cancellation_waits_until_the_code_of_a_stuck_instance_is_back() -> None:
    code = Code()
    world = World(code.first, hosts=0)

    async def drive(world: World) -> None:
        await make_stuck(world, code, code.second)
        await world.client.cancel("one", "please")
        await asyncio.sleep(2 * HOUR)
        status = await world.client.get_status("one")
        assert not status.is_terminal
        assert is_stuck(status)
        await replace_host(world, code.first)
        assert (await until(has_ended, world.client, "one")).runtime_status is RuntimeStatus.CANCELED
        await come_to_rest(world)

    world.run(drive)
    assert not world.errors, world.errors


def test_an_instance_whose_version_was_never_deployed_is_terminated_before_it_has_begun() -> None:
    code = Code()
    world = World(code.first, hosts=0)

    async def drive(world: World) -> None:
        world.add_host(code.without)
        await world.client.start_new("family", "one")
        status = await until(is_stuck, world.client, "one")
        assert "family" in (status.stuck_reason or "")
        await world.client.terminate("one", "never mind")
        assert (await until(has_ended, world.client, "one")).output == "never mind"
        await come_to_rest(world)

    world.run(drive)
    assert not code.lines


def test_a_history_that_nobody_can_read_is_ended_after_the_patience_of_a_deployment() -> None:
    """Written by a later version, say. Who its children are is not known then, and they run on."""
    code = Code()
    world = World(code.first, hosts=0)

    async def drive(world: World) -> None:
        await make_stuck(world, code, code.without)
        table = world.storage.table(world.outside.hub.names.instances)
        await table.merge("one", "z", {"s1_0": '["c1",1.0,[["event of tomorrow"]]]'})
        await world.client.terminate("one", "enough")
        await asyncio.sleep(300)
        assert not (await world.client.get_status("one")).is_terminal, "somebody may still be able to read it"
        status = await world.client.wait_for_completion("one", 2 * HOUR)
        assert (status.runtime_status, status.output) == (RuntimeStatus.TERMINATED, "enough")
        assert await world.client.purge_instance_history("one") == 1

    world.run(drive)
    assert not world.errors, world.errors


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_changes_nothing_of_the_end_of_a_stuck_instance(fault: Fault) -> None:
    def run(plan: FaultPlan) -> dict[str, Any]:
        code = Code()
        world = World(code.second, hosts=0)

        async def drive(world: World) -> dict[str, Any]:
            await make_stuck(world, code, code.second, "above")
            await replace_host(world, code.without)
            world.hosts[0].plan.strikes = {len(world.hosts[0].plan.operations) + n: f for n, f in plan.strikes.items()}
            plan.operations = world.hosts[0].plan.operations
            begun = len(plan.operations)
            await world.client.terminate("one", "enough")
            await come_to_rest(world)
            del plan.operations[:begun]
            found = {s.instance_id: s for s in await world.client.get_status_all()}
            for shard in world.outside.hub.catalog.shards:
                assert not await world.outside.hub.catalog.read(shard, OPEN)
            return {name: (status.runtime_status, status.output) for name, status in found.items()}

        outcome = world.run(drive)
        assert not world.errors, world.errors
        return outcome

    calm = FaultPlan()
    expected = run(calm)
    assert set(expected) == {"above", "one", "leaf a", "leaf b"}
    assert len(calm.operations) > 10
    for number in range(len(calm.operations)):
        assert run(FaultPlan({number: fault})) == expected, f"{fault} at operation {number}"


def make_bombs() -> tuple[Registry, Bomb]:
    """An orchestrator that takes its host down whenever it is replayed, and one that does not."""
    bomb = Bomb()

    @activity
    def well(number: int) -> int:
        return number + 1

    @orchestrator
    def doomed(ctx: OrchestrationContext) -> Orchestration[int]:
        value = yield from ctx.wait_for_external_event("go", int)
        bomb.touch(ctx.instance_id)
        return value

    @orchestrator
    def healthy(ctx: OrchestrationContext) -> Orchestration[int]:
        value = 0
        while value < 40:
            value = yield from ctx.call_activity(well, value, inline=False)
            yield ctx.create_timer(timedelta(seconds=20))
        return value

    return Registry().add(well, doomed, healthy), bomb


def test_an_orchestrator_that_kills_its_host_is_shown_spares_the_others_and_does_not_spin() -> None:
    registry, bomb = make_bombs()

    async def drive(world: World) -> None:
        bomb.world = world
        await world.client.start_new("doomed", "bad")
        await world.client.start_new("healthy", "good")
        await world.client.raise_event("bad", "go", 7)
        status = await until(is_stuck, world.client, "bad")
        assert "moved to the poison queue" in (status.stuck_reason or "")
        assert (await until(has_ended, world.client, "good")).output == 40
        first = sum(bomb.blasts.values())
        await asyncio.sleep(DAY)
        looks = sum(bomb.blasts.values()) - first
        assert 0 < looks <= 5 * 10, f"{looks} crashes in a day: five at each look, looks ever rarer"
        await asyncio.sleep(4 * DAY)
        assert sum(bomb.blasts.values()) - first - looks <= 5 * 4 * 5, "at most one look in six hours"
        bomb.armed = False
        await world.outside.recover(full=True)
        assert (await until(has_ended, world.client, "bad")).output == 7
        await come_to_rest(world)

    world = World(registry)
    world.run(drive)
    assert not world.errors, world.errors


def test_what_was_shown_as_stuck_goes_on_by_itself_once_it_is_mended() -> None:
    registry, bomb = make_bombs()

    async def drive(world: World) -> None:
        bomb.world = world
        await world.client.start_new("doomed", "bad")
        await world.client.raise_event("bad", "go", 7)
        await until(is_stuck, world.client, "bad")
        bomb.armed = False
        assert (await until(has_ended, world.client, "bad")).output == 7
        assert not any(s.stuck_reason for s in await world.client.get_status_all())
        await come_to_rest(world)

    world = World(registry)
    world.run(drive)
    assert not world.errors, world.errors


@pytest.mark.parametrize("shown", [True, False], ids=["when it is stuck", "before that is known"])
def test_an_orchestrator_that_kills_its_host_is_terminated_and_purged(shown: bool) -> None:
    registry, bomb = make_bombs()

    async def drive(world: World) -> None:
        bomb.world = world
        await world.client.start_new("doomed", "bad")
        await world.client.raise_event("bad", "go", 7)
        await asyncio.sleep(5)
        if shown:
            await until(is_stuck, world.client, "bad")
        before = sum(bomb.blasts.values())
        await world.client.terminate("bad", "enough")
        status = await until(has_ended, world.client, "bad")
        assert (status.runtime_status, status.output) == (RuntimeStatus.TERMINATED, "enough")
        if shown:
            assert sum(bomb.blasts.values()) == before, "its code does not run again"
        assert await world.client.purge_instance_history("bad") == 1
        await come_to_rest(world)
        assert await world.client.get_status_all() == []

    world = World(registry)
    world.run(drive)
    assert not world.errors, world.errors
