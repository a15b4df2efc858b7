"""A fault at each storage operation of a run, one at a time: which operations are struck, and how a failure replays.

``make soak`` strikes all (``DURABLE_SOAK`` is set). Else of each run only a few are struck, every k-th; with which one
it begins moves on with the date, so that runs of successive days strike all. ``DURABLE_OFFSET=N`` repeats those of a
day; ``DURABLE_STRIKE=N`` strikes operation N alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Protocol

from durable_core.testing.faults import Fault, FaultPlan
from tests.support.totals import Totals

AT_MOST = 2  # operations struck of each run and fault, but by ``make soak``
OFFSET = int(os.environ.get("DURABLE_OFFSET", date.today().toordinal()))
IS_SOAK = "DURABLE_SOAK" in os.environ
ONLY = os.environ.get("DURABLE_STRIKE")

_CALM: dict[str, tuple[str, ...]] = {}  # test → operations of its run without a fault


class Ran(Protocol):
    """A world that a run was in."""

    @property
    def plans(self) -> list[FaultPlan]: ...


def strike_each(
    run: Callable[[FaultPlan], tuple[object, Ran]],
    fault: Fault,
    expected: object,
    totals: Totals,
    *,
    receipts: bool = True,
    at_most: int = AT_MOST,
) -> None:
    """Run without a fault, then with one at each operation of the first host: what comes out must be as expected.

    receipts: strike receipts of messages as well; some tests do that for the others.
    """
    totals.note("simulation", "every operation" if IS_SOAK else f"DURABLE_OFFSET={OFFSET} repeats it")
    operations = _without_a_fault(run, fault, expected)
    assert len(operations) > 5, "there is something to strike"
    for number in _struck(operations, receipts, at_most):
        plan = FaultPlan({number: fault})
        try:
            outcome, world = run(plan)
        except BaseException as error:
            raise AssertionError(f"{plan.struck or number}: {error}\n{_replay('STRIKE', number)}") from error
        assert outcome == expected, f"{plan.struck}: {outcome!r} instead of {expected!r}\n{_replay('STRIKE', number)}"
        count(totals, world)


def _without_a_fault(run: Callable[[FaultPlan], tuple[object, Ran]], fault: Fault, expected: object) -> Sequence[str]:
    """The operations of the calm run, which is the same for all faults of one test."""
    test = _test().replace(str(fault), "*")
    if test not in _CALM:
        outcome, world = run(FaultPlan())
        assert outcome == expected, f"without a fault: {outcome!r} instead of {expected!r}"
        _CALM[test] = tuple(world.plans[0].operations)
    return _CALM[test]


def count(totals: Totals, world: Ran) -> None:
    """Add a run to the totals."""
    totals.add(
        "simulation",
        runs=1,
        faults=sum(len(plan.struck) for plan in world.plans),
        storage_operations=sum(len(plan.operations) for plan in world.plans),
    )


def _struck(operations: Sequence[str], receipts: bool, at_most: int) -> Iterator[int]:
    if ONLY is not None:
        yield int(ONLY)
        return
    numbers = [n for n, what in enumerate(operations) if receipts or not what.startswith("receive")]
    stride = 1 if IS_SOAK else -(-len(numbers) // at_most)
    yield from numbers[OFFSET % stride :: stride]


def replay_seed(seed: int) -> str:
    """How to run this seed of the present test again."""
    return _replay("SEED", seed)


def _replay(variable: str, number: int) -> str:
    return f'to replay it: DURABLE_{variable}={number} .venv/bin/python -m pytest "{_test()}"'


def _test() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
