"""What a restart and a rewind cost the process that is asked for them, counted at the storage ports."""

from __future__ import annotations

import pytest

from durable_core.testing.faults import FaultPlan
from durable_core.testing.simulation import World
from tests.faults.rewinds import Mending, make_registry, until_ended


def operations(orchestrator: str, operation: str, data: object = None) -> list[str]:
    """The operations of the client outside of all hosts, for an instance that has failed."""
    plan, effects = FaultPlan(), Mending()
    world = World(make_registry(effects), outside=plan)

    async def drive(world: World) -> list[str]:
        await world.client.start_new(orchestrator, "one", data)
        await until_ended(world)
        effects.broken = False
        for host in world.hosts:
            await host.stop()
        world.hosts.clear()
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
