"""Counts what the fuzzing tests have tried, and says so at the end of the run."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings


@dataclass
class Fuzz:
    """What was tried, by its kind, and how many of them the server failed to answer in order.

    times: how many times the usual number of inputs to try (``make fuzz``).
    """

    times: float = field(default_factory=lambda: float(os.environ.get("DURABLE_FUZZ", "1")))
    inputs: dict[str, int] = field(default_factory=dict[str, int])
    server_errors: int = 0

    def count(self, kind: str) -> None:
        self.inputs[kind] = self.inputs.get(kind, 0) + 1

    def settings(self, usual: int) -> settings:
        """So many examples, however long each takes; a failing one is shown as it was found."""
        return settings(
            max_examples=max(1, round(usual * self.times)),
            database=None,
            deadline=None,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.filter_too_much,
                HealthCheck.function_scoped_fixture,
            ],
            phases=[Phase.explicit, Phase.generate],
        )


_FUZZ = pytest.StashKey[Fuzz]()


@pytest.fixture(scope="session")
def fuzz(pytestconfig: pytest.Config) -> Fuzz:
    return pytestconfig.stash.setdefault(_FUZZ, Fuzz())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(_FUZZ, None)
    if found is not None and found.inputs:
        kinds = ", ".join(f"{kind} {number:,}" for kind, number in sorted(found.inputs.items()))
        total = sum(found.inputs.values())
        terminalreporter.write_line(f"fuzz: {total:,} inputs ({kinds}), {found.server_errors} server errors")
