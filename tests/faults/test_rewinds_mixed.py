"""Rewinds among other things: several hosts and faults, late messages, further rewinds, purges and restarts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from durable_core.errors import (
    DurableError,
    InstanceCompletedError,
    InstanceNotFoundError,
    OperationRefusedError,
    StorageUnavailableError,
)
from durable_core.models import RuntimeStatus
from durable_core.replay.history import from_text, to_text
from durable_core.replay.replayer import load_history, replay
from durable_core.testing.faults import FaultPlan
from durable_core.testing.simulation import HostShape, World
from tests.support.totals import Totals
from tests.support.worlds import stop_all_hosts

from .exhaustive import IS_SOAK, count, replay_seed
from .oracle import check, come_to_rest, run_judged, watched
from .rewinds import SCENARIOS, Mending, Rewound, make_registry, until_ended
from .soak import Chaos

SEEDS = range(60 if IS_SOAK else 4)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.name != "timed out"], ids=lambda s: s.name)
def test_with_several_hosts_and_faults_a_rewound_instance_ends_as_it_should(
    scenario: Rewound, seed: int, totals: Totals
) -> None:
    """Hosts, faults, late and doubled messages are drawn from the seed, for the failed run and for the next."""
    effects, chaos = Mending(), Chaos(seed, calm=False)
    world = World(
        make_registry(effects),
        hosts=len(chaos.roles),
        seed=seed,
        settings=chaos.settings,
        shape=chaos.shape,
        outside=FaultPlan(pause=chaos.pause),
    )

    async def drive(world: World) -> Any:
        client = world.client
        await client.start_new(scenario.orchestrator, "one", scenario.data)
        is_late = False
        if scenario.before is not None:
            try:
                await scenario.before(world)
            except InstanceCompletedError:  # it failed before the second event was sent
                is_late = True
        await until_ended(world)
        await asyncio.sleep(random.Random(seed).choice([0.0, 1.0, 60.0, 4000.0]))
        effects.broken = False
        while True:
            with suppress(OperationRefusedError):  # a child that was told to end has not ended yet
                # A request that comes with the start makes all void: the child, too, which is not undone.
                await client.rewind("one", force=scenario.force or scenario.before is not None)
                break
            await asyncio.sleep(60)
        if scenario.after is not None:
            await scenario.after(world)
        if is_late:
            await client.raise_event("one", "Second", "b")
        for _ in range(3):  # a late failure of another call of the fan-out may have ended it again
            await come_to_rest(world)
            if (await client.get_status("one")).runtime_status is RuntimeStatus.COMPLETED:
                break
            await client.rewind("one", force=scenario.force)
        await asyncio.sleep(1800)
        status = await client.get_status("one")
        return status.output if status.runtime_status is RuntimeStatus.COMPLETED else status.failure

    try:
        found = run_judged(world, effects, drive)
    except BaseException as error:
        raise AssertionError(f"{error}\n{replay_seed(seed)}") from error
    if scenario.name == "timer":
        assert found is not None
    else:
        assert found == scenario.expected, replay_seed(seed)
    count(totals, world)


def calmly(drive: Callable[[World, Mending], Awaitable[Any]], **options: Any) -> Any:
    """Run it in a world without faults."""
    effects = Mending()
    world = World(make_registry(effects), **options)
    oracle = watched(world)

    async def scenario(world: World) -> Any:
        found = await drive(world, effects)
        await come_to_rest(world)
        await asyncio.sleep(1800)
        await check(world, effects, oracle=oracle)
        return found

    found = world.run(scenario)
    assert not world.errors, world.errors
    return found


async def failed(world: World, orchestrator: str = "chain") -> None:
    await world.client.start_new(orchestrator, "one")
    await until_ended(world)
    await asyncio.sleep(60)


async def output(world: World) -> Any:
    await until_ended(world)
    return (await world.client.get_status("one")).output


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("name", ["chain", "queued chain", "fan-out", "steps", "children", "child with retries"])
def test_it_can_be_rewound_again_and_again_until_it_is_mended(name: str, times: int) -> None:
    scenario = BY_NAME[name]

    async def drive(world: World, effects: Mending) -> Any:
        await failed(world, scenario.orchestrator)
        for _ in range(times - 1):
            await world.client.rewind("one")
            await until_ended(world)
            await asyncio.sleep(60)
        effects.broken = False
        await world.client.rewind("one")
        found = await output(world)
        assert all(len(keys) == 1 for key, keys in effects.keys.items() if key != "brittle 2"), effects.keys
        return found

    assert calmly(drive) == scenario.expected


@pytest.mark.parametrize("name", ["chain", "queued chain", "fan-out", "children", "events"])
def test_a_message_of_the_failed_run_that_comes_again_changes_nothing(name: str) -> None:
    """Every message that was sent before the rewind comes once more after it, as if its receiver had died."""
    scenario = BY_NAME[name]

    sent: list[tuple[str, str]] = []

    async def gate(operation: str, moment: str) -> None:
        verb, queue, *body = operation.split(" ", 2)
        if verb == "send" and moment == "after":
            sent.append((queue, body[0]))

    outside = FaultPlan(gate=gate)

    async def drive(world: World, effects: Mending) -> Any:
        plan = world.hosts[0].plan
        plan.gate = gate
        await world.client.start_new(scenario.orchestrator, "one", scenario.data)
        if scenario.before is not None:
            await scenario.before(world)
        await until_ended(world)
        plan.gate = outside.gate = None
        await asyncio.sleep(60)
        effects.broken = False
        await world.client.rewind("one")
        assert sent
        for queue, body in sent:
            inner = '"v":1,"r":1,' if '"r":1' not in body else '"v":1,'
            await world.storage.queue(queue).send(body.replace('"v":1,', inner))
        return await output(world)

    assert calmly(drive, outside=outside) == scenario.expected


@pytest.mark.parametrize("other", ["purge", "restart", "rewind", "terminate"])
@pytest.mark.parametrize("seed", range(8))
def test_beside_a_purge_a_restart_or_another_rewind_one_of_them_is_refused(other: str, seed: int) -> None:
    """Both begin at once, and interleave at their storage operations."""
    draw = random.Random(seed)

    async def drive(world: World, effects: Mending) -> Any:
        await failed(world)
        effects.broken = False
        shape = HostShape(FaultPlan(pause=lambda: draw.random() * 0.05), control=False, work=False)
        doors = [world._begin_host(None, shape).app.client for _ in range(2)]  # pyright: ignore[reportPrivateUsage]
        work: dict[str, Callable[[], Awaitable[Any]]] = {
            "purge": lambda: doors[1].purge_instance_history("one"),
            "restart": lambda: doors[1].restart("one", False),
            "rewind": lambda: doors[1].rewind("one"),
            "terminate": lambda: doors[1].terminate("one"),
        }
        results = await asyncio.gather(doors[0].rewind("one"), work[other](), return_exceptions=True)
        errors = [each for each in results if isinstance(each, BaseException)]
        assert all(isinstance(each, DurableError) and not isinstance(each, StorageUnavailableError) for each in errors)
        if other == "rewind":
            assert len(errors) == 1, f"both of two rewinds took place: {results}"
        if other == "purge":
            assert (results[1] == 0) == (not isinstance(results[0], BaseException)), results
            if results[1] == 1:
                assert isinstance(results[0], InstanceNotFoundError | OperationRefusedError)
                return None
        found = await output(world)
        status = await world.client.get_status("one", show_history=True)
        return found if status.runtime_status is RuntimeStatus.COMPLETED else status.runtime_status

    found = calmly(drive)
    assert found in ([2, 102, 204], None if other == "purge" else RuntimeStatus.TERMINATED)


def test_a_host_of_before_rewinds_leaves_a_rewound_instance_alone() -> None:
    """Row and messages say so by their format."""

    async def drive(world: World, effects: Mending) -> Any:
        await failed(world)
        before = await world.storage.table("durableInstances").get("one", "z")
        assert before is not None
        assert before.props["fmt"] == 1
        await stop_all_hosts(world)
        effects.broken = False
        await world.client.rewind("one")
        row = await world.storage.table("durableInstances").get("one", "z")
        assert row is not None
        assert (row.props["fmt"], row.props["rewinds"]) == (2, 1)
        (message,) = await world.storage.queue(world.outside.hub.names.control[0]).receive(1, 1.0)
        assert '"v":2' in message.body
        assert '"w":1' in message.body
        world.add_host()
        return await output(world)

    assert calmly(drive) == [2, 102, 204]


def test_a_dry_run_writes_nothing_and_says_what_the_rewind_then_does() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await failed(world, "compensates")
        effects.broken = False
        before = await _everything(world)
        dry = await world.client.rewind("one", dry_run=True)
        assert await _everything(world) == before
        with pytest.raises(OperationRefusedError) as refused:
            await world.client.rewind("one")
        assert await _everything(world) == before
        assert (
            refused.value.problems
            == dry.problems
            == (
                "double #2 ran and is not undone",
                "event 'Refunded' was sent to 'listener' and is not taken back",
            )
        )
        assert refused.value.is_forceable
        done = await world.client.rewind("one", force=True)
        assert (done.cut_before, done.undone, done.again) == (dry.cut_before, dry.undone, dry.again)
        assert [task.task_id for task in done.undone] == [1]
        return await output(world)

    assert calmly(drive) == 101


async def _everything(world: World) -> list[Any]:
    tables = [("durableInstances", "one"), ("durableCatalog", "00")]
    rows = [(await world.storage.table(table).read_range(partition)).rows for table, partition in tables]
    return [[(row.key, row.etag) for row in found] for found in rows]


def test_what_has_not_ended_or_has_completed_is_not_rewound() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        with pytest.raises(InstanceNotFoundError):
            await world.client.rewind("one")
        await failed(world)
        effects.broken = False
        done = await world.client.rewind("one", request_id="mine")
        assert await world.client.rewind("one", request_id="mine") == done  # the answer was lost, say
        with pytest.raises(OperationRefusedError, match="and cannot be rewound"):
            await world.client.rewind("one")
        found = await output(world)
        with pytest.raises(OperationRefusedError, match="has completed"):
            await world.client.rewind("one")
        return found

    assert calmly(drive) == [2, 102, 204]


def test_a_recursive_purge_takes_the_children_of_void_commits_along() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await failed(world, "falls_back")
        effects.broken = False
        await world.client.rewind("one", force=True)
        await output(world)
        assert await world.client.purge_instance_history("one", recursive=True) == 2
        return [status.instance_id for status in await world.client.get_status_all()]

    assert calmly(drive) == []


def test_the_exported_history_of_a_rewound_instance_replays() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await failed(world)
        effects.broken = False
        await world.client.rewind("one")
        await output(world)
        whole = from_text(to_text(await load_history(world.outside.hub, "one")))
        replay(world.registry, whole)  # else a NonDeterminismError
        return [type(event).__name__ for segment in whole.segments for event in segment.events]

    assert "ExecutionRewound" in calmly(drive)


def test_an_instance_that_was_ended_before_it_began_begins_when_it_is_rewound() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        effects.broken = False
        await world.client.start_new("chain", "one", start_at=world.loop.now() + timedelta(hours=1))
        await world.client.terminate("one", "by mistake")
        await until_ended(world)
        await world.client.rewind("one")
        return await output(world)

    assert calmly(drive) == [2, 102, 204]
