"""Dark, light, on a phone, with the keyboard alone, and by the rules of accessibility."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # pyright: ignore[reportMissingTypeStubs]
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Board
from tests.support.browser import Watched

Open = Callable[..., Watched]
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
PAGES = [
    "#/overview",
    "#/hosts",
    "#/stuck",
    "#/instances",
    "#/instances/order-1",
    "#/instances/order-1?tab=events",
    "#/failures",
    "#/schedules",
    "#/timers",
    "#/entities",
    "#/cost",
]


@pytest.fixture(scope="module", autouse=True)
def instances(board: Board) -> None:
    board.start("order", "order-1", {"items": ["book", "mug"], "courier_fails": 1})
    for number in range(3):
        board.run("refused", f"refused-{number}", str(number))


def settle(page: Page) -> None:
    expect(page.locator(".skeleton")).to_have_count(0)
    expect(page.locator(".empty, table.rows, .line, .group, .tile").first).to_be_visible()


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened: Open, address: str, scheme: str) -> None:
    for options in ({}, PHONE):
        page = opened(address, color_scheme=scheme, **options).page
        settle(page)
        axe: Any = Axe()
        found = axe.run(page).response
        serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in serious] == []


@pytest.mark.parametrize("address", PAGES)
def test_nothing_is_wider_than_a_phone(opened: Open, address: str) -> None:
    page = opened(address, **PHONE).page
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def background(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")


def test_the_theme_follows_the_system_until_it_is_chosen(opened: Open) -> None:
    page = opened(color_scheme="dark").page
    assert background(page) == "rgb(20, 22, 26)"
    page.get_by_role("button", name="Theme").click()
    assert background(page) == "rgb(255, 255, 255)"
    page.reload()
    assert background(page) == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Theme").click()
    assert background(page) == "rgb(20, 22, 26)"


def test_times_are_local_or_utc(opened: Open) -> None:
    page = opened("#/instances/order-1", timezone_id="Asia/Tokyo").page
    created = page.locator(".facts-line time").first
    expect(created).to_have_attribute("title", _ending("+09:00"))
    page.get_by_role("button", name="Local").click()
    expect(created).to_have_attribute("title", _ending("UTC"))


def _ending(text: str) -> Any:
    return re.compile(re.escape(text) + "$")


def test_the_keyboard_is_enough(opened: Open) -> None:
    page = opened().page
    settle(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("refused")
    expect(page).to_have_url(_ending("id=refused"))  # the rows are those of the whole filter, and stay
    expect(page.locator("table.list tbody tr")).to_have_count(3)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.locator(".title h1")).to_have_text("refused-1")
    page.keyboard.press("g")
    page.keyboard.press("f")
    expect(page.get_by_role("heading", name="Failures")).to_be_visible()


def test_a_key_right_behind_escape_is_heard(opened: Open) -> None:
    page = opened().page
    settle(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    # The browser closes the dialog at once and says so in a task of its own: this key comes before.
    label = page.evaluate("""() => {
      document.querySelector("dialog").close();
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "/", bubbles: true }));
      return document.activeElement.getAttribute("aria-label");
    }""")
    assert label == "Begins with"


def test_a_filter_keeps_the_keys_that_come_while_it_is_applied(opened: Open) -> None:
    page = opened().page
    settle(page)
    page.evaluate("""async () => {
      const field = document.querySelector("[data-filter]");
      const typed = (text) => {
        field.value = text;
        field.dispatchEvent(new InputEvent("input", { bubbles: true }));
      };
      typed("ref");
      while (!location.hash.includes("id=ref")) await new Promise((next) => setTimeout(next, 0));
      typed("refu");
      for (let frame = 0; frame < 5; frame++) await new Promise(requestAnimationFrame);
      typed(field.value + "sed");
    }""")
    expect(page.locator("table.list tbody tr")).to_have_count(3)
    expect(page.get_by_label("Begins with")).to_have_value("refused")


def test_a_click_on_an_id_copies_it(opened: Open) -> None:
    page = opened("#/instances/order-1", permissions=["clipboard-read", "clipboard-write"]).page
    page.locator(".title h1 button").click()
    expect(page.locator(".toast")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "order-1"
