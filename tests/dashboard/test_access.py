"""Who may see and do what: without a key, with one, with one that may only look, with the URL of one instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Route, expect

from durable_core.hosting.signed_urls import CapabilitySigner, Verb
from durable_core.hosting.signing_keys import signing_keys
from durable_core.settings import Settings
from tests.dashboard.conftest import APP, Board, refused
from tests.support.browser import Watched
from tests.support.hosts import HostProcess

KEY = "the key of these tests"
Open = Callable[..., Watched]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A host that requires a key."""
    folder = tmp_path_factory.mktemp("keys")
    with HostProcess(folder, app=APP, env={"GATES": str(folder)}, options=["--require-keys", KEY]) as host:
        board = Board(host, folder)
        board.call("POST", "orchestrators/order/order-1", {"items": ["book"]}, key=KEY)
        board.call("POST", "orchestrators/echo/echo-1", "a value", key=KEY)
        yield board


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
    watched = opened()
    watched.expected.append("401")

    def only_get(route: Route) -> None:
        """As a gateway or a function that has another key answers it."""
        if route.request.method == "GET":
            route.continue_()
        else:
            route.fulfill(status=401, body="")

    page = watched.page
    page.route("**/api/durabletask/instances/**", only_get)
    enter(watched, KEY)
    for name in ("Failures", "Schedules", "Instances"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("link", name="order-1", exact=True).click()
    page.get_by_role("group", name="Actions").get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name="Terminate").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("This key may look, not change")
    page.get_by_role("button", name="Do nothing").click()
    expect(page.locator(".line").first).to_be_visible()  # the page is still there, and so is the instance
    assert board.call("GET", "instances/order-1", key=KEY)["runtimeStatus"] == "Running"


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
