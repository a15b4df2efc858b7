"""Features beside each other: whatever is struck, a program that combines them ends as without a fault."""

from __future__ import annotations

from typing import Any

import pytest

from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import IS_SOAK, OFFSET, strike_each
from .foreign_programs import BY_CLOCKS, REPAIRED, SCENARIOS, foreign_registry, rewound
from .oracle import run_judged
from .scenarios import Effects, Scenario
from .soak import run_seed

ALL = list(Fault)
FAULTS = ALL if IS_SOAK else [ALL[OFFSET % len(ALL)]]  # those of one day; successive days have all


def run(scenario: Scenario, plan: FaultPlan, *, cold: bool = False) -> tuple[Any, World]:
    effects = Effects()
    world = World(foreign_registry(effects), settings=Settings(warm_cache=0) if cold else None)
    return run_judged(world, effects, scenario.drive, plan), world


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_changes_nothing(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(scenario, plan), fault, scenario.expected, totals, at_most=1)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_so_too_when_every_message_replays_the_stored_history(scenario: Scenario) -> None:
    outcome, _ = run(scenario, FaultPlan(), cold=True)
    assert outcome == scenario.expected


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if not s.name.endswith(BY_CLOCKS)], ids=lambda s: s.name)
def test_hosts_with_faults_that_interleave_change_nothing(scenario: Scenario) -> None:
    run_seed(scenario, OFFSET, make_registry=foreign_registry)


@pytest.mark.parametrize("size", [None, 2])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_journaled_activity_that_failed_after_a_wait_is_rewound(
    fault: Fault, size: int | None, totals: Totals
) -> None:
    def run(plan: FaultPlan) -> tuple[Any, World]:
        effects = Effects()
        world = World(foreign_registry(effects))
        drive = rewound(size)
        return run_judged(
            world, None, lambda world: drive(world, effects), plan
        ), world  # a fork has run no part of its copy

    strike_each(run, fault, REPAIRED, totals, at_most=4)
