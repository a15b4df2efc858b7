"""The pictures of the README and of docs/dashboard.md, made from the dashboard as it is.

``DURABLE_PICTURES=1`` writes them into docs/images; without it they are only checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.dashboard.conftest import Board
from tests.support.browser import Watched
from tests.support.hosts import PROJECT

IMAGES = PROJECT / "docs" / "images"
LARGEST = 200_000  # bytes
Open = Callable[..., Watched]
PICTURES: list[tuple[str, str, dict[str, Any]]] = [
    ("dashboard-instance.png", "#/instances/order-1001", {"viewport": {"width": 1280, "height": 640}}),
    ("dashboard-list.png", "#/instances", {"viewport": {"width": 1280, "height": 560}}),
    (
        "dashboard-dark.png",
        "#/instances/order-1002",
        {"viewport": {"width": 1280, "height": 640}, "color_scheme": "dark"},
    ),
]


@pytest.fixture(scope="module", autouse=True)
def instances(board: Board) -> None:
    board.start("order", "order-1001", {"items": ["book", "mug", "lamp"], "courier_fails": 3})
    board.start("order", "order-1002", {"items": ["book"], "courier_fails": 20})
    board.start("order", "order-1003", {"items": ["lamp"]})
    board.start("gated", "import-2026-11", "gate-1")
    for number in range(1, 4):
        board.run("refused", f"invoice-{number}", f"{number}")
    board.run("echo", "report-7", {"rows": 1200})
    board.call("POST", "instances/order-1003/suspend?reason=fraud%20check")


@pytest.mark.parametrize(("name", "address", "options"), PICTURES, ids=[name for name, _, _ in PICTURES])
def test_a_picture_is_small_and_shows_the_dashboard(
    opened: Open, tmp_path: Path, name: str, address: str, options: dict[str, Any]
) -> None:
    page = opened(address, **options).page
    expect(page.locator(".line, table.list tbody tr").first).to_be_visible()
    if "1001" in address:
        expect(page.locator(".sentence")).to_contain_text("the event 'Delivered'")
    if "1002" in address:
        expect(page.locator(".line", has_text="book_courier").locator("line.tick")).to_have_count(5)
    folder = IMAGES if os.environ.get("DURABLE_PICTURES") else tmp_path
    page.screenshot(path=folder / name)
    assert 10_000 < (folder / name).stat().st_size < LARGEST
    assert (IMAGES / name).stat().st_size < LARGEST
