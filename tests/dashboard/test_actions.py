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
    expect(watched.page.locator(".line", has_text="timer 14 d")).to_be_visible()
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
    dialog.get_by_label("Name of the event").fill("")
    expect(send).to_be_disabled()
    dialog.get_by_label("Name of the event").fill("Delivered")
    dialog.get_by_label("Data, as JSON").fill("{not json")
    expect(send).to_be_disabled()
    dialog.get_by_label("Data, as JSON").fill('{"signed_by": "Anna"}')
    send.click()
    expect(page.locator(".title .status")).to_have_text("Completed")
    expect(page.get_by_label("output", exact=True)).to_have_text('"delivered"')


def test_an_event_that_is_waited_for_is_offered_by_its_name(opened: Open, board: Board) -> None:
    page = opened_instance(opened, board, "order-named").page
    page.get_by_role("group", name="Actions").get_by_role("button", name="Raise event").click()
    expect(page.get_by_label("Name of the event")).to_have_value("Delivered")


def test_a_restart_leads_to_the_new_instance(opened: Open, board: Board) -> None:
    board.run("echo", "echo-1", "again")
    page = opened("#/instances/echo-1").page
    page.get_by_role("group", name="Actions").get_by_role("button", name="Restart").click()
    page.get_by_label("Id of the new instance").fill("echo-2")
    page.get_by_role("dialog").get_by_role("button", name="Start again").click()
    expect(page.locator(".title h1")).to_have_text("echo-2")
    expect(page.get_by_label("output", exact=True)).to_have_text('"again"')
    expect(page.locator(".facts-line")).to_contain_text("restart of echo-1")


def test_a_rewind_says_what_is_done_again_and_the_instance_goes_on(opened: Open, board: Board) -> None:
    board.run("approved", "order-8", "8")
    page = opened("#/instances/order-8").page
    expect(page.locator(".title .status")).to_have_text("Failed")
    board.open_gate("approved-8")
    page.get_by_role("group", name="Actions").get_by_role("button", name="Rewind").click()
    preview = page.get_by_role("dialog").get_by_role("region", name="Preview")
    expect(preview).to_contain_text("approve")
    expect(preview).not_to_contain_text("take_payment")
    page.get_by_role("dialog").get_by_role("button", name="Rewind").click()
    expect(page.locator(".title .status")).to_have_text("Completed")


def test_a_fork_says_what_runs_again_and_leads_to_the_new_instance(opened: Open, board: Board) -> None:
    board.run("approved", "order-9", "9")
    page = opened("#/instances/order-9").page
    page.get_by_role("group", name="Actions").get_by_role("button", name="Fork").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Override a task").click()
    dialog.get_by_label("Task number").fill("2")
    dialog.get_by_label("As JSON").fill('"approved by hand"')
    dialog.get_by_label("Id of the new instance").fill("order-9-fork")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("region", name="Preview")).to_contain_text("Nothing runs again")
    dialog.get_by_role("button", name="Fork").click()
    expect(page.locator(".title h1")).to_have_text("order-9-fork")
    expect(page.get_by_label("output", exact=True)).to_have_text('"approved by hand"')
    expect(page.locator(".facts-line")).to_contain_text("fork of order-9")
    assert board.status("order-9") == "Failed"


def test_a_fork_takes_several_overrides_an_event_a_version_and_begins_suspended(opened: Open, board: Board) -> None:
    board.start("gathers", "gathers-1")
    board.call("POST", "instances/gathers-1/raiseEvent/Go", 1)
    history = "instances/gathers-1?showHistory=true"
    board.until(lambda: "EventRaised" in [each["EventType"] for each in board.call("GET", history)["historyEvents"]])
    watched = opened("#/instances/gathers-1")
    watched.expected.append("400")
    page = watched.page
    expect(page.locator(".timeline")).to_contain_text("Go")
    page.get_by_role("group", name="Actions").get_by_role("button", name="Fork").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("From before").select_option(label="the event Go came")
    for number, value in enumerate(('"first"', '"second"')):
        dialog.get_by_role("button", name="Override a task").click()
        dialog.get_by_label("As JSON").nth(number).fill(value)
    expect(dialog.get_by_role("button", name="Preview")).to_be_disabled()
    dialog.get_by_label("Task number").nth(0).fill("1")
    dialog.get_by_label("Task number").nth(1).fill("1")
    expect(dialog.get_by_role("button", name="Preview")).to_be_disabled()  # one task twice
    dialog.get_by_label("Task number").nth(1).fill("2")
    dialog.get_by_role("button", name="Override a task").click()
    dialog.get_by_role("button", name="Remove this task").nth(2).click()
    dialog.get_by_label("Version of the orchestrator").fill("9")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("alert")).to_contain_text("version")
    dialog.get_by_label("Version of the orchestrator").fill("")
    dialog.get_by_label("It begins suspended").check()
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("region", name="Preview")).to_contain_text("Nothing runs again")
    dialog.get_by_role("button", name="Fork").click()
    expect(page.locator(".facts-line")).to_contain_text("fork of gathers-1")
    expect(page.locator(".title .status")).to_have_text("Suspended")
    page.get_by_role("group", name="Actions").get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(page.locator(".sentence")).to_contain_text("the event 'Go'")
    fork = page.locator(".title h1").inner_text()
    board.call("POST", f"instances/{fork}/raiseEvent/Go", 2)
    expect(page.get_by_label("output", exact=True)).to_contain_text("second")
    assert board.call("GET", f"instances/{fork}?timeout=60")["output"] == ["first", "second", 2]


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
    page.get_by_role("button", name="Live", exact=True).click()  # the page does not see that it ends meanwhile
    page.get_by_role("group", name="Actions").get_by_role("button", name="Suspend").click()
    board.call("POST", "instances/order-4/terminate")
    board.call("GET", "instances/order-4?timeout=60")
    page.get_by_role("dialog").get_by_role("button", name="Suspend").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Nothing was done")
