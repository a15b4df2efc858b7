"""Ids, names and values that would like to be more than text: nothing of them runs, and none looks like another."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import Board
from tests.support.browser import Watched

Open = Callable[..., Watched]

IMAGE = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(1)</script>"
IDS = [
    "<img src=x onerror=alert(1)>",
    "'\"><svg onload=alert(1)>",
    "javascript:alert(1)",
    "abc\u202egnp.exe",
    "zero\u200bwidth",
    "%3Cscript%3E",
    "${7*7}{{7*7}}",
    "a" * 256,
    "\U0001f600 日本語 عربى",
    "__proto__",
    "constructor",
]


@pytest.fixture(scope="module", autouse=True)
def instances(board: Board) -> None:
    for instance_id in IDS:
        board.run("echo", instance_id, [IMAGE, SCRIPT, {"__proto__": IMAGE, "type": "script", "props": {"a": 1}}])


@pytest.mark.parametrize("instance_id", IDS, ids=ascii)
def test_an_id_leads_to_its_instance_and_is_nothing_but_text(opened: Open, instance_id: str) -> None:
    watched = opened()
    page = watched.page
    page.on("dialog", lambda dialog: watched.errors.append(f"a dialog: {dialog.message}"))
    link = page.locator(f'a[href="#/instances/{_encoded(instance_id)}"]')
    link.click()
    expect(page.locator(".title .status")).to_have_text("Completed")
    expect(page.get_by_label("output", exact=True)).to_contain_text("<img src=x onerror=alert(1)>")
    page.get_by_role("tab", name="Events").click()
    page.get_by_role("button", name="Load inputs and results").click()
    expect(page.locator("table.events")).to_contain_text("</script>")
    assert page.locator("img, #app script").count() == 0
    shown = page.locator(".title h1").inner_text()
    assert not re.search("[\u200b-\u200f\u202a-\u202e]", shown)
    watched.check()


def _encoded(instance_id: str) -> str:
    """As encodeURIComponent does it, with the quotes that a CSS string may hold."""
    return quote(instance_id, safe="!~*'()-_.")


def test_a_mark_that_turns_the_direction_is_shown_as_its_code(opened: Open) -> None:
    page = opened("#/instances?id=abc").page
    expect(page.locator("table.list .instance")).to_have_text("abc\\u202egnp.exe")


def test_an_output_of_megabytes_is_cut_and_saved_whole(opened: Open, board: Board) -> None:
    value = [f"{number} {SCRIPT} " + "x" * 1000 for number in range(9_500)]
    board.run("echo", "large", value)
    page = opened("#/instances/large").page
    output = page.get_by_label("output", exact=True)
    expect(output).to_contain_text("0 </script>")
    assert len(output.inner_text()) < 30_000
    with page.expect_download() as download:
        page.locator(".data section", has=output).get_by_role("button", name="Save").click()
    saved = json.loads(download.value.path().read_text("utf-8"))
    assert saved == value
