"""The model of docs/scale.md: each figure worked out by hand from small numbers, and a limit that is kept to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.cloud.facts import LIMITS, PRICES, Fact, facts_of
from benchmarks.cloud.footprint import Footprint
from benchmarks.cloud.model import (
    Compute,
    Documented,
    Rates,
    ceiling,
    ceilings,
    idle_polls_price,
    lonely_price,
    one_instance,
    price,
    useful_partitions,
)

RATES = Rates(account_requests=1000, account_table=800, account_queue=900, table_partition=60, queue=90)
TEN_STEPS = Footprint(
    steps=10,
    table_requests=16,
    queue_requests=4,
    control=3,
    work=0,
    catalogue=3,
    own=12,
    executions=2,
    written=1000,
    seconds=0.4,
)


def test_each_limit_is_what_it_allows_by_what_an_instance_takes_times_its_steps() -> None:
    assert {each.limit: each.steps_per_s for each in ceilings(TEN_STEPS, RATES)} == {
        "catalogue shards": 60 / 3 * 10,
        "control queues": 90 / 3 * 10,
        "account: table transactions": 800 / 16 * 10,
        "account: requests": 1000 / 20 * 10,
        "account: queue messages": 900 / 3 * 10,
    }
    assert ceiling(TEN_STEPS, RATES).limit == "catalogue shards"


def test_partitions_widen_queues_and_shards_and_accounts_widen_all() -> None:
    assert ceiling(TEN_STEPS, RATES, partitions=2).steps_per_s == 400
    four = ceiling(TEN_STEPS, RATES, partitions=4)
    assert (four.limit, four.steps_per_s) in (("account: requests", 500), ("account: table transactions", 500))
    assert ceiling(TEN_STEPS, RATES, partitions=4, accounts=3).steps_per_s == 1500
    assert useful_partitions(TEN_STEPS, RATES) == 3  # 600 of the shards, 500 of the account


def test_one_instance_is_bound_by_time_or_by_its_own_partition() -> None:
    assert one_instance(TEN_STEPS, RATES) == pytest.approx(10 / 0.4)
    assert one_instance(replace(TEN_STEPS, own=120), RATES) == pytest.approx(10 / 2)


def test_a_price_is_that_of_requests_executions_and_memory_at_work() -> None:
    compute = Compute(cpu_operation=0.001, cpu_step=0.0, cpu_execution=0.005, cores=1, busy=0.5, memory=2)
    assert compute.cpu(TEN_STEPS) == pytest.approx((20 * 0.001 + 2 * 0.005) / 10)  # 3 ms for a step
    assert compute.steps_per_machine(TEN_STEPS) == pytest.approx(0.5 / 0.003)
    found = price(TEN_STEPS, compute)
    assert found.tables == pytest.approx(1.6 * 0.036)  # $0.00036 for 10,000 are $0.036 for a million
    assert found.queues == pytest.approx(0.4 * 0.4)
    assert found.executions == pytest.approx(0.2 * 0.4)
    assert found.compute == pytest.approx(2 * 0.006 * 26)  # 6 ms of 2 GB, at $26 for a million GB-s
    assert found.total == pytest.approx(found.storage + found.executions + found.compute)


def test_a_rare_execution_is_billed_a_second_of_its_machine() -> None:
    assert lonely_price(TEN_STEPS, Compute(memory=2)).compute == pytest.approx(2 * 1.0 * 2 / 10 * 26)
    slow = replace(TEN_STEPS, seconds=2.61)  # 1.305 s for each execution, in steps of 0.1 s
    assert lonely_price(slow, Compute(memory=2)).compute == pytest.approx(2 * 1.4 * 2 / 10 * 26)


def test_idle_polls_are_queue_operations() -> None:
    assert idle_polls_price(2, 2.0) == pytest.approx(2 * 1_296_000 * 0.4 / 1_000_000)


def test_what_is_documented_of_another_engine_is_priced_alike() -> None:
    found = Documented(queue_operations=5, table_operations=1, executions=2).price()
    assert found.total == pytest.approx(5 * 0.4 + 0.036 + 2 * 0.4)


@pytest.mark.parametrize("fact", [*facts_of(LIMITS), *facts_of(PRICES)], ids=lambda fact: fact.unit)
def test_every_fact_has_a_source(fact: Fact) -> None:
    assert fact.value > 0
    assert fact.source
