"""Who may see and do what: without a key, with one, with one that may only look, with the URL of one instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from durable_core.hosting.signed_urls import CapabilitySigner, Verb
from durable_core.hosting.signing_keys import signing_keys
from durable_core.settings import Settings
from tests.dashboard.conftest import APP, Board, refused
from tests.support.browser import Watched
from tests.support.hosts import HostProcess

KEY, LOOK_KEY = "the key of these tests", "the key that may only look"
Open = Callable[..., Watched]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A host that requires a key."""
    folder = tmp_path_factory.mktemp("keys")
    with HostProcess(
        folder, app=APP, env={"GATES": str(folder)}, options=["--require-keys", KEY, "--look-key", LOOK_KEY]
    ) as host:
        board = Board(host, folder)
        board.call("POST", "orchestrators/order/order-1", {"items": ["book"]}, key=KEY)
        board.call("POST", "orchestrators/echo/echo-1", "a value", key=KEY)
        yield board
        (folder / "all").touch()  # what still waits at a gate would hold up the end of the host


def enter(watched: Watched, key: str) -> None:
    watched.page.get_by_label("Function key").fill(key)
    watched.page.get_by_role("button", name="Open").click()


def test_a_key_is_asked_kept_for_the_tab_and_never_in_an_address(opened: Open) -> None:
    watched = opened()
    watched.expected.append("401")
    page = watched.page
    expect(page.get_by_role("heading", name="This app asks for a key")).to_be_visible()
    enter(watched, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("refused")
    enter(watched, KEY)
    expect(page.locator("table.list .instance").first).to_be_visible()
    page.reload()
    expect(page.locator("table.list .instance").first).to_be_visible()
    assert page.evaluate("Object.values(sessionStorage)") == [KEY]
    assert page.evaluate("Object.values(localStorage)") == []
    quoted = (KEY, "wrong", KEY.replace(" ", "%20"), KEY.replace(" ", "+"))
    assert not [request.url for request in watched.requests if any(each in request.url for each in quoted)]
    page.get_by_role("button", name="Lock").click()
    expect(page.get_by_role("heading", name="This app asks for a key")).to_be_visible()
    assert page.evaluate("Object.values(sessionStorage)") == []


def test_a_key_that_may_only_look_shows_every_page_and_its_actions_are_refused(opened: Open, board: Board) -> None:
    """With the host's own check of keys, in a browser."""
    board.call("POST", "orchestrators/refused/refused-1", "1", key=KEY)
    board.call("POST", "orchestrators/family/family-1", "gate", key=KEY)
    assert board.call("GET", "instances/refused-1?timeout=60", key=LOOK_KEY)["runtimeStatus"] == "Failed"
    watched = opened("#/overview")
    watched.expected.append("401")
    page = watched.page
    enter(watched, LOOK_KEY)
    expect(page.locator(".tile").first).to_be_visible()
    for name in ("Instances", "Failures", "Stuck", "Schedules", "Timers", "Cost", "Hosts"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.locator(".skeleton")).to_have_count(0)
        expect(page.locator("table.rows, .group, .empty").first).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)

    page.get_by_role("link", name="Instances", exact=True).click()
    page.get_by_role("link", name="order-1", exact=True).click()
    expect(page.locator(".sentence")).to_contain_text("Delivered")
    for tab in ("Events", "Tree"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel").locator("table, .tree, p").first).to_be_visible()
    page.get_by_role("tab", name="Events").click()
    page.get_by_role("button", name="Load inputs and results").click()
    expect(page.locator("table.events")).to_contain_text("receipt of order-1")
    for title, button in (("Suspend", "Suspend"), ("Cancel", "Cancel the instance"), ("Terminate", "Terminate")):
        refuses(page, title, button)
    page.get_by_role("group", name="Actions").get_by_role("button", name="Raise event").click()
    page.get_by_role("dialog").get_by_label("Name of the event").fill("Delivered")
    page.get_by_role("dialog").get_by_role("button", name="Raise event").click()
    is_refused(page)
    page.get_by_role("group", name="Actions").get_by_role("button", name="Fork").click()
    page.get_by_role("dialog").get_by_role("button", name="Preview").click()
    is_refused(page)
    expect(page.locator(".line").first).to_be_visible()  # the page is still there, and so is the instance
    assert board.call("GET", "instances/order-1", key=LOOK_KEY)["runtimeStatus"] == "Running"

    page.get_by_role("link", name="Instances", exact=True).click()
    page.get_by_role("link", name="refused-1", exact=True).click()
    page.get_by_role("group", name="Actions").get_by_role("button", name="Rewind").click()
    is_refused(page)  # what it would do is asked for first
    refuses(page, "Purge", "Delete for ever")
    assert board.call("GET", "instances/refused-1", key=LOOK_KEY)["runtimeStatus"] == "Failed"


def refuses(page: Page, title: str, button: str) -> None:
    page.get_by_role("group", name="Actions").get_by_role("button", name=title).click()
    page.get_by_role("dialog").get_by_role("button", name=button).click()
    is_refused(page)


def is_refused(page: Page) -> None:
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text("This key may look, not change")
    expect(dialog.get_by_role("alert")).to_contain_text("Nothing was done")
    dialog.get_by_role("button", name="Do nothing").click()


def test_a_key_that_may_only_look_changes_nothing_by_any_route(board: Board) -> None:
    assert refused(lambda: board.call("GET", "instances", key="wrong")) == 401
    for method, path in (
        ("POST", "orchestrators/echo/echo-2"),
        ("POST", "instances/echo-1/restart"),
        ("POST", "instances/order-1/terminate"),
        ("POST", "bulk"),
        ("POST", "recover"),
        ("DELETE", "instances/echo-1"),
        ("DELETE", "instances?createdTimeFrom=2020-01-01"),
        ("PUT", "instances/echo-1"),
    ):
        assert refused(lambda method=method, path=path: board.call(method, path, key=LOOK_KEY)) == 401, path
    # A function of another method answers GET as well, and does nothing.
    assert refused(lambda: board.call("GET", "instances/order-1/terminate", key=LOOK_KEY)) == 405
    assert board.call("GET", "instances/order-1", key=LOOK_KEY)["runtimeStatus"] == "Running"


@pytest.fixture
def signer(board: Board) -> CapabilitySigner:
    return CapabilitySigner(signing_keys(Settings(store=str(board.host.folder / "durable.db"))))


def test_the_url_of_a_view_opens_one_instance_without_a_key_and_changes_nothing(
    chromium: Browser, opened: Open, board: Board, signer: CapabilitySigner
) -> None:
    url = f"{board.base}/c/{signer.issue('order-1', Verb.VIEW)}"
    watched = opened(url=url)
    page = watched.page
    expect(page.locator(".line .pick .text").first).to_have_text("take_payment")
    expect(page.get_by_label("input", exact=True)).to_contain_text("book")
    expect(page.get_by_role("group", name="Actions")).to_have_count(0)
    expect(page.get_by_role("navigation", name="Pages")).to_have_count(0)
    page.get_by_role("tab", name="Events").click()
    page.get_by_role("button", name="Load inputs and results").click()
    expect(page.locator("table.events")).to_contain_text("receipt of order-1")
    asked = [request.url for request in watched.requests if "/ui/" not in request.url]
    assert asked and all(each.startswith(url) for each in asked)
    token = url.partition("durabletask/")[2]
    for method in ("POST", "DELETE", "PUT"):
        assert refused(lambda method=method: board.call(method, token)) == 405
    assert refused(lambda: board.call("GET", f"{token}/nothing")) == 404


def test_the_url_of_a_view_that_has_ended_says_so(opened: Open, board: Board, signer: CapabilitySigner) -> None:
    watched = opened(url=f"{board.base}/c/{signer.issue('order-1', Verb.VIEW, execution_id='another')}")
    watched.expected.append("410")
    expect(watched.page.get_by_role("heading", name="This link is no longer valid")).to_be_visible()
