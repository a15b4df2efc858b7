"""A rewind, its dispatch and what follows: right, and right when a host fails at any of its storage operations."""

from __future__ import annotations

import pytest

from durable_core.settings import Settings
from durable_core.testing.faults import Fault
from tests.support.totals import Totals

from .exhaustive import strike_each
from .rewinds import SCENARIOS, Rewound, run


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_of_a_rewind_changes_no_outcome(
    scenario: Rewound, fault: Fault, totals: Totals
) -> None:
    strike_each(lambda plan: run(scenario, plan), fault, scenario.expected, totals)


@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.STALL])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_so_too_when_every_message_replays_the_stored_history(scenario: Rewound, fault: Fault, totals: Totals) -> None:
    strike_each(
        lambda plan: run(scenario, plan, settings=Settings(warm_cache=0)), fault, scenario.expected, totals, at_most=1
    )
