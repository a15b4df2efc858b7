"""What instances cost, the timers that are far off, and the way from a child to its parent and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import APP, Board
from tests.support.browser import Watched
from tests.support.hosts import HostProcess

Open = Callable[..., Watched]
PRICES = {"tableReads": 1, "tableWrites": 2.5, "queueOperations": 10, "currency": "EUR", "date": "2026-11-01"}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A host whose storage has a price."""
    folder = tmp_path_factory.mktemp("prices")
    with HostProcess(folder, app=APP, env={"GATES": str(folder), "DURABLE_PRICES": json.dumps(PRICES)}) as host:
        board = Board(host, folder)
        board.start("order", "order-1", {"items": ["book"]})
        board.start("family", "family-1", "family-gate")
        for number in range(3):
            board.run("echo", f"echo-{number}", number)
        # The prices are those of the list, which hears of an end a moment after the instance has ended.
        board.until(lambda: len(board.call("GET", "instances?runtimeStatus=Completed")) >= 3)
        board.until(lambda: board.status("family-1") == "Running")
        yield board
        (folder / "all").touch()


def test_the_cost_of_orchestrators(opened: Open, board: Board) -> None:
    watched = opened("#/cost")
    page = watched.page
    expect(page.locator("table.rows tbody tr", has_text="echo")).to_contain_text("€")
    found: Any = board.call("GET", "prices?name=echo")
    (echo,) = found["orchestrators"]
    cells = page.locator("table.rows tbody tr", has_text="echo").locator("td")
    expect(cells.nth(4)).to_have_text(str(echo["operations"]["total"]))
    expect(cells.nth(5)).to_have_text("3")
    expect(cells.nth(1)).to_have_text(f"€{echo['total']:.4f}")
    expect(page.locator("table.rows tbody tr", has_text="family").locator("td").nth(6)).to_have_text("1")
    expect(page.locator("main")).to_contain_text("2026-11-01")
    asked = len(watched.asked(path="prices"))
    page.get_by_label("Orchestrator", exact=True).fill("echo")
    page.keyboard.press("Enter")
    expect(page.locator("table.rows tbody tr")).to_have_count(1)
    page.reload()
    expect(page.locator("table.rows tbody tr")).to_have_count(1)
    page.get_by_label("Created").select_option("all")
    expect(page.locator("table.rows tbody tr")).to_have_count(1)
    assert "since=all" in page.url and "name=echo" in page.url
    page.get_by_role("link", name="echo", exact=True).click()
    expect(page.locator("table.list tbody tr")).to_have_count(3)
    assert len(watched.asked(path="prices")) <= asked + 3, "read once for each filter, and never by itself"


def test_the_cost_of_one_instance_is_beside_its_facts(opened: Open, board: Board) -> None:
    price: Any = board.call("GET", "instances/echo-1/price")
    page = opened("#/instances/echo-1").page
    total = price["operations"]["total"]
    expect(page.locator(".facts-line")).to_contain_text(f"cost €{price['amount']:.5f}, {total} storage operations")
    expect(page.locator(".facts-line [title*='table writes']")).to_have_attribute(
        "title", f"{price['operations']['tableReads']} table read, "
        f"{price['operations']['tableWrites']} table writes, {price['operations']['queueOperations']} operations on "
        "messages. Storage operations at prices of 2026-11-01: for 10,000 table reads EUR 1, writes 2.5, operations on "
        "messages 10.",
    )  # fmt: skip


def test_timers_that_are_far_off(opened: Open) -> None:
    page = opened("#/timers").page
    row = page.locator("table.rows tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("in 13 d")
    expect(row).to_contain_text("timer or next attempt of task 4")
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Cost")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("m")
    row.get_by_role("link", name="order-1").click()
    expect(page.locator(".title h1")).to_have_text("order-1")


def test_a_child_names_its_parent_and_a_parent_what_it_waits_for(opened: Open) -> None:
    page = opened("#/instances/family-1").page
    waits = page.locator(".facts-line").get_by_text("waits for")
    expect(waits).to_have_count(2)
    waits.first.get_by_role("link").click()
    expect(page.locator(".facts-line")).to_contain_text("called by family-1, task 1")
    page.locator(".facts-line").get_by_role("link", name="family-1").click()
    expect(page.locator(".title h1")).to_have_text("family-1")
