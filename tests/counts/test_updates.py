"""What an update costs, counted at the storage ports: as much as an event, and its answer. It may only go down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.errors import UpdateRefusedError
from durable_core.storage.counting import Counts
from durable_core.testing.simulation import World

REST = 60.0


@orchestrator
def counter(ctx: OrchestrationContext) -> Orchestration[int]:
    total = 0

    def add(number: int) -> int:
        nonlocal total
        total += number
        return total

    def positive(number: int) -> None:
        if number < 0:
            raise ValueError("less than nothing")

    def listen(number: int) -> None:
        add(number)

    ctx.set_update_handler("add", add, positive)
    ctx.on_event("Add", listen)
    yield from ctx.wait_for_external_event("Enough")
    return total


@dataclass(frozen=True)
class Cost:
    """Of ten of them, without receipts of messages that found nothing."""

    counts: Counts

    @property
    def each(self) -> float:
        return self.counts.total / 10


def cost(do: Callable[[World, int], Awaitable[object]]) -> Cost:
    async def drive(world: World) -> Cost:
        await world.client.start_new(counter, "one")
        await asyncio.sleep(REST)
        before = world.counted.counts
        for number in range(10):
            await do(world, number)
            await asyncio.sleep(1)
        await asyncio.sleep(REST)
        return Cost(world.counted.counts - before)

    world = World(Registry().add(counter), counting=True)
    found = world.run(drive)
    assert not world.errors
    return found


async def _event(world: World, number: int) -> None:
    await world.client.raise_event("one", "Add", number)


async def _update(world: World, number: int) -> None:
    assert await world.client.update("one", "add", 1) == number + 1


async def _with_id(world: World, number: int) -> None:
    assert await world.client.update("one", "add", 1, update_id=f"u{number}") == number + 1


async def _refused(world: World, number: int) -> None:
    try:
        await world.client.update("one", "add", -1)
    except UpdateRefusedError:
        return
    raise AssertionError("it is refused")


async def _repeated(world: World, number: int) -> None:
    assert await world.client.update("one", "add", 1, update_id="u") == 1


def test_an_update_costs_what_an_event_costs_where_its_sender_is_told_of_the_answer() -> None:
    event = cost(_event)
    assert cost(_update).counts.total == event.counts.total
    assert cost(_with_id).counts.total == event.counts.total, "an id costs nothing"


def test_a_refused_update_costs_a_read_and_a_deletion_more() -> None:
    assert cost(_refused).counts.total - cost(_event).counts.total <= 2 * 10


def test_a_repeat_of_an_answered_update_costs_three_operations_and_no_turn() -> None:
    """The row of the instance is read, the insertion is refused, the row of the update is read."""
    first, all_ten = cost(_update).each, cost(_repeated).counts.total
    assert all_ten - first <= 9 * 3


def test_an_orchestrator_without_updates_pays_nothing_for_them() -> None:
    """The property of the names is not in its row, and its row has the format of before."""

    @orchestrator
    def plain(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.wait_for_external_event("Enough")

    async def drive(world: World) -> set[str]:
        await world.client.start_new(plain, "one")
        await asyncio.sleep(REST)
        table = world.outside.hub.instances._table  # pyright: ignore[reportPrivateUsage]
        row = await table.get("one", "z")
        assert row is not None
        assert row.props["fmt"] == 1
        return set(row.props)

    assert "updates" not in World(Registry().add(plain)).run(drive)
