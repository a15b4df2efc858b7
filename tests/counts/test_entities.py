"""What entities cost, counted at the storage ports. The numbers may only go down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from durable_core import EntityId, Limit, Orchestration, OrchestrationContext, Registry, activity, entity, orchestrator
from durable_core.storage.counting import Counts
from durable_core.testing.simulation import World

A, B = EntityId("log", "a"), EntityId("log", "b")
REST = 60.0


@entity(name="log")
@dataclass
class Log:
    items: list[int] = field(default_factory=list[int])

    def add(self, number: int) -> int:
        self.items.append(number)
        return len(self.items)


@orchestrator
def signals(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.wait_for_external_event("Go")
    for each in range(number):
        ctx.signal_entity(A, Log.add, each)
    return number


@orchestrator
def calls(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.wait_for_external_event("Go")
    for each in range(number):
        yield from ctx.call_entity(A, Log.add, each)
    return number


@activity(limit=Limit(name="log", concurrency=2))
def work(number: int) -> int:
    return number


@activity
def free(number: int) -> int:
    return number


@orchestrator
def limited(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.wait_for_external_event("Go")
    return sum((yield from ctx.task_all([ctx.call_activity(work, each) for each in range(number)])))


@orchestrator
def unlimited(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.wait_for_external_event("Go")
    return sum((yield from ctx.task_all([ctx.call_activity(free, each) for each in range(number)])))


@orchestrator(limit=Limit(name="log", concurrency=2))
def limited_run(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.wait_for_external_event("Go")
    if number:
        ctx.continue_as_new(number - 1)
    return number


@orchestrator
def unlimited_run(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.wait_for_external_event("Go")
    if number:
        ctx.continue_as_new(number - 1)
    return number


@orchestrator
def locks(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.wait_for_external_event("Go")
    for _ in range(number):
        with (yield from ctx.lock(A, B)):
            pass
    return number


def count(do: Callable[[World], Awaitable[None]]) -> Counts:
    """Of what is done when both entities exist and every process knows them; without receipts of messages."""

    async def drive(world: World) -> Counts:
        for _ in range(3):  # whichever host runs it
            await world.client.signal_entity(A, Log.add, 0)
            await world.client.signal_entity(B, Log.add, 0)
        for name in ("signals", "calls", "locks"):
            await world.client.start_new(name, f"warm-{name}", 1)
            await world.client.raise_event(f"warm-{name}", "Go")
        await asyncio.sleep(REST)
        before = world.counted.counts
        await do(world)
        await asyncio.sleep(REST)
        return world.counted.counts - before

    registry = Registry().add(Log, signals, calls, locks, work, free, limited, unlimited, limited_run, unlimited_run)
    world = World(registry, counting=True)
    counts = world.run(drive)
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    return counts


def at_entities(counts: Counts) -> tuple[int, int]:
    """Writes and reads of the entities table."""
    mine = [each for each in counts.requests if each.name == "durableEntities"]
    reads = sum(each.cost for each in mine if each.kind in ("table.get", "table.read_range"))
    return sum(each.cost for each in mine) - reads, reads


def run_of(name: str, number: int) -> Callable[[World], Awaitable[None]]:
    async def do(world: World) -> None:
        await world.client.start_new(name, "one", number)
        await world.client.raise_event("one", "Go")

    return do


async def _signal(world: World) -> None:
    await world.client.signal_entity(A, Log.add, 1)


def test_a_signal_of_a_client_costs_two_writes_a_read_and_a_message() -> None:
    counts = count(_signal)
    assert at_entities(counts) == (2, 1), counts
    assert counts["queue.send"] == 1, counts
    assert counts.total - counts["queue.receive"] - counts["queue.delete"] <= 4, counts


async def _read(world: World) -> None:
    await world.client.read_entity(A)


def test_reading_a_state_costs_one_read() -> None:
    assert count(_read).total == 1


@pytest.mark.parametrize("number", [1, 60])
def test_all_signals_of_one_commit_cost_what_one_costs(number: int) -> None:
    counts = count(run_of("signals", number))
    assert at_entities(counts) == (2, 1), counts
    assert counts["queue.send"] <= 3, counts  # the start, the event, the entity


def test_a_call_costs_two_writes_and_a_read_at_the_entity_and_two_messages() -> None:
    one, five = count(run_of("calls", 1)), count(run_of("calls", 5))
    assert at_entities(one) == (2, 1), one
    assert at_entities(five) == (10, 5), five
    assert five["queue.send"] - one["queue.send"] <= 4 * 2, f"one: {one}\nfive: {five}"
    assert five.total - one.total <= 4 * 10, f"one: {one}\nfive: {five}"  # with the commit, receipts and deletions


def test_two_locks_cost_eight_writes_four_reads_and_five_messages() -> None:
    counts = count(run_of("locks", 1))
    assert at_entities(counts) == (8, 4), counts
    assert counts["queue.send"] <= 2 + 5, counts


def test_a_backlog_is_read_once_and_applied_ninety_at_a_time() -> None:
    async def backlog(world: World) -> None:
        for host in world.hosts:
            await host.stop()
        for number in range(300):
            await world.client.signal_entity(A, Log.add, number)
        for name in world.outside.hub.names.queues:
            await world.storage.queue(name).clear()
        world.counted.reset()
        await world.replace_hosts(None)
        await world.outside.recover(full=True)

    async def drive(world: World) -> None:
        await backlog(world)
        await asyncio.sleep(REST)
        mine = [each for each in world.counted.counts.requests if each.name == "durableEntities"]
        batches = [each for each in mine if each.kind == "table.transact"]
        assert len(batches) == 4, mine
        found = await world.client.read_entity(A)
        assert found is not None
        assert found.state["items"] == list(range(300)), "applied out of order"

    registry = Registry().add(Log, signals, calls, locks, work, free, limited, unlimited, limited_run, unlimited_run)
    world = World(registry, counting=True)
    world.run(drive)
    assert not world.errors, world.errors


def test_a_lone_call_with_a_limit_costs_what_a_call_of_an_entity_and_a_signal_cost() -> None:
    free, limited = count(run_of("unlimited", 1)), count(run_of("limited", 1))
    assert at_entities(limited) == (2 + 2, 2), limited  # the gate is empty again, and is made again by the next
    assert limited["queue.send"] - free["queue.send"] <= 3, f"free: {free}\nlimited: {limited}"
    assert limited.total - free.total <= 19, f"free: {free}\nlimited: {limited}"


def test_the_calls_of_one_commit_ask_for_their_slots_together() -> None:
    free, limited = count(run_of("unlimited", 20)), count(run_of("limited", 20))
    writes, reads = at_entities(limited)
    assert writes <= 2 + 2 * 20 + 2, limited
    assert reads <= 1 + 20 + 1, limited
    assert limited.total - free.total <= 20 * 13, f"free: {free}\nlimited: {limited}"


def generations(name: str, number: int) -> Callable[[World], Awaitable[None]]:
    async def do(world: World) -> None:
        await world.client.start_new(name, "one", number - 1)
        for _ in range(number):
            await asyncio.sleep(5)
            await world.client.raise_event("one", "Go")

    return do


def test_an_orchestration_with_a_limit_costs_as_much_as_a_call_and_its_generations_cost_nothing() -> None:
    free, limited = count(generations("unlimited_run", 1)), count(generations("limited_run", 1))
    assert limited.total - free.total <= 19, f"free: {free}\nlimited: {limited}"
    four = count(generations("limited_run", 4)).total - count(generations("unlimited_run", 4)).total
    assert four <= limited.total - free.total, four
