"""What orchestrations cost, counted at the storage ports: the numbers of DESIGN section 4. They may only go down.

Each message counts its send, its receive and its delete; empty polls are left out. Exact for a seed: nothing is timed.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from durable_core.settings import Settings
from durable_core.testing.simulation import Role

from .programs import count

APART: Sequence[Role] = ("control", "work")
COLD = Settings(warm_cache=0)


def test_a_start_costs_three_operations() -> None:
    run = count("chain", 5)
    assert run.start.total <= 3, run.start


def test_a_chain_of_five_costs_thirteen_operations_from_start_to_end() -> None:
    run = count("chain", 5)
    assert run.outputs == [5]
    assert run.all.total <= 13, run


def test_one_more_step_of_a_chain_costs_one_operation() -> None:
    five, six, thirty = count("chain", 5), count("chain", 6), count("chain", 30)
    assert six.all.total - five.all.total <= 1, f"five: {five}\nsix: {six}"
    assert thirty.all.total - five.all.total <= 25, f"five: {five}\nthirty: {thirty}"


def test_a_step_through_the_queue_costs_four_operations_where_the_orchestrator_is_warm() -> None:
    five, fifteen = count("queued_chain", 5), count("queued_chain", 15)
    assert fifteen.all.total - five.all.total <= 10 * 4, f"five: {five}\nfifteen: {fifteen}"


def test_a_step_on_a_host_of_its_own_costs_seven_operations_and_eight_with_no_cache() -> None:
    five, fifteen = count("queued_chain", 5, hosts=APART), count("queued_chain", 15, hosts=APART)
    assert fifteen.all.total - five.all.total <= 10 * 7, f"five: {five}\nfifteen: {fifteen}"
    cold_five = count("queued_chain", 5, hosts=APART, settings=COLD)
    cold_fifteen = count("queued_chain", 15, hosts=APART, settings=COLD)
    assert cold_fifteen.all.total - cold_five.all.total <= 10 * 8, f"five: {cold_five}\nfifteen: {cold_fifteen}"


@pytest.mark.parametrize(
    ("program", "hosts", "most"),
    [("fan", 1, 775), ("short_fan", 1, 107), ("fan", APART, 818), ("short_fan", APART, 113)],
    ids=["one host", "one host, short", "control apart from work", "control apart from work, short"],
)
def test_a_fan_out_of_a_thousand_is_packed(program: str, hosts: int | Sequence[Role], most: int) -> None:
    run = count(program, 1000, hosts=hosts)
    assert run.outputs == [500_500]
    assert run.all.total <= most, run


@pytest.mark.parametrize(
    ("program", "size", "instances"),
    [("chain", 10, 50), ("queued_chain", 10, 50), ("fan", 1000, 1), ("short_fan", 1000, 1), ("fan", 40, 25)],
)
def test_four_hosts_need_at_most_twice_the_operations_of_one(program: str, size: int, instances: int) -> None:
    alone = count(program, size, instances=instances)
    shared = count(program, size, instances=instances, hosts=4)
    assert shared.outputs == alone.outputs
    assert shared.all.total <= 2 * alone.all.total, f"one: {alone}\nfour: {shared}"
    assert shared.conflicts <= 0.02 * shared.all.total, f"four: {shared}"


def test_what_a_commit_sends_does_not_grow_with_the_history() -> None:
    run = count("chain", 300)
    commits = [r.written for r in run.all.requests if r.kind == "table.merge" and r.name.endswith("Instances")]
    assert len(commits) > 290  # the others moved the log to a chunk row
    first, last = max(commits[:100]), max(commits[-100:])
    assert last <= 1.2 * first, f"largest of the first hundred: {first} bytes, of the last: {last}"
