"""What can be done to an instance from its page: each action says what it touches, and does nothing until confirmed."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Board
from tests.support.browser import Watched

Open = Callable[..., Watched]


def opened_instance(opened: Open, board: Board, instance_id: str) -> Watched:
    board.start("order", instance_id, {"items": ["book"]})
    watched = opened(f"#/instances/{instance_id}")
    expect(watched.page.locator(".line .pick .text").last).to_have_text("timer")
    return watched


def act(page: Page, action: str, confirmation: str = "") -> None:
    page.get_by_role("group", name="Actions").get_by_role("button", name=action).click()
    page.get_by_role("dialog").get_by_role("button", name=confirmation or action, exact=True).click()


def test_suspend_resume_and_terminate(opened: Open, board: Board) -> None:
    page = opened_instance(opened, board, "order-1").page
    status = page.locator(".title .status")
    act(page, "Suspend")
    expect(status).to_have_text("Suspended")
    act(page, "Resume")
    expect(status).to_have_text("Running")
    page.get_by_role("group", name="Actions").get_by_role("button", name="Terminate").click()
    page.get_by_label("Reason, shown with the instance").fill("ordered twice")
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    expect(status).to_have_text("Terminated")
    expect(page.locator(".sentence")).to_contain_text("ordered twice")
    assert board.status("order-1") == "Terminated"


def test_an_event_is_raised_with_its_data(opened: Open, board: Board) -> None:
    page = opened_instance(opened, board, "order-2").page
    page.get_by_role("group", name="Actions").get_by_role("button", name="Raise event").click()
    dialog = page.get_by_role("dialog")
    send = dialog.get_by_role("button", name="Raise event")
    expect(send).to_be_disabled()
    dialog.get_by_label("Name of the event").fill("Delivered")
    dialog.get_by_label("Data, as JSON").fill("{not json")
    expect(send).to_be_disabled()
    dialog.get_by_label("Data, as JSON").fill('{"signed_by": "Anna"}')
    send.click()
    expect(page.locator(".title .status")).to_have_text("Completed")
    expect(page.get_by_label("output", exact=True)).to_have_text('"delivered"')


def test_cancel_and_purge(opened: Open, board: Board) -> None:
    watched = opened_instance(opened, board, "order-3")
    watched.expected.append("404")
    page = watched.page
    act(page, "Cancel", "Cancel the instance")
    expect(page.locator(".title .status")).to_have_text("Cancelled")
    act(page, "Purge", "Delete for ever")
    expect(page.get_by_role("heading", name="There is no such instance")).to_be_visible()


def test_an_action_says_what_it_touches_and_leaves_it_alone_until_confirmed(opened: Open, board: Board) -> None:
    board.start("family", "family-1", "gate-family")
    watched = opened("#/instances/family-1")
    page = watched.page
    expect(page.locator(".line .pick .text")).to_have_text(["gated", "gated"])
    page.get_by_role("group", name="Actions").get_by_role("button", name="Terminate").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("family-1")
    expect(dialog).to_contain_text("2 open sub-orchestrations")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert watched.asked("POST") == []
    assert board.status("family-1") == "Running"
    board.open_gate("gate-family")


def test_what_the_app_refuses_is_said_in_the_dialog(opened: Open, board: Board) -> None:
    watched = opened_instance(opened, board, "order-4")
    watched.expected.append("410")
    page = watched.page
    page.get_by_role("button", name="Live").click()  # the page does not see that it ends meanwhile
    page.get_by_role("group", name="Actions").get_by_role("button", name="Suspend").click()
    board.call("POST", "instances/order-4/terminate")
    board.call("GET", "instances/order-4?timeout=60")
    page.get_by_role("dialog").get_by_role("button", name="Suspend").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Nothing was done")
