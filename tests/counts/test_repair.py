"""What a restart and a rewind cost the process that is asked for them, counted at the storage ports."""

from __future__ import annotations

import asyncio
import random

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.hub.keys import INSTANCE_KEY
from durable_core.testing.faults import FaultPlan
from durable_core.testing.simulation import World
from tests.faults.rewinds import Mending, make_registry, until_ended
from tests.support.worlds import stop_all_hosts


def operations(orchestrator: str, operation: str, data: object = None) -> list[str]:
    """The operations of the client outside of all hosts, for an instance that has failed."""
    plan, effects = FaultPlan(), Mending()
    world = World(make_registry(effects), outside=plan)

    async def drive(world: World) -> list[str]:
        await world.client.start_new(orchestrator, "one", data)
        await until_ended(world)
        effects.broken = False
        await stop_all_hosts(world)
        before = len(plan.operations)
        await getattr(world.client, operation)("one")
        return [" ".join(what.split(" ")[:2]) for what in plan.operations[before:]]

    return world.run(drive)


@pytest.mark.parametrize("orchestrator", ["chain", "fan", "steps"])
def test_a_rewind_costs_a_load_three_operations_on_the_catalogue_a_transaction_and_a_message(orchestrator: str) -> None:
    assert operations(orchestrator, "rewind") == [
        "read durableInstances",
        "get durableCatalog",
        "insert durableCatalog",
        "transact durableInstances",
        "transact durableCatalog",
        "send durable-control",
    ]


def test_a_rewind_reads_each_open_child_besides() -> None:
    found = operations("parent", "rewind")
    assert sum(not what.startswith(("read", "get durableInstances")) for what in found) == 5
    reads = [what for what in found if what.startswith(("read", "get durableInstances"))]
    assert len(reads) <= 1 + 3 * 3, "the row of each of three children, its next attempt, and the history"


def test_a_restart_costs_one_operation_more_than_a_start() -> None:
    assert operations("chain", "restart") == [
        "get durableInstances",
        "insert durableCatalog",
        "insert durableInstances",
        "send durable-control",
    ]


@orchestrator
def collects(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    for _ in range(number):
        yield from ctx.wait_for_external_event("More", str)
    yield from ctx.wait_for_external_event("Enough")
    return number


def operations_of_a_fork(number: int, size: int) -> tuple[list[str], list[str]]:
    """What the client does to fork an instance with so many events of this size; and the rows of the fork beside its
    instance row."""
    plan = FaultPlan()
    world = World(Registry().add(collects), outside=plan)
    source = random.Random(7)

    async def drive(world: World) -> tuple[list[str], list[str]]:
        await world.client.start_new(collects, "one", number)
        for _ in range(number):
            await world.client.raise_event("one", "More", source.randbytes(size // 2).hex())
            await asyncio.sleep(60)
        await world.client.raise_event("one", "Enough")
        await world.client.wait_for_completion("one", 3600)
        await stop_all_hosts(world)
        before = len(plan.operations)
        await world.client.fork("one", until_event="Enough", new_instance_id="two")
        done = [" ".join(what.split(" ")[:2]) for what in plan.operations[before:]]
        rows = (await world.storage.table("durableInstances").read_range("two")).rows
        return done, [row.key for row in rows if row.key != INSTANCE_KEY]

    return world.run(drive)


def test_a_fork_costs_a_load_a_catalogue_row_a_transaction_and_a_message() -> None:
    done, others = operations_of_a_fork(number=3, size=100)
    assert done == [
        "read durableInstances",
        "insert durableCatalog",
        "transact durableInstances",
        "send durable-control",
    ]
    assert len(others) == 1, "the chunk with the copied history is written in the transaction"


def test_a_fork_of_a_long_history_costs_an_insert_for_each_chunk_and_payload_row_besides() -> None:
    done, others = operations_of_a_fork(number=40, size=120_000)
    assert len(others) > 10
    writes = [what for what in done if not what.startswith(("read", "get"))]
    assert writes == [
        "insert durableCatalog",
        *["insert durableInstances"] * len(others),
        "transact durableInstances",
        "send durable-control",
    ]
