"""Two hosts share one store: all work is done, each result is recorded once, and conflicts are few."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient
from tests.support.shop_books import ShopBooks, order_input

INSTANCES = 100


async def test_two_hosts_complete_100_orders_and_record_each_result_once(
    two_hosts: tuple[HostProcess, HostProcess],
) -> None:
    books, orders = ShopBooks(two_hosts[0].folder), [f"order-{n}" for n in range(INSTANCES)]
    async with HttpClient(two_hosts[0].url) as left, HttpClient(two_hosts[1].url) as right:
        limit = asyncio.Semaphore(8)

        async def run(n: int, order: str) -> None:
            async with limit:  # each order is started at one host and told of its delivery at the other
                here, there = (left, right) if n % 2 else (right, left)
                await here.start("order", order_input(order), order)
                await there.raise_event(order, "DeliveryConfirmed")

        await asyncio.gather(*(run(n, order) for n, order in enumerate(orders)))
        for order in orders:
            assert (await left.output_of(order, within=120))["status"] == "completed"
            history = (await right.status(order, history=True))["historyEvents"]
            results = Counter(e["TaskId"] for e in history if e["EventType"] == "TaskCompleted")
            assert len(results) == 4, "payment, stock, mail, shipment"
            assert set(results.values()) == {1}
    for order in orders:
        books.assert_sold_once(order)
    assert books.stock("book") == 10_000 - INSTANCES
    conflicts = sum(len(re.findall(r"conflict \d+ on instance", host.log)) for host in two_hosts)
    # Both hosts are pointed at each order within milliseconds, on purpose: less than one of its six commits is lost.
    assert conflicts < INSTANCES, f"{conflicts} conflicts over {INSTANCES} orders"
