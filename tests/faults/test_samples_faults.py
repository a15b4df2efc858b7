"""The sample orchestrators with their real activities: a fault at any storage operation changes nothing in the shop.

Only the address that ``watch_url`` looks at is a twin in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import activities.inventory
import activities.notifications
import activities.payments
import activities.shipping
import activities.text
from durable_core import Registry, activity
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from orchestrators.approval import approval
from orchestrators.order import order
from orchestrators.watch_url import watch_url
from orchestrators.word_count import word_count
from tests.support.shop_books import ShopBooks, order_input
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import run_judged
from .scenarios import result

REAL = (activities.inventory, activities.notifications, activities.payments, activities.shipping, activities.text)

Drive = Callable[[World, Path], Awaitable[Any]]


async def _sold(world: World, _: Path) -> Any:
    await world.client.start_new("order", "o1", order_input("o1"))
    await world.client.raise_event("o1", "DeliveryConfirmed")
    return (await result(world, "o1"))["status"]


async def _out_of_stock(world: World, _: Path) -> Any:
    await world.client.start_new("order", "o1", order_input("o1", sku="sold-out"))
    return (await result(world, "o1"))["status"]


async def _lost_parcel(world: World, _: Path) -> Any:
    await world.client.start_new("order", "o1", order_input("o1", delivery_timeout_seconds=1800))
    return (await result(world, "o1"))["status"]


async def _expired(world: World, _: Path) -> Any:
    await world.client.start_new("approval", "a1", {"request": "holidays", "deadline_seconds": 3600})
    return await result(world, "a1")


async def _watched(world: World, _: Path) -> Any:
    await world.client.start_new("watch_url", "w1", {"url": "http://twin.invalid/", "interval_seconds": 60})
    return (await result(world, "w1"))["status"]


async def _counted(world: World, folder: Path) -> Any:
    texts = folder / "texts"
    texts.mkdir()
    for number in range(6):
        (texts / f"{number}.txt").write_text("to be or not to be " * (number + 1))
    await world.client.start_new("word_count", "c1", {"folder": str(texts), "chunk_files": 2})
    return await result(world, "c1")


def _books(folder: Path) -> Any:
    """What is in the shop: money taken and given back, stock, parcels, mails."""
    books = ShopBooks(folder)
    money = [(row["cents"], row["refunded"]) for row in books.payments("o1")]
    reserved = [(row["sku"], row["quantity"], row["released"]) for row in books.reservations("o1")]
    mails = sorted(str(mail["Subject"]) for mail in books.mails(""))
    return money, reserved, len(books.shipments("o1")), mails


SAMPLES: dict[str, tuple[Drive, Any]] = {
    "order": (_sold, ("completed", ([(4250, 0)], [("book", 1, 0)], 1, ["Your order o1"]))),
    "order out of stock": (_out_of_stock, ("out_of_stock", ([(4250, 1)], [], 0, []))),
    "order of a lost parcel": (
        _lost_parcel,
        ("delivery_timeout", ([(4250, 1)], [("book", 1, 0)], 1, ["Your order o1"])),
    ),
    "approval": (
        _expired,
        ({"status": "expired", "escalated": True}, ([], [], 0, ["Still waiting for a decision: a1"])),
    ),
    "watch_url": (_watched, ("up", ([], [], 0, []))),
    "word_count": (
        _counted,
        (
            {"files": 6, "words": 126, "top": [["be", 42], ["to", 42], ["not", 21], ["or", 21]]},
            ([], [], 0, []),
        ),
    ),
}


def _registry() -> Registry:
    looks = iter([503, None, 503])

    @activity(name="check_url")
    async def twin(url: str) -> int | None:
        await asyncio.sleep(0)
        return next(looks, 200)

    return Registry.scan(*REAL).add(order, approval, watch_url, word_count, twin)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_fault_at_any_storage_operation_changes_nothing_in_the_shop(
    sample: str, fault: Fault, totals: Totals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive, expected = SAMPLES[sample]
    monkeypatch.delenv("SMTP_HOST", raising=False)
    shops = iter(range(10_000))

    def run(plan: FaultPlan) -> tuple[Any, World]:
        folder = tmp_path / f"{next(shops)}"
        folder.mkdir()
        monkeypatch.setenv("SHOP_DB", str(folder / "shop.db"))
        monkeypatch.setenv("OUTBOX", str(folder / "outbox"))
        world = World(_registry())
        output = run_judged(world, None, lambda world: drive(world, folder), plan)
        return (output, _books(folder)), world

    strike_each(run, fault, expected, totals, at_most=1)
