"""A host with the app of these tests, a browser, and a page that is watched: it may break no rule."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import CHROMIUM, WITHOUT, Watched, browser
from tests.support.hosts import PROJECT, HostProcess

APP = PROJECT / "tests" / "e2e" / "apps" / "dashboard"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and not CHROMIUM:
            item.add_marker(pytest.mark.skip(reason=WITHOUT))


class Board:
    """A host, and requests to its management API. ``gates``: the folder of the gates that its activities wait at."""

    def __init__(self, host: HostProcess, gates: Path) -> None:
        self.host, self.gates = host, gates
        self.base = f"{host.url}/api/durabletask"

    def call(self, method: str, path: str, value: Any = None, *, key: str = "") -> Any:
        """The body of the answer, as JSON. urllib.error.HTTPError if the request is refused."""
        request = urllib.request.Request(
            f"{self.base}/{path}",
            method=method,
            data=None if value is None else json.dumps(value).encode(),
            headers={"Content-Type": "application/json", "x-functions-key": key},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            content = response.read()
        return json.loads(content) if content else None

    def start(self, name: str, instance_id: str, value: Any = None) -> None:
        self.call("POST", f"orchestrators/{name}/{quote(instance_id, safe='')}", value)

    def run(self, name: str, instance_id: str, value: Any = None) -> Any:
        """Start an instance and wait for its end."""
        self.start(name, instance_id, value)
        return self.call("GET", f"instances/{quote(instance_id, safe='')}?timeout=60")

    def status(self, instance_id: str) -> str:
        return self.call("GET", f"instances/{quote(instance_id, safe='')}")["runtimeStatus"]

    def until(self, holds: Callable[[], object]) -> None:
        """Return when it is true; AssertionError if it never is."""
        give_up_at = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < give_up_at, self.host.log
            time.sleep(0.05)

    def open_gate(self, name: str) -> None:
        (self.gates / name).touch()


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    folder = tmp_path_factory.mktemp("board")
    with HostProcess(folder, app=APP, env={"GATES": str(folder)}) as host:
        yield Board(host, folder)
        (folder / "all").touch()  # what still waits at a gate would hold up the end of the host


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def opened(board: Board, chromium: Browser) -> Iterator[Callable[..., Watched]]:
    """Opens an address of the dashboard, with options of a browser context. The pages are checked at the end."""
    pages: list[Watched] = []

    def open_page(address: str = "#/instances", *, url: str = "", **options: Any) -> Watched:
        asked: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, **options}
        context = chromium.new_context(**asked)
        watched = Watched.of(context.new_page(), board.host.url)
        pages.append(watched)
        watched.page.goto(url or f"{board.base}/ui/{address}")
        return watched

    yield open_page
    for watched in pages:
        watched.check()
        watched.page.context.close()


@pytest.fixture
def page(opened: Callable[..., Watched]) -> Page:
    """The list of instances."""
    return opened().page


def refused(request: Callable[[], Any]) -> int:
    """The status with which a request is refused."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        request()
    caught.value.close()
    return caught.value.code
