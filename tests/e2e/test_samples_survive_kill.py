"""``kill -9`` of the host in the middle of things, then a restart: right outputs, one charge, nothing lost."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient, eventually
from tests.support.shop_books import ShopBooks, order_input

AFTER_RESTART = 120.0  # seconds: on Azurite the dead host's leases must run out first


async def test_orders_survive_kill_9_and_are_charged_once(own_host: HostProcess) -> None:
    books, orders = ShopBooks(own_host.folder), [f"order-{n}" for n in range(12)]
    async with HttpClient(own_host.url) as http:
        await asyncio.gather(*(http.start("order", order_input(order), order) for order in orders))
        await eventually(lambda: any(books.payments(order) for order in orders))  # the first charge is made: now
        own_host.kill9()
        own_host.start().wait_ready()
        for order in orders:
            await http.raise_event(order, "DeliveryConfirmed")
        for order in orders:
            assert (await http.output_of(order, within=AFTER_RESTART))["status"] == "completed"
    for order in orders:
        books.assert_sold_once(order)


async def test_an_order_survives_a_kill_at_every_stage(own_host: HostProcess) -> None:
    """Killed over and over while it goes on, it is still sold once."""
    books = ShopBooks(own_host.folder)
    async with HttpClient(own_host.url) as http:
        await http.start("order", order_input("unlucky"), "unlucky")
        for pause in (0.0, 0.01, 0.05):
            await asyncio.sleep(pause)  # not to wait for anything: to be killed at different points
            own_host.kill9()
            own_host.start().wait_ready()
        await http.raise_event("unlucky", "DeliveryConfirmed")
        assert (await http.output_of("unlucky", within=AFTER_RESTART))["status"] == "completed"
    books.assert_sold_once("unlucky")


async def test_a_fan_out_of_200_survives_kill_9(own_host: HostProcess, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    text = "the quick brown fox jumps over the lazy dog\n" * 4_000
    for n in range(200):
        (texts / f"{n:03}.txt").write_text(f"{text}file {n}", encoding="utf-8")
    one = Counter(re.findall(r"\w+", text))
    async with HttpClient(own_host.url) as http:
        instance = await http.start("word_count", {"folder": str(texts), "chunk_files": 1})

        def is_partly_done(status: dict[str, Any]) -> bool:
            assert status["runtimeStatus"] in ("Pending", "Running"), "it was over before it could be killed"
            return len([e for e in status["historyEvents"] if e["EventType"] == "TaskCompleted"]) > 20

        await http.wait_until(instance, is_partly_done, history=True)
        own_host.kill9()
        own_host.start().wait_ready()
        output = await http.output_of(instance, within=AFTER_RESTART)
        history = (await http.status(instance, history=True))["historyEvents"]
    assert output["files"] == 200
    assert output["words"] == 200 * (one.total() + 2)
    assert output["top"][0] == ["the", 200 * one["the"]]
    results = Counter(e["TaskId"] for e in history if e["EventType"] == "TaskCompleted")
    assert len(results) == 201, "the listing and 200 counts"
    assert set(results.values()) == {1}, "each result is recorded once"


async def test_a_waiting_timer_survives_kill_9(own_host: HostProcess) -> None:
    """One that is due after the restart, and one that comes due while no host runs."""
    books = ShopBooks(own_host.folder)
    async with HttpClient(own_host.url) as http:
        for order, seconds in (("late", 8.0), ("soon", 0.5)):
            await http.start("order", order_input(order, delivery_timeout_seconds=seconds), order)
        await http.wait_until("late", lambda s: s["customStatus"] is not None)
        own_host.kill9()
        await asyncio.sleep(0.5)  # the time itself: the short one comes due while nobody is there
        own_host.start().wait_ready()
        for order in ("soon", "late"):
            assert (await http.output_of(order, within=AFTER_RESTART))["status"] == "delivery_timeout"
            assert [p["refunded"] for p in books.payments(order)] == [1]


async def test_an_accepted_start_and_an_accepted_event_survive_kill_9(own_host: HostProcess) -> None:
    async with HttpClient(own_host.url) as http:
        instance = await http.start("approval", {"request": "survive", "deadline_seconds": 3600})
        await http.raise_event(instance, "Approved")
        own_host.kill9()
        own_host.start().wait_ready()
        assert (await http.output_of(instance, within=AFTER_RESTART))["status"] == "approved"


async def test_ctrl_c_stops_the_host_cleanly(own_host: HostProcess) -> None:
    async with HttpClient(own_host.url) as http:
        instance = await http.start("approval", {"request": "wait", "deadline_seconds": 3600})
        assert own_host.stop() == 0
        assert "Traceback" not in own_host.log
        own_host.start().wait_ready()
        await http.raise_event(instance, "Rejected")
        assert (await http.output_of(instance))["status"] == "rejected"
