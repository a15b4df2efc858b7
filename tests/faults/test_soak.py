"""Several hosts at once, in random interleavings, with several faults: no outcome changes.

A run is a seed; a failing one is named and replays exactly. ``DURABLE_SOAK=N`` runs N times as many (``make soak``).
"""

from __future__ import annotations

import os

import pytest

from .more_scenarios import CHEAP, COSTLY
from .scenarios import SCENARIOS, Scenario
from .soak import run_seed

TIMES = int(os.environ.get("DURABLE_SOAK", "1"))
FIRST = int(os.environ.get("DURABLE_SOAK_FIRST", "0"))
ALL = [*((scenario, 24) for scenario in SCENARIOS + CHEAP), *((scenario, 1) for scenario in COSTLY)]
CALM = [(scenario, max(seeds // 4, 1)) for scenario, seeds in ALL if "14 days" not in scenario.name]


def run_seeds(scenario: Scenario, seeds: int, *, calm: bool) -> None:
    operations = faults = 0
    for seed in range(FIRST, FIRST + seeds):
        try:
            outcome = run_seed(scenario, seed, calm=calm)
        except BaseException as error:
            raise AssertionError(f"seed {seed} of '{scenario.name}' (calm={calm}): {error}") from error
        operations += outcome.operations
        faults += outcome.faults
    print(f"{scenario.name}: {seeds} seeds, {faults} faults, {operations} operations")


@pytest.mark.timeout(300 * TIMES)
@pytest.mark.parametrize(("scenario", "seeds"), CALM, ids=lambda value: getattr(value, "name", ""))
def test_hosts_that_interleave_run_every_activity_once(scenario: Scenario, seeds: int) -> None:
    run_seeds(scenario, seeds * TIMES, calm=True)


@pytest.mark.timeout(300 * TIMES)
@pytest.mark.parametrize(("scenario", "seeds"), ALL, ids=lambda value: getattr(value, "name", ""))
def test_faults_in_any_interleaving_change_no_outcome(scenario: Scenario, seeds: int) -> None:
    run_seeds(scenario, seeds * TIMES, calm=False)


def test_a_seed_replays_exactly() -> None:
    scenario = SCENARIOS[2]
    assert run_seed(scenario, 7) == run_seed(scenario, 7)
