"""The operations that rows of instances name, against those that are counted at the storage ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

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
from durable_core.models import NO_OPERATIONS, Operations, OrchestrationStatus, RuntimeStatus
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage, Counts
from durable_core.storage.open import open_storage
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import Role, World
from tests.support.live_app import running

APART: Sequence[Role] = ("control", "work")
REST = 2400.0  # virtual seconds, after which everything that has no reason to wait is done
TWICE = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=2))

tries: dict[str, int] = {}


@activity
def add_one(number: int) -> int:
    return number + 1


@activity(inline=False)
def add_one_elsewhere(number: int) -> int:
    return number + 1


@activity
def fails_twice(key: str) -> None:
    tries[key] = tries.get(key, 0) + 1
    if tries[key] <= 2:
        raise OSError("not yet")


@activity(inline=False)
async def takes_time(number: int) -> None:
    await asyncio.sleep(number * 5)


@activity
async def tells(ctx: ActivityContext, number: int) -> int:
    for done in range(4):
        ctx.heartbeat(done)
        await asyncio.sleep(6)
    return number


@orchestrator
def chain(ctx: OrchestrationContext) -> Orchestration[int]:
    value = 0
    for _ in range(5):
        value = yield from ctx.call_activity(add_one, value)
    return value


@orchestrator
def fan(ctx: OrchestrationContext) -> Orchestration[int]:
    results = yield from ctx.task_all([ctx.call_activity(add_one_elsewhere, n) for n in range(20)])
    return sum(results)


@orchestrator
def sleeps(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.create_timer(ctx.current_utc_datetime + timedelta(seconds=30))


@orchestrator
def sleeps_long(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.create_timer(ctx.current_utc_datetime + timedelta(minutes=30))


@orchestrator
def waits(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.wait_for_external_event("go"))


@orchestrator
def waits_or_gives_up(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.task_any(
        [ctx.wait_for_external_event("go"), ctx.create_timer(ctx.current_utc_datetime + timedelta(minutes=5))]
    )


@orchestrator
def parent(ctx: OrchestrationContext) -> Orchestration[int]:
    return (yield from ctx.call_sub_orchestrator(chain))


@orchestrator
def retries(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(fails_twice, ctx.instance_id, retry=TWICE)


@orchestrator
def leaves_work_behind(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.task_any([ctx.call_activity(takes_time, n) for n in range(1, 4)])


@orchestrator
def beats(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.task_all([ctx.call_activity(tells, n) for n in range(2)])


@orchestrator
def sends(ctx: OrchestrationContext) -> Orchestration[None]:
    child = ctx.call_sub_orchestrator(waits, instance_id=f"{ctx.instance_id}-child")
    yield from ctx.create_timer(ctx.current_utc_datetime + timedelta(seconds=5))
    ctx.send_event(f"{ctx.instance_id}-child", "go", 1)
    yield from child


@orchestrator
def starts_others(ctx: OrchestrationContext) -> Orchestration[None]:
    ctx.start_orchestration(chain, instance_id=f"{ctx.instance_id}-other")
    yield from ctx.call_activity(add_one, 1)


@orchestrator
def is_cancelled(ctx: OrchestrationContext) -> Orchestration[None]:
    try:
        yield from ctx.call_sub_orchestrator(waits)
    finally:
        yield from ctx.call_activity(add_one, 1)


@orchestrator
def again(ctx: OrchestrationContext, left: int = 3) -> Orchestration[None]:
    yield from ctx.call_activity(add_one, left)
    if left:
        ctx.continue_as_new(left - 1)


ACTIVITIES = (add_one, add_one_elsewhere, fails_twice, takes_time, tells)
MIX = (chain, fan, sleeps, sleeps_long, waits, waits_or_gives_up, parent, retries, again, sends)
OTHERS = (leaves_work_behind, beats, starts_others)


@dataclass(frozen=True)
class Measured:
    """said: by the rows of all instances together. counted: at the ports."""

    said: Operations
    counted: Operations


def measure(
    programs: Sequence[Callable[..., Any]],
    each: int,
    hosts: int | Sequence[Role] = 1,
    settings: Settings | None = None,
) -> Measured:
    """Run so many instances of each of these, from their start until they have ended and all is at rest."""
    tries.clear()

    async def drive(world: World) -> Measured:
        await asyncio.sleep(60)
        before = world.counted.counts
        ids = [f"{program.__name__}-{number}" for program in programs for number in range(each)]
        for instance_id in ids:
            await world.client.start_new(instance_id.partition("-")[0], instance_id)
        await asyncio.sleep(20)
        for instance_id in ids:
            if instance_id.startswith("waits"):
                await world.client.raise_event(instance_id, "go")
            if instance_id.startswith("is_cancelled"):
                await world.client.cancel(instance_id)
        await asyncio.sleep(REST)
        counted = in_classes(world.counted.counts - before)
        said = NO_OPERATIONS
        for status in (await world.client.list_instances(show_details=True, page_size=1000)).instances:
            assert status.is_terminal and status.operations is not None, status
            said = said.plus(status.operations)
        return Measured(said, counted)

    world = World(
        Registry().add(*ACTIVITIES, *MIX, *OTHERS, is_cancelled), hosts=hosts, settings=settings, counting=True
    )
    measured = world.run(drive)
    assert not world.errors and not world.failures
    return measured


def in_classes(counts: Counts) -> Operations:
    kinds = counts.by_kind
    reads = kinds["table.get"] + kinds["table.read_range"]
    tables = sum(count for kind, count in kinds.items() if kind.startswith("table."))
    return Operations(reads, tables - reads, counts.total - tables)


def background(hosts: int | Sequence[Role]) -> Operations:
    """What the hosts do in that time without any instance: rounds of recovery."""
    idle = measure([], 0, hosts)
    assert idle.said == NO_OPERATIONS
    return idle.counted


HOSTS = pytest.mark.parametrize("hosts", [1, 2, APART], ids=["one host", "two hosts", "control apart from work"])


@HOSTS
@pytest.mark.parametrize("program", [*MIX, *OTHERS], ids=lambda program: program.__name__)
def test_rows_say_what_was_counted(program: Callable[..., Any], hosts: int | Sequence[Role]) -> None:
    measured, idle = measure([program], 5, hosts), background(hosts)
    said, counted = measured.said, measured.counted
    assert counted.writes - idle.writes == said.writes > 0
    assert counted.messages - idle.messages == said.messages > 0
    assert 0 <= counted.reads - idle.reads - said.reads <= 1, "recovery reads one more page of timers"


@HOSTS
def test_a_hundred_instances_say_what_they_took_within_five_percent(hosts: int | Sequence[Role]) -> None:
    measured, idle = measure(MIX, 10, hosts), background(hosts)
    assert measured.said.total == pytest.approx(measured.counted.total - idle.total, rel=0.05)


def test_with_no_cache_too() -> None:
    measured, idle = measure(MIX, 10, 2, Settings(warm_cache=0)), background(2)
    assert measured.said.total == pytest.approx(measured.counted.total - idle.total, rel=0.05)


def test_what_is_asked_of_a_child_may_be_counted_twice_but_never_left_out() -> None:
    """The notice of a child that is cancelled with its parent may come before the end, and is foreseen all the same."""
    measured, idle = measure([is_cancelled], 5), background(1)
    counted = measured.counted.total - idle.total
    assert counted <= measured.said.total <= counted * 1.15


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOSE_ANSWER, Fault.FAIL_BEFORE])
def test_a_fault_anywhere_leaves_a_number_that_is_near(fault: Fault) -> None:
    nothing_struck = FaultPlan()
    with_fault(nothing_struck)
    steps = [at for at, what in enumerate(nothing_struck.operations) if "receive" not in what]
    assert len(steps) >= 15
    for at in steps:
        plan = FaultPlan(strikes={at: fault})
        said, counted = with_fault(plan)
        assert plan.struck
        assert min(said) >= 0
        # Missing is what a dead host had not written down, and what a message does that comes again after the end (its
        # end is dispatched again). A commit whose answer was lost may be said twice.
        assert abs(said.total - counted.total) <= 14, f"{fault} at {plan.struck}: {said} of {counted}"


def with_fault(plan: FaultPlan) -> tuple[Operations, Operations]:
    """A parent with a child in one host with these faults: what the two rows say, and what concerned them."""

    async def drive(world: World) -> tuple[Operations, Operations]:
        before = world.counted.counts
        await world.client.start_new(parent, "one")
        await asyncio.sleep(120)  # leases end, and no round of recovery has begun
        counted = in_classes(world.counted.counts - before)
        said = NO_OPERATIONS
        for status in (await world.client.list_instances(show_details=True, page_size=1000)).instances:
            assert status.runtime_status is RuntimeStatus.COMPLETED and status.operations is not None
            said = said.plus(status.operations)
        return said, counted

    return World(Registry().add(*ACTIVITIES, *MIX), counting=True).run(drive, plan)


def test_an_instance_of_a_version_that_did_not_count_is_not_counted() -> None:
    async def drive(world: World) -> OrchestrationStatus:
        await world.client.start_new(waits, "one")
        await asyncio.sleep(5)
        table = world.storage.table(world.hosts[0].app.hub.names.instances)
        row = await table.get("one", "z")
        assert row is not None and "ops" in row.props
        await table.replace("one", "z", {name: value for name, value in row.props.items() if name != "ops"})
        await world.client.raise_event("one", "go", 1)
        await asyncio.sleep(60)
        return await world.client.get_status("one")

    status = World(Registry().add(*ACTIVITIES, *MIX)).run(drive)
    assert (status.output, status.operations) == (1, None)


@pytest.mark.parametrize("store", ["file", "azurite"])
async def test_on_real_stores(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    settings = Settings(store=str(tmp_path / "a.db"))
    if store == "azurite":
        connection = request.getfixturevalue("azurite").connection_string
        settings = Settings(hub="t" + uuid4().hex[:12], connection={"": connection})
    storage = CountingStorage(open_storage(settings))
    async with running(Registry().add(*ACTIVITIES, *MIX), settings, storage) as app:
        storage.reset()
        ids = [await app.client.start_new(program) for program in (chain, fan, parent, waits) for _ in range(5)]
        for instance_id in ids[-5:]:
            await app.client.raise_event(instance_id, "go")
        counts = storage.counts
        while sum(each.kind == "table.transact" for each in counts.requests) < 5 * 4 + 5 + 5:  # each end is one
            await asyncio.sleep(0.05)
            counts = storage.counts
        await asyncio.sleep(0.5)
        counted = in_classes(storage.counts)
        said = NO_OPERATIONS
        for status in (await app.client.list_instances(show_details=True)).instances:
            assert status.runtime_status is RuntimeStatus.COMPLETED and status.operations is not None
            said = said.plus(status.operations)
    await storage.close()
    assert said.total == pytest.approx(counted.total, rel=0.05)
