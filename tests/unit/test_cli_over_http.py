"""The management API over HTTP: addresses, keys that go nowhere else, and answers of hosts that are none of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from durable_core.cli.api.over_http import OverHttp, path_of
from durable_core.cli.api.port import UnreachableError
from durable_core.cli.exit_codes import CannotRunError, NothingMatchedError
from durable_core.hosting.http_routes import Endpoint


class Site(ThreadingHTTPServer):
    """Answers each path as it says: ``/STATUS/…``, with a redirect to ``/200/`` for 302."""

    asked: list[tuple[str, str | None]]


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Site)
        self.server.asked.append((self.path, self.headers["x-functions-key"]))
        status = int(self.path.split("/")[1])
        body = b'{"error": {"code": "InstanceNotFound", "message": "there is none"}}' if status == 404 else b""
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200/api")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(("127.0.0.1", 0), _Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("https://orders.azurewebsites.net", "https://orders.azurewebsites.net/api/durabletask"),
        ("orders.azurewebsites.net/", "https://orders.azurewebsites.net/api/durabletask"),
        ("http://localhost:7071/api/workflows/", "http://localhost:7071/api/workflows"),
        ("https://user:secret@host/api/x?code=abc", "https://host/api/x"),
    ],
)
def test_the_address_of_an_app_or_of_its_api(given: str, place: str) -> None:
    assert OverHttp(given).place == place


@pytest.mark.parametrize("given", ["ftp://host", "https://", "://x"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(CannotRunError, match="--url must be an address"):
        OverHttp(given)


def test_the_variables_of_a_path_are_escaped_and_none_leaves_its_segment() -> None:
    route = {"instanceId": "a b/ü?#%"}
    with pytest.raises(CannotRunError, match="cannot be part of a URL"):
        path_of(Endpoint.INSTANCE, route)
    with pytest.raises(CannotRunError, match="cannot be part of a URL"):
        path_of(Endpoint.INSTANCE, {"instanceId": ".."})
    assert path_of(Endpoint.INSTANCE, {"instanceId": "a b?#%ü"}) == "instances/a%20b%3F%23%25%C3%BC"
    assert path_of(Endpoint.START, {"name": "order"}) == "orchestrators/order"


async def test_the_key_is_a_header_and_does_not_follow_a_redirect(site: Site) -> None:
    base = f"http://127.0.0.1:{site.server_port}"
    assert (await OverHttp(f"{base}/200?code=from-the-portal").call(Endpoint.SCHEDULES)).status == 200
    with pytest.raises(CannotRunError, match="redirects to '/200/api'"):
        await OverHttp(f"{base}/302", "secret").call(Endpoint.SCHEDULES)
    assert site.asked == [("/200/schedules", "from-the-portal"), ("/302/schedules", "secret")]


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, CannotRunError, "DURABLE_KEY"),
        (404, NothingMatchedError, "there is none"),
        (500, CannotRunError, "answered 500"),
        (503, UnreachableError, "answered 503"),
    ],
)
async def test_an_answer_that_is_no_good_one(site: Site, status: int, error: type[Exception], said: str) -> None:
    answer = await OverHttp(f"http://127.0.0.1:{site.server_port}/{status}").call(Endpoint.RECOVER)
    with pytest.raises(error, match=said):
        answer.expect(200)


async def test_an_app_that_is_not_there_is_unreachable(site: Site) -> None:
    with pytest.raises(UnreachableError, match="cannot be reached"):
        await OverHttp("http://127.0.0.1:1").call(Endpoint.SCHEDULES)
