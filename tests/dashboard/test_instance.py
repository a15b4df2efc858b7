"""One instance in a browser: its sentence, its timeline, its data, and how they follow what happens."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import Board
from tests.support.browser import PATIENCE, Watched

Open = Callable[..., Watched]


@pytest.fixture(scope="module", autouse=True)
def instances(board: Board) -> None:
    board.start("order", "order-1", {"items": ["book", "mug"], "courier_fails": 2})
    board.start("gated", "import-1", "gate-1")
    board.run("refused", "refused-1", "1")


def test_an_instance_is_followed_until_its_end(opened: Open, board: Board) -> None:
    watched = opened("#/instances/import-1")
    page = watched.page
    expect(page.locator(".sentence")).to_contain_text("wait_at")
    expect(page.locator(".title .status")).to_have_text("Running")
    before = page.locator(".line", has_text="wait_at").locator(".took").text_content()
    expect(page.locator(".line", has_text="wait_at").locator(".took")).not_to_have_text(before or "")  # it grows
    board.open_gate("gate-1")
    expect(page.locator(".title .status")).to_have_text("Completed")
    expect(page.locator(".sentence")).to_contain_text("completed")
    page.wait_for_load_state("networkidle")
    asked = len(watched.asked())
    page.wait_for_timeout(3000)
    assert len(watched.asked()) == asked  # an instance that has ended does not change


def test_every_call_has_its_row_and_a_child_unfolds(opened: Open) -> None:
    page = opened("#/instances/order-1").page
    expect(page.locator(".line .pick .text")).to_have_text(
        ["take_payment", "parcel", "book_courier", "timer 14 d", "Delivered"]
    )
    page.get_by_role("button", name="Calls of this child").click()
    expect(page.locator(".line .pick .text")).to_have_text(
        ["take_payment", "parcel", "pack", "pack", "book_courier", "timer 14 d", "Delivered"]
    )
    page.get_by_role("button", name="activity book_courier").click()
    details = page.get_by_role("region", name="Details of the row")
    expect(details).to_contain_text("function_app.py:")


def test_attempts_are_told_apart_from_the_time_between_them(opened: Open) -> None:
    page = opened("#/instances/order-1").page
    line = page.locator(".line", has_text="book_courier")
    expect(line.locator("rect.run")).to_have_count(3)
    expect(line.locator("rect.run.failed")).to_have_count(2)
    expect(line.locator("rect.backoff")).to_have_count(2)
    expect(line.locator("line.tick")).to_have_count(3)
    expect(page.locator(".line", has_text="take_payment").locator("rect.queue")).to_have_count(1)
    page.get_by_role("tab", name="Attempts").click()
    expect(page.locator("table.attempts tbody tr")).to_have_count(3)
    expect(page.locator("table.attempts")).to_contain_text("courier.example does not answer")


def test_the_tree_shows_what_it_called_and_what_has_called_it(opened: Open) -> None:
    page = opened("#/instances/order-1?tab=tree").page
    page.locator(".tree .instance", has_text="order-1-parcel").click()
    expect(page.locator(".title h1")).to_have_text("order-1-parcel")
    page.get_by_role("tab", name="Tree").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Called by order-1")


def test_time_in_which_nothing_happens_is_cut_out_unless_it_is_wanted(opened: Open) -> None:
    page = opened("#/instances/order-1").page
    expect(page.locator(".axis .cut")).not_to_have_count(0)
    page.get_by_label("hide idle time").uncheck()
    expect(page.locator(".axis .cut")).to_have_count(0)
    page.get_by_label("hide idle time").check()
    expect(page.locator(".axis .cut")).not_to_have_count(0)


def test_an_area_that_is_dragged_fills_the_picture_until_escape(opened: Open) -> None:
    page = opened("#/instances/refused-1").page
    bar = page.locator(".line .bars rect.failed").first
    before = bar.bounding_box()
    assert before is not None
    y = before["y"] + 40 if page.locator(".line").count() > 1 else before["y"] + 4
    page.mouse.move(before["x"] + before["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(before["x"] + before["width"] * 0.9, y, steps=5)
    page.mouse.up()
    expect(page.get_by_role("button", name="Reset")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Reset")).to_be_disabled()


def test_a_failure_is_the_sentence_and_the_events_are_searched(opened: Open) -> None:
    page = opened("#/instances/refused-1").page
    expect(page.locator(".sentence.bad")).to_contain_text("the card of order '1' was refused")
    page.get_by_role("tab", name="Events").click()
    assert "tab=events" in page.url
    page.get_by_label("Filter events").fill("TaskScheduled")
    expect(page.locator("table.events tbody tr")).to_have_count(1)


def test_input_and_output_are_shown(opened: Open, board: Board) -> None:
    board.run("echo", "echo-1", {"text": "hällo", "list": [1, None, True]})
    page = opened("#/instances/echo-1").page
    expect(page.get_by_label("input", exact=True)).to_contain_text('"hällo"')
    expect(page.get_by_label("output", exact=True)).to_contain_text('"list": [')


def test_an_instance_that_is_not_there_is_said_to_be_not_there(opened: Open) -> None:
    watched = opened("#/instances/nobody")
    watched.expected.append("404")
    expect(watched.page.get_by_role("heading", name="There is no such instance")).to_be_visible()


def test_a_host_that_does_not_answer_is_said_and_asked_again(opened: Open, board: Board) -> None:
    watched = opened("#/instances/order-1")
    watched.expected.append("Failed to load resource")
    page = watched.page
    expect(page.locator(".line .pick .text").first).to_have_text("take_payment")
    board.host.stand_still()
    page.context.set_offline(True)
    try:
        # A request that was under way is given up after 25 seconds.
        expect(page.get_by_role("alert")).to_contain_text("The app does not answer", timeout=2 * PATIENCE)
        expect(page.locator(".line .pick .text").first).to_have_text("take_payment")  # what was known stays
        # Without the timer of the next request, only the button can lead to one.
        page.evaluate("""() => {
          const real = setTimeout;
          for (let timer = real(() => {}, 0); timer > 0; timer--) clearTimeout(timer);
          window.setTimeout = (f, ms) => ms >= 2000 ? 0 : real(f, ms);
        }""")
    finally:
        board.host.go_on()
        page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_an_activity_writes_is_shown_while_it_runs(opened: Open, board: Board) -> None:
    board.start("speaking", "speech-1", "speech")
    page = opened("#/instances/speech-1?tab=streams").page
    shown = page.get_by_label("Stream answer")
    expect(shown).to_have_text("All <b>happy</b> families")
    expect(page.get_by_role("tabpanel")).to_contain_text("3 chunks, being written")
    board.open_gate("speech")
    expect(page.get_by_role("tabpanel")).to_contain_text("4 chunks, complete")
    expect(shown).to_contain_text('{"are":"alike"}')
