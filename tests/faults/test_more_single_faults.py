"""A fault at any storage operation, for the shapes that tests/faults/test_single_faults.py does not have."""

from __future__ import annotations

from typing import Any

import pytest

from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .more_scenarios import CHEAP, COSTLY, full_registry
from .oracle import run_judged
from .scenarios import Effects, Scenario, simple

FAN_OUT_50 = simple("fan-out 50", "fan", 50, sum(range(50)) * 4)
SHAPES = [*CHEAP, FAN_OUT_50, *(s for s in COSTLY if s.name in ("large values", "rolled log"))]


def run(scenario: Scenario, plan: FaultPlan) -> tuple[Any, World]:
    effects = Effects()
    world = World(full_registry(effects))
    return run_judged(world, effects, scenario.drive, plan), world


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SHAPES, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_changes_no_outcome(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(scenario, plan), fault, scenario.expected, totals, at_most=1)
