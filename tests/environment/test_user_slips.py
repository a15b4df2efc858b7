"""What users write by mistake is named where they wrote it, with what to write instead, and does nothing meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.errors import OrchestrationFailedError
from durable_core.testing import TestEnvironment


@activity
def charge(amount: Any) -> Any:
    return amount


@activity
def counted(up_to: int) -> Iterator[int]:
    return iter(range(up_to))


def helper(ctx: OrchestrationContext) -> Orchestration[int]:
    return (yield from ctx.call_activity(charge, 5))


def numbers() -> Iterator[int]:
    yield 1


@orchestrator
def forgets_yield_from(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield from ctx.call_activity(charge, 1)
    return helper(ctx)


@orchestrator
def passes_a_generator(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.call_activity(charge, {"amounts": numbers()}))


@orchestrator
def asks_for_an_iterator(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.call_activity(counted, 3))


@pytest.mark.parametrize(
    ("slip", "says", "ran"),
    [
        (
            forgets_yield_from,
            "result of orchestrator 'forgets_yield_from'.*the generator 'helper' has not been run; write 'yield from'",
            ["charge"],
        ),
        (
            passes_a_generator,
            r"input of activity 'charge'.*at amounts: the generator 'numbers'.*test_user_slips.py:\d+\)",
            [],
        ),
        (asks_for_an_iterator, "result of activity 'counted'.*an iterator.*make a list of it", ["counted"]),
    ],
)
def test_a_generator_in_the_place_of_a_value_is_refused_and_not_run(slip: Any, says: str, ran: list[str]) -> None:
    with TestEnvironment(forgets_yield_from, passes_a_generator, asks_for_an_iterator, charge, counted) as env:
        with pytest.raises(OrchestrationFailedError, match=says):
            env.result(env.start(slip))
        assert [run.name for run in env.runs] == ran
