"""Single faults in the commits and dispatches of composed orchestrations: detached starts, child retries, sagas."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    ActivityFailedError,
    Orchestration,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    activity,
    orchestrator,
)
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each


@activity
def double(ctx: ActivityContext, number: int) -> int:
    return number * 2


@activity
def refuse(number: int) -> int:
    raise ValueError(number)


@orchestrator
def leaf(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(double, number))


@orchestrator
def unlucky(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    doubled = yield from ctx.call_activity(double, number)
    if not ctx.instance_id.endswith(".2"):
        raise ConnectionError
    return doubled


@orchestrator
def detaching(ctx: OrchestrationContext, number: int) -> Orchestration[list[str]]:
    """Starts one and waits, starts one with its last decision, over two generations."""
    first = ctx.start_orchestration(leaf, number)
    yield from ctx.call_activity(double, 1)
    second = ctx.start_orchestration(leaf, number + 1)
    if number < 10:
        ctx.continue_as_new(number + 10)
    return [first, second]


@orchestrator
def retrying(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    policy = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=40))
    return (yield from ctx.call_sub_orchestrator(unlucky, number, "child", retry=policy))


@orchestrator
def undoing(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    saga = ctx.saga()
    try:
        saga.add_compensation(leaf, 1)
        saga.add_compensation(double, 1)
        yield from ctx.call_activity(refuse, number)
    except ActivityFailedError:
        yield from saga.compensate()
        return -1
    return 1


@orchestrator
def pulling(ctx: OrchestrationContext, number: int) -> Orchestration[list[int]]:
    doubled = yield from ctx.task_all((ctx.call_activity(double, n) for n in range(number)), max_concurrency=2)
    seen: list[int] = []
    for task in ctx.as_completed([ctx.call_activity(double, n) for n in doubled]):
        seen.append((yield from task))
    return sorted(seen)


EXPECTED: dict[str, tuple[int, list[Any]]] = {
    "detaching": (0, [0, 2, 20, 22]),
    "retrying": (4, [8]),
    "undoing": (3, [-1]),
    "pulling": (4, [[0, 4, 8, 12]]),
}


async def outcome(world: World, name: str, number: int) -> list[Any]:
    """Outputs of what was started, and of what that has started for itself."""
    await world.client.start_new(name, "one", number)
    status = await world.client.wait_for_completion("one", timeout=8 * 3600)
    assert status.runtime_status is RuntimeStatus.COMPLETED, status
    if name != "detaching":
        return [status.output]
    leaves: list[OrchestrationStatus] = []
    for _ in range(100):
        leaves = [s for s in await world.client.get_status_all() if s.name == "leaf"]
        if len(leaves) == 4 and all(s.is_terminal for s in leaves):
            break
        await asyncio.sleep(60)
    return sorted([(await world.client.get_status(s.instance_id)).output for s in leaves])


def run(name: str, *plans: FaultPlan) -> tuple[list[Any], World]:
    registry = Registry().add(double, refuse, leaf, unlucky, detaching, retrying, undoing, pulling)
    world = World(registry)
    number, _ = EXPECTED[name]
    found = world.run(lambda world: outcome(world, name, number), *plans)
    assert not world.errors, world.errors
    return found, world


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("name", list(EXPECTED))
def test_a_fault_at_any_storage_operation_changes_no_outcome(name: str, fault: Fault, totals: Totals) -> None:
    _, expected = EXPECTED[name]
    _, world = run(name)
    assert not world.failures
    strike_each(lambda plan: run(name, plan), fault, expected, totals)
