"""What worker processes have counted is added up by the process that prints it."""

from __future__ import annotations

import json

from tests.support.totals import Totals


def counted(**counts: int) -> Totals:
    totals = Totals()
    totals.add("simulation", **counts)
    totals.note("simulation", "DURABLE_OFFSET=7 repeats it")
    return totals


def test_the_counts_of_all_processes_are_one_line() -> None:
    printed = Totals()
    for worker in (counted(seeds=2, faults=1500), counted(seeds=3), counted(storage_operations=9)):
        printed.merge(json.loads(json.dumps(worker.dumped())))
    assert printed.lines() == ["simulation: 5 seeds, 1,500 faults, 9 storage operations (DURABLE_OFFSET=7 repeats it)"]


def test_a_process_that_counted_nothing_adds_nothing() -> None:
    printed = counted(seeds=2)
    printed.merge(Totals().dumped())
    assert printed.lines() == counted(seeds=2).lines()
