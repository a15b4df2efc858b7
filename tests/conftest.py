"""For all tests: the totals of what the run has tried, printed at its end; hypothesis without its limits of time.

``make test`` runs with pytest-xdist. Its worker processes hand their totals to the process that prints them.
"""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from .support.totals import Totals

# How long an input takes to make or to try says how busy the machine is, and nothing of the code.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

_TOTALS = pytest.StashKey[Totals]()
_HANDED_OVER = "durable_core_totals"


# A shell without job control lets what it starts in the background ignore Ctrl-C, and so would the programs of tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TOTALS] = Totals()


@pytest.fixture(scope="session")
def totals(pytestconfig: pytest.Config) -> Totals:
    """What this run has tried so far; add to it."""
    return pytestconfig.stash[_TOTALS]


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_HANDED_OVER] = session.config.stash[_TOTALS].dumped()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended. One that crashed hands over nothing: pytest-xdist reports it as a failure."""
    dumped = getattr(node, "workeroutput", {}).get(_HANDED_OVER)
    if dumped is not None:
        node.config.stash[_TOTALS].merge(dumped)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash[_TOTALS].lines():
        terminalreporter.section("totals")
        for line in lines:
            terminalreporter.write_line(line)
