"""The entities in a browser: the list, one entity with its lock and its mailbox, a signal, a deletion."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.dashboard.conftest import Board
from tests.support.browser import Watched

Open = Callable[..., Watched]


def test_a_hub_without_entities_says_how_to_make_one(opened: Open) -> None:
    page = opened("#/entities").page
    expect(page.get_by_role("heading", name="No entities")).to_be_visible()


def test_an_entity_is_shown_signaled_and_deleted(opened: Open, board: Board) -> None:
    board.call("POST", "entities/purse/mine%20%3Cb%3E?op=put", 3)
    watched = opened("#/entities")
    page = watched.page
    row = page.locator("table.rows tbody tr")
    expect(row).to_contain_text("purse")
    expect(row).to_contain_text("mine <b>")
    expect(row).to_contain_text("3")
    row.get_by_role("link", name="mine").click()
    expect(page.locator("[data-lock]")).to_have_text("nobody")
    expect(page.locator("[data-queue]")).to_have_text("0 parcels")
    page.get_by_role("button", name="Signal").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Operation").fill("put")
    dialog.get_by_label("Input").fill("{")
    expect(dialog.get_by_role("button", name="Send")).to_be_disabled()
    dialog.get_by_label("Input").fill("4")
    dialog.get_by_role("button", name="Send").click()
    expect(page.locator("dl.facts")).to_contain_text("7")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("dl.facts")).to_contain_text("none")
    assert [request.method for request in watched.asked("POST")] == ["POST"]
    assert len(watched.asked("DELETE")) == 1


def test_who_holds_the_lock_and_what_waits(opened: Open, board: Board) -> None:
    board.start("holds_a_purse", "holder", "locked")
    board.until(lambda: [each for each in board.call("GET", "entities/purse") if each["lockedBy"]])
    page = opened("#/entities?name=purse&key=locked").page
    expect(page.locator("[data-lock]")).to_contain_text("holder")
    board.call("POST", "entities/purse/locked?op=put", 3)
    expect(page.locator("[data-queue]")).to_have_text("1 parcel")
    expect(page.locator("table.rows")).to_contain_text("the entity is locked by 'holder'")
    board.call("POST", "instances/holder/raiseEvent/Go", None)
    page.get_by_role("link", name="holder").click()
    expect(page.locator("main")).to_contain_text("Completed")
