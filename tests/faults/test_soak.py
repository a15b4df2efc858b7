"""Several hosts at once, in random interleavings, with several faults: no outcome changes.

A run is a seed; a failing one is named and replays exactly. ``DURABLE_SOAK=N`` runs N times as many (``make soak``),
``DURABLE_SOAK_FIRST=N`` begins with seed N, ``DURABLE_SEED=N`` runs that one alone.
"""

from __future__ import annotations

import os

import pytest

from tests.support.totals import Totals

from .exhaustive import replay_seed
from .more_scenarios import CHEAP, COSTLY
from .scenarios import SCENARIOS, Scenario
from .soak import run_seed

TIMES = int(os.environ.get("DURABLE_SOAK", "1"))
FIRST = int(os.environ.get("DURABLE_SOAK_FIRST", "0"))
ONLY = os.environ.get("DURABLE_SEED")
QUICK = [scenario for scenario in COSTLY if "14 days" not in scenario.name]
LONG = [] if TIMES == 1 else [scenario for scenario in COSTLY if "14 days" in scenario.name]
ALL = [*((scenario, 6) for scenario in SCENARIOS + CHEAP), *((scenario, 1) for scenario in QUICK + LONG)]
CALM = [*((scenario, 1) for scenario in SCENARIOS + CHEAP), *((scenario, 1) for scenario in QUICK)]


def run_seeds(scenario: Scenario, seeds: int, totals: Totals, *, calm: bool) -> None:
    for seed in range(FIRST, FIRST + seeds) if ONLY is None else [int(ONLY)]:
        try:
            outcome = run_seed(scenario, seed, calm=calm)
        except BaseException as error:
            raise AssertionError(f"seed {seed} of '{scenario.name}': {error}\n{replay_seed(seed)}") from error
        totals.add("simulation", seeds=1, faults=outcome.faults, storage_operations=outcome.operations)


@pytest.mark.timeout(300 * TIMES)
@pytest.mark.parametrize(("scenario", "seeds"), CALM, ids=lambda value: getattr(value, "name", ""))
def test_hosts_that_interleave_run_every_activity_once(scenario: Scenario, seeds: int, totals: Totals) -> None:
    run_seeds(scenario, seeds * TIMES, totals, calm=True)


@pytest.mark.timeout(300 * TIMES)
@pytest.mark.parametrize(("scenario", "seeds"), ALL, ids=lambda value: getattr(value, "name", ""))
def test_faults_in_any_interleaving_change_no_outcome(scenario: Scenario, seeds: int, totals: Totals) -> None:
    run_seeds(scenario, seeds * TIMES, totals, calm=False)


def test_a_seed_replays_exactly() -> None:
    for scenario in SCENARIOS[2:5]:
        assert run_seed(scenario, 7) == run_seed(scenario, 7)


def test_a_failing_seed_is_printed_with_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command names this very test and the seed; with it, that seed alone is run, and fails again."""
    broken = Scenario("chain", SCENARIOS[0].drive, "never")
    monkeypatch.setattr("tests.faults.test_soak.ONLY", "3")
    for _ in range(2):
        with pytest.raises(AssertionError) as caught:
            run_seeds(broken, 1, Totals(), calm=False)
        assert "seed 3 of 'chain': 8 instead of 'never'" in str(caught.value)
        assert "DURABLE_SEED=3 .venv/bin/python -m pytest" in str(caught.value)
        assert "test_a_failing_seed_is_printed" in str(caught.value)
