"""An agent that asks a person, with a fault at each storage operation: what is recorded is done once."""

from __future__ import annotations

from typing import Any

import pytest

from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.agents.scripted import tool
from tests.agents.test_turns import Office, ended
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import run_judged
from .scenarios import Effects

SAID = ([tool("look", "a", item="mug"), tool("look", "b", item="lamp")], [tool("pay", cents=5)], "it is settled")


@pytest.mark.parametrize("fault", list(Fault))
def test_a_run_that_was_struck_anywhere_ends_and_repeats_at_most_what_was_running(fault: Fault, totals: Totals) -> None:
    def run(plan: FaultPlan) -> tuple[Any, World]:
        office = Office(*SAID)
        world = World(office.registry)

        async def drive(world: World) -> Any:
            await world.client.start_new("office", "one", "settle")
            asked = (await office.asked())[0]
            assert not office.paid
            await world.client.complete_callback(asked.url, {"approved": True})
            return (await ended(world)).output, sorted(office.paid.values())

        outcome = run_judged(world, Effects(runs=office.runs), drive, plan)
        # Steps that run side by side are at most the two tool calls.
        done = office.effects
        assert 3 <= done["model"] <= 4, done
        assert 2 <= done["look"] <= 4, done
        assert 1 <= done["pay"] <= 2, done
        return outcome, world

    strike_each(run, fault, ({"said": "it is settled", "requests": 3}, [5]), totals, at_most=8)
