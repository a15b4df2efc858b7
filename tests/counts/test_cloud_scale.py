"""docs/scale.md: its counts are those of today's runtime, and the simulation bears its model out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from benchmarks.cloud.catalogue import APART, CHAIN, QUEUED, count_all
from benchmarks.cloud.deployment import Hub, Shape, Tally
from benchmarks.cloud.footprint import REST, Footprint, Workload, counted, footprint
from benchmarks.cloud.model import ceiling, published_rates, throughput
from benchmarks.cloud.page import counted_parts
from benchmarks.cloud.simulation import simulate
from durable_core.storage.counting import IDLE_POLL
from durable_core.testing.virtual_time import VirtualTimeLoop, run_virtual

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"

TOLERANCE = 0.12  # how far the simulation may be from the model, as a share of it
WARM_UP, WINDOW = 4.0, 12.0  # virtual seconds


@cache
def at_work(workload: Workload) -> Footprint:
    return counted(workload, APART)


def test_the_page_says_what_the_runtime_of_today_takes() -> None:
    page = PAGE.read_text("utf-8")
    stale = [part.splitlines()[0] for part in counted_parts(count_all()) if part not in page]
    assert stale == [], "run make bench WHAT=cloud, and commit docs/scale.md and its chart"


def test_a_chain_alone_takes_what_the_counting_port_counts() -> None:
    """The ledger, which limits are held against, agrees with the port that counts what Azure bills."""
    loop, tally = VirtualTimeLoop(), Tally()
    hub = Hub(APART, 0, loop, tally)

    async def main() -> tuple[int, int]:
        await hub.open()
        await asyncio.sleep(REST)
        before, mark = hub.counted.counts, len(hub.account.ledger)
        await hub.run("chain", "i0", 5)
        await asyncio.sleep(REST)
        counts, ledger = hub.counted.counts - before, hub.account.ledger[mark:]
        await hub.close()
        at_port = sum(each.cost for each in counts.requests if each.kind != IDLE_POLL)
        return at_port, sum(charge.requests for charge in ledger if not charge.polls)

    at_port, in_ledger = run_virtual(main(), loop)
    assert at_port == in_ledger > 5
    alone = footprint(Workload(title="", orchestrator="chain", data=5), APART)
    assert alone.requests == at_port
    assert alone.executions == 1


@pytest.mark.parametrize(
    ("workload", "accounts", "partitions", "in_flight"),
    [(CHAIN, 1, 1, 8), (CHAIN, 1, 4, 8), (QUEUED, 1, 1, 8), (QUEUED, 2, 2, 16)],
    ids=lambda value: value.title if isinstance(value, Workload) else str(value),
)
def test_accounts_that_refuse_let_through_what_the_model_says(
    workload: Workload, accounts: int, partitions: int, in_flight: int
) -> None:
    rates, factor = published_rates(), 200.0
    shape = Shape(accounts=accounts, partitions=partitions)
    outcome = simulate(workload, shape, rates, in_flight, factor=factor, warm_up=WARM_UP, window=WINDOW)
    expected = ceiling(at_work(workload), rates, partitions=partitions, accounts=accounts).steps_per_s
    assert outcome.refused > 0, "the limits were never reached"
    assert outcome.steps_per_s == pytest.approx(expected, rel=TOLERANCE)


def test_with_little_in_flight_time_is_the_limit_as_the_model_says() -> None:
    rates, factor = published_rates(), 20.0
    outcome = simulate(CHAIN, Shape(partitions=4), rates, 2, factor=factor, warm_up=1.0, window=5.0)
    assert outcome.refused == 0
    expected = throughput(at_work(CHAIN), rates, 2 * factor, partitions=4)
    assert outcome.steps_per_s == pytest.approx(expected, rel=TOLERANCE)


def test_an_account_that_is_busy_delays_and_loses_nothing() -> None:
    loop, tally = VirtualTimeLoop(), Tally()
    hub = Hub(replace(APART, rates=published_rates().scaled(500)), 0, loop, tally)

    async def main() -> None:
        await hub.open()
        await asyncio.gather(*(hub.run("chain", f"i{number}", 5) for number in range(20)))
        await hub.close()

    run_virtual(main(), loop)
    assert hub.account.refused > 20
    assert tally.activities == 20 * 5
