"""A crash before or after any single storage operation, and an answer lost after it, change no outcome."""

from __future__ import annotations

from typing import Any

import pytest

from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.world import World

from .oracle import check, come_to_rest
from .scenarios import SCENARIOS, Effects, Scenario, make_registry


def run(scenario: Scenario, *plans: FaultPlan, settings: Settings | None = None) -> tuple[Any, World, Effects]:
    effects = Effects()
    world = World(make_registry(effects), settings=settings)

    async def drive(world: World) -> Any:
        outcome = await scenario.drive(world)
        await come_to_rest(world)
        await check(world, effects, exactly_once=False)
        return outcome

    outcome = world.run(drive, *plans)
    assert not world.errors, world.errors
    return outcome, world, effects


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


@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.LOSE_ANSWER])
@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if "timer" not in s.name], ids=lambda s: s.name)
def test_so_too_when_every_message_replays_the_stored_history(scenario: Scenario, fault: Fault) -> None:
    cold = Settings(warm_cache=0)
    _, world, _ = run(scenario, settings=cold)
    for number in range(len(world.plans[0].operations)):
        plan = FaultPlan({number: fault})
        try:
            outcome, world, _ = run(scenario, plan, settings=cold)
        except BaseException as error:
            raise AssertionError(f"{fault} at operation {number}: {plan.struck}: {error}") from error
        assert outcome == scenario.expected, plan.struck
