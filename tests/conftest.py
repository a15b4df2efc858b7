"""For all tests: the totals of what the run has tried, printed at its end."""

from __future__ import annotations

import pytest

from .support.totals import Totals

_TOTALS = pytest.StashKey[Totals]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TOTALS] = Totals()


@pytest.fixture(scope="session")
def totals(pytestconfig: pytest.Config) -> Totals:
    """What this run has tried so far; add to it."""
    return pytestconfig.stash[_TOTALS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash[_TOTALS].lines():
        terminalreporter.section("totals")
        for line in lines:
            terminalreporter.write_line(line)
