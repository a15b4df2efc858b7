"""The schedules in a browser: when they run, and what can be done to them."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

from tests.dashboard.conftest import Board
from tests.support.browser import Watched

Open = Callable[..., Watched]


def test_a_hub_without_schedules_says_how_to_make_one(opened: Open) -> None:
    page = opened("#/schedules").page
    expect(page.get_by_role("heading", name="No schedules")).to_be_visible()
    expect(page.locator(".empty pre")).to_contain_text("create_schedule")


def test_the_runs_of_a_past_period_are_started_and_shown(opened: Open, board: Board) -> None:
    request = urllib.request.Request(f"{board.host.url}/api/hourly/rounds", method="POST", data=b"")
    urllib.request.urlopen(request, timeout=60).close()
    watched = opened("#/schedules")
    page = watched.page
    row = page.locator("table.rows tbody tr").filter(has_text="rounds")
    row.get_by_role("button", name="Backfill").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("rounds")
    start = dialog.locator("button.primary")
    dialog.get_by_label("From").fill("2999-05-04T09:30")
    dialog.get_by_label("To", exact=True).fill("2999-05-04T12:30")
    expect(dialog.get_by_role("status")).to_have_text("The period has not begun yet.")
    expect(start).to_be_disabled()
    dialog.get_by_label("To", exact=True).fill("2020-05-04T09:00")
    expect(dialog.get_by_role("status")).to_have_text("The period ends before it begins.")
    expect(start).to_be_disabled()
    dialog.get_by_label("From").fill("2020-05-04T09:30")
    dialog.get_by_label("To", exact=True).fill("2020-05-04T12:30")
    dialog.get_by_label("Runs at once").fill("0")
    expect(start).to_be_disabled()
    dialog.get_by_label("Runs at once").fill("2")
    expect(dialog.get_by_role("status")).to_have_count(0)
    dialog.get_by_label("From").fill("1950-05-04T09:30")
    start.click()
    expect(dialog.get_by_role("status")).to_contain_text("More than 10,000 runs were due")
    expect(start).to_be_disabled()
    dialog.get_by_label("From").fill("2020-05-04T09:30")
    start.click()
    expect(dialog.get_by_role("status")).to_contain_text("3 runs were due")
    dialog.get_by_role("button", name="Start 3 runs").click()
    expect(page.get_by_label("output", exact=True)).to_contain_text('"started": 3')
    asked = parse_qs(urlsplit(watched.asked("POST")[-1].url).query)
    assert asked["maxConcurrency"] == ["2"]
    begin, end = (datetime.fromisoformat(asked[name][0]) for name in ("from", "to"))
    assert end - begin == timedelta(hours=3)
    assert begin.astimezone(UTC).minute == 30
    board.call("POST", "schedules/rounds/delete")


def test_a_schedule_is_shown_paused_resumed_run_and_deleted(opened: Open, board: Board) -> None:
    request = urllib.request.Request(f"{board.host.url}/api/hourly/nightly", method="POST", data=b"")
    urllib.request.urlopen(request, timeout=60).close()
    watched = opened("#/schedules")
    page = watched.page
    row = page.locator("table.rows tbody tr")
    expect(row).to_contain_text("every 1 h")
    for action, shown in (("Pause", "Paused"), ("Resume", "Waiting")):
        row.get_by_role("button", name=action, exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("nightly")
        dialog.get_by_role("button", name=action, exact=True).click()
        expect(row.locator(".status")).to_have_text(shown)
    row.get_by_role("button", name="Run now").click()
    page.get_by_role("dialog").get_by_role("button", name="Run now").click()
    row.locator("a.instance").click()
    expect(page.get_by_label("output", exact=True)).to_have_text('"a run"')
    page.go_back()
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="No schedules")).to_be_visible()
    assert [request.url.rpartition("/")[2] for request in watched.asked("POST")] == [
        "pause",
        "resume",
        "trigger",
        "delete",
    ]
