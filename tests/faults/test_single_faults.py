"""A crash before or after any single storage operation, and an answer lost after it, change no outcome."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_core.models import RuntimeStatus
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.world import World

from .scenarios import SCENARIOS, Effects, Scenario, make_registry


def run(scenario: Scenario, *plans: FaultPlan, hosts: int = 1, seed: int = 0) -> tuple[Any, World, Effects]:
    effects = Effects()
    world = World(make_registry(effects), seed=seed, hosts=hosts)

    async def drive(world: World) -> Any:
        outcome = await scenario.drive(world)
        await check_at_rest(world)
        return outcome

    outcome = world.run(drive, *plans)
    assert not world.errors, world.errors
    return outcome, world, effects


async def check_at_rest(world: World) -> None:
    """When everything has ended: histories are valid, the catalogue agrees with the rows, no message is left."""
    rounds = 0
    while True:
        left = [await world.storage.queue(name).count() for name in world.outside.hub.names.queues]
        pending = [s for s in await world.client.get_status_all() if not s.is_terminal]
        if not any(left) and not pending:
            break
        rounds += 1
        assert rounds < 200, f"not at rest: {left} messages, {[(s.instance_id, s.runtime_status) for s in pending]}"
        await asyncio.sleep(60)
    for listed in await world.client.get_status_all():
        status = await world.client.get_status(listed.instance_id, show_history=True)
        assert status.runtime_status is listed.runtime_status is RuntimeStatus.COMPLETED
        assert status.history_events is not None
        ended = [e["TaskId"] for e in status.history_events if e["EventType"] in _ENDS]
        assert len(ended) == len(set(ended)), "a result was recorded twice"
        scheduled = {e["TaskId"] for e in status.history_events if e["EventType"] in _BEGINS}
        assert set(ended) <= scheduled, "a result without its call"


_ENDS = {"TaskCompleted", "TaskFailed", "TimerFired", "SubOrchestrationCompleted", "SubOrchestrationFailed"}
_BEGINS = {"TaskScheduled", "TimerCreated", "SubOrchestrationCreated"}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_without_faults_every_activity_runs_once(scenario: Scenario) -> None:
    outcome, world, effects = run(scenario)
    assert outcome == scenario.expected
    assert not world.failures
    if scenario.name != "retries":
        assert set(effects.runs.values()) <= {1}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_changes_no_outcome(scenario: Scenario, fault: Fault) -> None:
    _, world, _ = run(scenario)
    operations = len(world.plans[0].operations)
    assert operations > 5
    for number in range(operations):
        plan = FaultPlan({number: fault})
        try:
            outcome, world, _ = run(scenario, plan)
        except BaseException as error:
            raise AssertionError(f"{fault} at operation {number}: {plan.struck}: {error}") from error
        assert outcome == scenario.expected, plan.struck
