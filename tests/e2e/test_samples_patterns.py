"""Every pattern through HTTP, against a host in its own process: each store, with the warm cache and without."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient
from tests.support.shop_books import ShopBooks, order_input

TEXTS = ["the cat and the dog", "The dog,\nthe end: dog!", "", "naïve café — café"]


@pytest.fixture
def books(host: HostProcess) -> ShopBooks:
    return ShopBooks(host.folder)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid4().hex[:8]}"


async def delivered(http: HttpClient, instance_id: str) -> dict[str, Any]:
    """Wait until the order waits for its delivery, report the delivery, and return the output."""
    await http.wait_until(instance_id, lambda s: s["customStatus"] is not None)
    await http.raise_event(instance_id, "DeliveryConfirmed")
    return await http.output_of(instance_id)


# ---------------------------------------------------------------- order


async def test_an_order_is_charged_confirmed_and_shipped_once(http: HttpClient, books: ShopBooks) -> None:
    order_id = unique("order")
    instance = await http.start("order", order_input(order_id))
    output = await delivered(http, instance)
    assert output == {"status": "completed", "tracking_id": books.shipments(order_id)[0]["tracking_id"]}
    books.assert_sold_once(order_id)
    assert books.payments(order_id)[0]["cents"] == 4250


async def test_a_delivery_reported_before_the_order_waits_for_it_is_not_lost(http: HttpClient) -> None:
    instance = await http.start("order", order_input(unique("order")))
    await http.raise_event(instance, "DeliveryConfirmed")
    assert (await http.output_of(instance))["status"] == "completed"


async def test_a_declined_card_ends_the_order_without_a_charge(http: HttpClient, books: ShopBooks) -> None:
    order_id = unique("order")
    instance = await http.start("order", order_input(order_id, card="4000000000000002"))
    assert await http.output_of(instance) == {"status": "payment_failed", "tracking_id": None}
    assert books.payments(order_id) == []


@pytest.mark.parametrize("sku", ["sold-out", "no-such-product"])
async def test_what_is_out_of_stock_is_refunded(http: HttpClient, books: ShopBooks, sku: str) -> None:
    order_id = unique("order")
    instance = await http.start("order", order_input(order_id, sku=sku))
    assert await http.output_of(instance) == {"status": "out_of_stock", "tracking_id": None}
    assert [p["refunded"] for p in books.payments(order_id)] == [1]
    assert books.shipments(order_id) == []


async def test_an_order_nobody_receives_times_out_and_is_refunded(http: HttpClient, books: ShopBooks) -> None:
    order_id = unique("order")
    instance = await http.start("order", order_input(order_id, delivery_timeout_seconds=0.3))
    output = await http.output_of(instance)
    assert output == {"status": "delivery_timeout", "tracking_id": books.shipments(order_id)[0]["tracking_id"]}
    assert [p["refunded"] for p in books.payments(order_id)] == [1]


# ---------------------------------------------------------------- word_count


@pytest.mark.parametrize("chunk_files", [1, 3, 100])
async def test_a_parallel_count_equals_a_sequential_one(http: HttpClient, tmp_path: Path, chunk_files: int) -> None:
    (tmp_path / "below").mkdir()
    for n, text in enumerate(TEXTS * 3):
        (tmp_path / ("below" if n % 2 else "") / f"{n}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG words in a picture do not count")
    sequential = Counter(w for text in TEXTS * 3 for w in re.findall(r"\w+", text.lower()))

    instance = await http.start("word_count", {"folder": str(tmp_path), "chunk_files": chunk_files})
    assert await http.output_of(instance) == {
        "files": len(TEXTS) * 3,
        "words": sequential.total(),
        "top": [list(entry) for entry in sorted(sequential.items(), key=lambda e: (-e[1], e[0]))[:10]],
    }


async def test_an_empty_folder_has_no_words(http: HttpClient, tmp_path: Path) -> None:
    instance = await http.start("word_count", {"folder": str(tmp_path), "chunk_files": 5})
    assert await http.output_of(instance) == {"files": 0, "words": 0, "top": []}


async def test_a_missing_folder_fails_the_count_and_is_named(http: HttpClient, tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere")
    status = await http.wait_done(await http.start("word_count", {"folder": missing, "chunk_files": 5}))
    assert status["runtimeStatus"] == "Failed"
    assert missing in str(status["output"])


# ---------------------------------------------------------------- watch_url


@asynccontextmanager
async def answering(*statuses: int) -> AsyncGenerator[str]:
    """A real HTTP endpoint that answers these, the last one for ever; yields its address."""
    left = list(statuses)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=left.pop(0) if len(left) > 1 else left[0])

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_a_monitor_sees_an_endpoint_come_up_and_keeps_a_short_history(http: HttpClient) -> None:
    async with answering(503, 503, 404, 200) as url:
        instance = await http.start("watch_url", {"url": url, "interval_seconds": 0.1, "deadline_seconds": 60})
        assert await http.output_of(instance) == {"status": "up", "checks": 4}
    history = (await http.status(instance, history=True))["historyEvents"]
    assert len([e for e in history if e["EventType"] == "TaskCompleted"]) == 1, "each generation begins anew"


async def test_a_monitor_gives_up_at_its_deadline(http: HttpClient) -> None:
    async with answering(503) as url:
        instance = await http.start("watch_url", {"url": url, "interval_seconds": 0.4, "deadline_seconds": 1.0})
        output = await http.output_of(instance)
    assert output["status"] == "gave_up"
    assert 1 <= output["checks"] <= 3


async def test_an_endpoint_that_refuses_connections_is_not_up(http: HttpClient) -> None:
    async with answering(200) as url:
        pass  # closed again: nobody listens there now
    instance = await http.start("watch_url", {"url": url, "interval_seconds": 5, "deadline_seconds": 1})
    assert await http.output_of(instance) == {"status": "gave_up", "checks": 1}


# ---------------------------------------------------------------- approval


@pytest.mark.parametrize(("event", "status"), [("Approved", "approved"), ("Rejected", "rejected")])
async def test_a_decision_in_time_escalates_nothing(
    http: HttpClient, books: ShopBooks, event: str, status: str
) -> None:
    instance = await http.start("approval", {"request": {"days": 3}, "deadline_seconds": 3600})
    await http.raise_event(instance, event)
    assert await http.output_of(instance) == {"status": status, "escalated": False}
    assert books.mails(instance) == []


async def test_half_time_escalates_once_and_the_answer_still_counts(http: HttpClient, books: ShopBooks) -> None:
    instance = await http.start("approval", {"request": "a new chair", "deadline_seconds": 8})
    await http.wait_until(instance, lambda _: len(books.mails(instance)) == 1)
    await http.raise_event(instance, "Approved")
    assert await http.output_of(instance) == {"status": "approved", "escalated": True}
    assert len(books.mails(instance)) == 1
    assert "a new chair" in books.mails(instance)[0].get_content()


async def test_without_a_decision_a_request_expires(http: HttpClient, books: ShopBooks) -> None:
    instance = await http.start("approval", {"request": {"amount": 10}, "deadline_seconds": 0.6})
    assert await http.output_of(instance) == {"status": "expired", "escalated": True}
    assert len(books.mails(instance)) == 1
