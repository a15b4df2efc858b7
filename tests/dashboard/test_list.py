"""The list of instances in a browser: filters in the address, pages, what is new by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Board
from tests.support.browser import Watched

Open = Callable[..., Watched]


@pytest.fixture(scope="module", autouse=True)
def instances(board: Board) -> None:
    for number in range(60):
        board.start("echo", f"many-{number:02}", number)
    for number in range(3):
        board.run("refused", f"refused-{number}", str(number))


def rows(page: Page) -> list[str]:
    return page.locator("table.list .instance").all_inner_texts()


def test_a_hub_without_instances_says_how_to_start_one(opened: Open) -> None:
    page = opened("#/instances?id=nothing-has-this-name").page
    expect(page.get_by_role("heading", name="No instance matches these filters")).to_be_visible()
    page.get_by_role("link", name="Clear the filters").click()
    expect(page.locator("table.list tbody tr")).to_have_count(50)


def test_the_newest_come_first_and_a_status_is_told_by_word_and_shape(page: Page) -> None:
    expect(page.locator("table.list tbody tr")).to_have_count(50)
    assert rows(page)[:3] == ["refused-2", "refused-1", "refused-0"]
    first = page.locator("table.list tbody tr").first
    expect(first.locator(".status")).to_have_text("Failed")
    expect(first.locator("svg.shape.Failed")).to_have_count(1)


def test_filters_are_the_address_and_the_address_is_the_filters(page: Page, opened: Open) -> None:
    page.get_by_role("button", name="Failed").click()
    expect(page.locator("table.list tbody tr")).to_have_count(3)
    page.get_by_label("Begins with").fill("refused-1")
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    page.get_by_label("Created").select_option("1d")
    assert "status=Failed" in page.url and "id=refused-1" in page.url and "since=1d" in page.url
    other = opened(url=page.url).page
    expect(other.locator("table.list tbody tr")).to_have_count(1)
    expect(other.get_by_role("button", name="Failed")).to_have_attribute("aria-pressed", "true")
    expect(other.get_by_label("Begins with")).to_have_value("refused-1")


def test_pages_lead_to_the_oldest_and_back(page: Page) -> None:
    expect(page.locator("table.list tbody tr")).to_have_count(50)
    first = rows(page)
    page.get_by_role("link", name="Older").click()
    expect(page.locator("table.list tbody tr")).to_have_count(13)
    assert not set(rows(page)) & set(first)
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("table.list tbody tr")).to_have_count(50)
    assert rows(page) == first


def test_an_instance_that_starts_appears_by_itself(page: Page, board: Board) -> None:
    expect(page.locator("table.list tbody tr")).to_have_count(50)
    board.run("echo", "just-started", 1)
    expect(page.locator("table.list .instance").first).to_have_text("just-started")


def do_and_count(page: Page, act: str) -> None:
    """Run a script in the page, and count what the page asks for from then on: no timer fires between the two."""
    count = (
        "const ask = fetch; window.asked = 0; window.fetch = (...what) => { window.asked += 1; return ask(...what); }"
    )
    page.evaluate(f"() => {{ {count}; {act}; }}")


def test_a_page_that_is_held_still_asks_no_more(page: Page) -> None:
    expect(page.locator("table.list tbody tr")).to_have_count(50)
    expect(page.get_by_role("button", name="Live")).to_be_visible()
    do_and_count(page, "[...document.querySelectorAll('button')].find((each) => /Live/.test(each.innerText)).click()")
    expect(page.get_by_role("button", name="Paused")).to_be_visible()
    page.wait_for_timeout(6000)  # over the five seconds after which a live list asks again
    assert page.evaluate("window.asked") == 0
    # Without the timer of the next request, only the button can lead to one.
    page.evaluate("() => { const real = setTimeout; window.setTimeout = (f, ms) => ms > 2000 ? 0 : real(f, ms); }")
    with page.expect_response(lambda response: "/instances?" in response.url):
        page.get_by_role("button", name="Paused").click()


def test_failures_stand_together(opened: Open) -> None:
    page = opened("#/failures").page
    group = page.locator(".group")
    expect(group).to_have_count(1)
    expect(group).to_contain_text("CardRefusedError")
    expect(group.locator(".count")).to_have_text("3")
    group.get_by_role("button").click()
    expect(group.locator(".members .instance")).to_have_count(3)


def test_what_is_stuck_stands_together_with_its_reason_and_the_overview_says_it(opened: Open, board: Board) -> None:
    for number in range(2):
        board.start("unsteady", f"unsteady-{number}")
    page = opened("#/stuck").page
    expect(page.locator(".group .count")).to_have_text("2")
    expect(page.locator(".group")).to_contain_text("function_app.py:")
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("region", name="What needs somebody")).to_contain_text("2 instances stuck")
    expect(page.locator(".tile", has_text="Failed").locator("b")).to_have_text("3")
    expect(page.locator(".group")).to_contain_text("CardRefusedError")
    page.locator(".tile", has_text="Failed").click()
    expect(page.locator("table.list tbody tr")).to_have_count(3)
    expect(page.locator("table.list td.note").first).to_contain_text("CardRefusedError: the card of order")


def test_hosts_and_queues_are_shown(opened: Open, board: Board) -> None:
    page = opened("#/hosts").page
    expect(page.get_by_role("region", name="Hosts").locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("region", name="Hosts")).to_contain_text(str(board.host.pid))
    expect(page.get_by_role("region", name="Queues")).to_contain_text("durable-control")


def test_an_orchestrator_and_what_is_stuck_are_filters(opened: Open, board: Board) -> None:
    page = opened().page
    page.get_by_label("Orchestrator").fill("refused")
    expect(page.locator("table.list tbody tr")).to_have_count(3)
    page.get_by_label("Orchestrator").fill("")
    page.get_by_role("button", name="Stuck").click()
    expect(page.locator("table.list tbody tr")).to_have_count(2)
    assert "stuck=true" in page.url


def test_jobs_are_a_filter_in_the_address_and_of_what_is_done_to_all(opened: Open, board: Board) -> None:
    board.call("POST", "jobs/pack/one-job", "a parcel")
    watched = opened("#/instances?jobs=true")
    page = watched.page
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    expect(page.locator("table.list tbody tr")).to_contain_text("job:pack")
    chip = page.get_by_role("button", name="Jobs")
    expect(chip).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Act on all …").click()
    expect(page.get_by_role("dialog").locator(".target")).to_contain_text("jobs true")
    page.keyboard.press("Escape")
    chip.click()
    expect(page.locator("table.list tbody tr")).to_have_count(50)
    assert "jobs" not in page.url
    chip.click()
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    page.goto(f"{board.base}/ui/#/instances?jobs=false&name=job:pack")
    expect(page.get_by_role("heading", name="No instance matches these filters")).to_be_visible()
    page.goto(f"{board.base}/ui/#/instances?version=none&id=one")
    expect(page.get_by_role("heading", name="No instance matches these filters")).to_be_visible()


def test_a_hidden_tab_asks_for_nothing(page: Page) -> None:
    expect(page.locator("table.list tbody tr")).to_have_count(50)
    do_and_count(
        page,
        """Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));""",
    )
    page.wait_for_timeout(6000)
    assert page.evaluate("window.asked") == 0
    with page.expect_request("**/instances?*"):
        page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }")
