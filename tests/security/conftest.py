"""Counts what the fuzzing tests have tried, among the totals that the run prints at its end."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.support.totals import Totals


class Fuzz:
    """Counts what was tried by its kind, and how many of them the server failed to answer in order.

    times: how many times the usual number of inputs to try (``make fuzz``).
    """

    def __init__(self, totals: Totals) -> None:
        self.times = float(os.environ.get("DURABLE_FUZZ", "1"))
        self._totals = totals
        totals.add("fuzz", inputs=0, server_errors=0)

    def count(self, kind: str) -> None:
        self._totals.add("fuzz", inputs=1)
        self._totals.add("fuzz inputs by kind", **{kind: 1})

    def count_server_error(self) -> None:
        self._totals.add("fuzz", server_errors=1)

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


@pytest.fixture(scope="session")
def fuzz(totals: Totals) -> Fuzz:
    return Fuzz(totals)
