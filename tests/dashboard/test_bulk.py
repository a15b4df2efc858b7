"""One action on all instances that match: nothing is sent before the preview is confirmed."""

from __future__ import annotations

import json
from collections.abc import Callable

from playwright.sync_api import expect

from tests.dashboard.conftest import Board
from tests.support.browser import Watched

Open = Callable[..., Watched]


def test_what_matches_is_previewed_and_then_terminated(opened: Open, board: Board) -> None:
    for number in range(7):
        board.start("order", f"batch-{number}", {"items": ["book"]})
    board.start("order", "other", {"items": ["book"]})
    for name in ("batch-0", "other"):
        board.until(lambda name=name: board.status(name) == "Running")
    watched = opened("#/instances?id=batch-&name=order")
    page = watched.page
    expect(page.locator("table.list tbody tr")).to_have_count(7)
    page.get_by_role("button", name="Act on all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Action").select_option("terminate")
    dialog.get_by_label("Reason, shown with each instance").fill("wrong prices")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("region", name="Preview")).to_contain_text("7 instances")
    sent = [json.loads(request.post_data or "") for request in watched.asked("POST")]
    assert [each.get("dryRun") for each in sent] == [True]
    assert board.status("batch-0") == "Running"
    dialog.get_by_role("button", name="Terminate: 7 instances").click()
    expect(page.locator(".title h1")).to_contain_text("durable.bulk")
    expect(page.locator(".title .status")).to_have_text("Completed")
    for number in range(7):
        assert board.call("GET", f"instances/batch-{number}?timeout=60")["runtimeStatus"] == "Terminated"
    assert board.status("other") == "Running"


def test_what_the_app_refuses_is_said(opened: Open, board: Board) -> None:
    watched = opened("#/instances?status=Completed")
    watched.expected.append("400")
    page = watched.page
    page.get_by_role("button", name="Act on all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Action").select_option("resume")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Nothing was done")
