"""Entities: a fault at any storage operation, and random interleavings, change no outcome and leave nothing behind."""

from __future__ import annotations

from typing import Any

import pytest

from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .entity_scenarios import ENTITY_SCENARIOS, SLOW_SCENARIOS, entity_registry
from .exhaustive import replay_seed, strike_each
from .oracle import run_judged
from .scenarios import Effects, Scenario
from .soak import run_seed
from .test_soak import FIRST, ONLY, TIMES

ALL = [*ENTITY_SCENARIOS, *SLOW_SCENARIOS]


def run(scenario: Scenario, *plans: FaultPlan) -> tuple[Any, World]:
    effects = Effects()
    world = World(entity_registry(effects))
    return run_judged(world, effects, scenario.drive, *plans), world


@pytest.mark.parametrize("scenario", ALL, ids=lambda s: s.name)
def test_without_a_fault(scenario: Scenario) -> None:
    outcome, world = run(scenario)
    assert outcome == scenario.expected
    assert not world.failures, world.failures


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", ALL, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_changes_no_outcome(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(scenario, plan), fault, scenario.expected, totals)


@pytest.mark.timeout(300 * TIMES)
@pytest.mark.parametrize("calm", [True, False], ids=["calm", "with faults"])
@pytest.mark.parametrize("scenario", ALL, ids=lambda s: s.name)
def test_several_hosts_in_any_interleaving_change_no_outcome(scenario: Scenario, calm: bool, totals: Totals) -> None:
    """Order by sender, each operation once, exclusive sections; at rest no lock and no parcel is left."""
    for seed in range(FIRST, FIRST + 3 * TIMES) if ONLY is None else [int(ONLY)]:
        try:
            outcome = run_seed(scenario, seed, calm=calm, make_registry=entity_registry)
        except BaseException as error:
            raise AssertionError(f"seed {seed} of '{scenario.name}': {error}\n{replay_seed(seed)}") from error
        totals.add("simulation", seeds=1, faults=outcome.faults, storage_operations=outcome.operations)
