"""The gates of limits in a browser: who holds a slot, who waits, and an empty hub."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.dashboard.conftest import Board
from tests.support.browser import Watched

Open = Callable[..., Watched]


def test_a_hub_without_limits_in_use_says_so(opened: Open) -> None:
    page = opened("#/limits").page
    expect(page.get_by_role("heading", name="No limit is in use")).to_be_visible()
    watched = opened("#/limits?key=press:nobody")
    watched.expected.append("404")
    page = watched.page
    expect(page.get_by_role("heading", name="Nobody holds a slot")).to_be_visible()


def test_who_holds_who_waits_and_how_long(opened: Open, board: Board) -> None:
    board.start("takes_a_slot", "holder", {"key": "a b"})
    page = opened("#/limits").page
    row = page.locator("table.rows tbody tr")
    expect(row).to_contain_text("press:a b")
    expect(row).to_contain_text("1 at once, 600 in 1 m")
    expect(row).to_contain_text("holder")
    board.start("takes_a_slot", "waits<b>", {"key": "a b", "group": "<i>x</i>", "priority": 7})
    expect(page.locator("[data-waiting]")).to_have_text("1")
    expect(page.locator("[data-held]")).to_have_text("1")
    row.get_by_role("link", name="press").click()
    held, waiting = page.get_by_role("region", name="Held by"), page.get_by_role("region", name="Waiting")
    expect(held.locator("tbody tr")).to_contain_text("holder")
    expect(waiting.locator("tbody tr")).to_contain_text("waits<b>")
    expect(waiting.locator("tbody tr")).to_contain_text("<i>x</i>")
    expect(waiting.locator("tbody tr")).to_contain_text("7")
    assert "slot of limit 'press:a b'" in board.call("GET", "instances/waits%3Cb%3E/explain")["sentence"]
    board.call("POST", "instances/holder/raiseEvent/Go", "go")
    expect(held.locator("tbody tr")).to_contain_text("waits<b>")
    expect(waiting).to_have_count(0)
    board.call("POST", "instances/waits%3Cb%3E/raiseEvent/Go", "go")
    expect(page.get_by_role("heading", name="Held by 0")).to_be_visible()


def test_the_keyboard_leads_there(opened: Open) -> None:
    page = opened("#/overview").page
    expect(page.get_by_role("heading", name="Hosts")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("l")
    expect(page.get_by_role("heading", name="Limits")).to_be_visible()
