"""The files of the dashboard as they are served: headers, addresses, and what they may not hold."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from durable_core.hosting.dashboard_files import CONTENT_SECURITY_POLICY, dashboard_file
from durable_core.hosting.http_api import Endpoint
from durable_core.hosting.http_types import HttpRequest, HttpResponse
from durable_core.hosting.signed_urls import Verb
from tests.support.http_world import World

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "durable_core" / "hosting" / "dashboard"
FILES = sorted(FOLDER.iterdir())
OWN = [file for file in FILES if file.suffix in (".js", ".css", ".html") and file.name != "preact-htm.js"]
UI = "http://localhost:7071/api/durabletask/ui"


def get(path: str, *, method: str = "GET", **headers: str) -> HttpResponse:
    route = {"file": path.strip("/")} if path.strip("/") else {}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return dashboard_file(HttpRequest.of(method, UI + path, route=route, headers=named))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_is_served_under_the_strict_policy(file: Path) -> None:
    answer = get(f"/{file.name}")
    assert answer.status == 200
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".txt": "text/plain"}
    assert answer.headers["Content-Type"] == f"{kinds[file.suffix]}; charset=utf-8"
    again = get(f"/{file.name}", if_none_match=answer.headers["ETag"])
    assert (again.status, again.body) == (304, b"")


def test_the_policy_lets_in_nothing_foreign_and_nothing_inline() -> None:
    directives = {name: sources for name, *sources in (part.split() for part in CONTENT_SECURITY_POLICY.split(";"))}
    assert directives["default-src"] == ["'none'"]
    assert {source for sources in directives.values() for source in sources} == {"'none'", "'self'", "data:"}


@pytest.mark.parametrize(
    ("path", "before"), [("", "ui/"), ("/", ""), ("/index.html", "")], ids=["no slash", "slash", "by name"]
)
def test_the_page_finds_its_files_from_wherever_it_is_opened(path: str, before: str) -> None:
    assert f'src="{before}app.js"' in get(path).body.decode()


async def test_the_url_of_a_view_is_the_page_with_the_same_files() -> None:
    world = World()
    world.client.add("o-1")
    url = f"c/{world.signer.issue('o-1', Verb.VIEW)}"
    page = await world.call("GET", url)
    assert page.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert 'src="../ui/app.js"' in page.body.decode()
    status = await world.call("GET", f"{url}/status?showHistory=true")
    assert status.json()["instanceId"] == "o-1"
    assert "historyEvents" in status.json()
    assert (await world.call("GET", f"{url}/terminate")).status == 404
    assert (await world.call("POST", url)).status == 405


@pytest.mark.parametrize(
    "name", ["nothing.js", "../functions.py", "..", "__init__.py", "a" * 5000, "app.js\x00", "APP.JS"]
)
def test_no_other_name_is_a_file(name: str) -> None:
    answer = get(f"/{name}")
    assert (answer.status, answer.json()["error"]["code"]) == (404, "NotFound")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_files_are_only_read(method: str) -> None:
    answer = get("/app.js", method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


def test_the_route_asks_no_key() -> None:
    assert Endpoint.UI.value.keyless


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.name)
def test_no_text_becomes_markup_and_nothing_foreign_is_named(file: Path) -> None:
    text = file.read_text("utf-8")
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.findall(r"https?://", text)
    assert not re.findall(r"\sstyle=[\"']", text)


def test_every_module_that_is_imported_is_there_and_every_file_is_used() -> None:
    used = {"index.html", "preact-htm.txt"}
    for file in OWN:
        used |= set(re.findall(r'"\./([\w.-]+)"', file.read_text("utf-8")))
    assert used == {file.name for file in FILES}


def test_the_wheel_holds_the_files() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "hosting/dashboard/*" in settings["tool"]["setuptools"]["package-data"]["durable_core"]


def test_the_licences_of_what_others_wrote_stand_beside_it() -> None:
    text = (FOLDER / "preact-htm.txt").read_text("utf-8")
    assert "Copyright (c) 2015-present Jason Miller" in text
    assert "Apache License" in text
