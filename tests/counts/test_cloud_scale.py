"""docs/scale.md: its counts are those of today's runtime."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.cloud.catalogue import APART, count_all
from benchmarks.cloud.deployment import Hub, Tally
from benchmarks.cloud.footprint import REST, Workload, footprint
from benchmarks.cloud.page import parts_of
from durable_core.storage.counting import IDLE_POLL
from durable_core.testing.virtual_time import VirtualTimeLoop, run_virtual

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"


def test_the_page_says_what_the_runtime_of_today_takes() -> None:
    page = PAGE.read_text("utf-8")
    stale = [part.splitlines()[0] for part in parts_of(count_all()) if part not in page]
    assert stale == [], "run make bench WHAT=cloud, and commit docs/scale.md"


def test_a_chain_alone_takes_what_the_counting_port_counts() -> None:
    """The ledger, from which the ceilings follow, agrees with the port that counts what Azure bills."""
    loop, tally = VirtualTimeLoop(), Tally()
    hub = Hub(APART, loop, tally)

    async def main() -> tuple[int, int]:
        await hub.open()
        await asyncio.sleep(REST)
        before, mark = hub.counted.counts, len(hub.ledger.charges)
        await hub.run("chain", "i0", 5)
        await asyncio.sleep(REST)
        counts, charges = hub.counted.counts - before, hub.ledger.charges[mark:]
        await hub.close()
        at_port = sum(each.cost for each in counts.requests if each.kind != IDLE_POLL)
        return at_port, sum(charge.requests for charge in charges if not charge.polls)

    at_port, in_ledger = run_virtual(main(), loop)
    assert at_port == in_ledger > 5
    alone = footprint(Workload(title="", orchestrator="chain", data=5), APART)
    assert alone.requests == at_port
    assert alone.executions == 1
