"""A crash before or after any single storage operation, and an answer lost after it, change no outcome."""

from __future__ import annotations

from typing import Any

import pytest

from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import run_judged
from .scenarios import SCENARIOS, Effects, Scenario, make_registry


def run(scenario: Scenario, *plans: FaultPlan, settings: Settings | None = None) -> tuple[Any, World, Effects]:
    effects = Effects()
    world = World(make_registry(effects), settings=settings)
    return run_judged(world, effects, scenario.drive, *plans), world, effects


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_without_faults_every_activity_runs_once(scenario: Scenario) -> None:
    outcome, world, effects = run(scenario)
    assert outcome == scenario.expected
    assert not world.failures
    if scenario.name != "retries":
        assert set(effects.runs.values()) <= {1}


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_changes_no_outcome(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(scenario, plan)[:2], fault, scenario.expected, totals)


@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.LOSE_ANSWER, Fault.STALL])
@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if "timer" not in s.name], ids=lambda s: s.name)
def test_so_too_when_every_message_replays_the_stored_history(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    cold = Settings(warm_cache=0)
    strike_each(lambda plan: run(scenario, plan, settings=cold)[:2], fault, scenario.expected, totals)
