"""What a web page, or a client that means no good, may send to a local host: refused, and never a 500."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hosts import HostProcess
from tests.support.tiny_host import TinyHost

API = "/api/durabletask"
KEY = "schlüssel"
APP = """
import azure.functions as func

app = func.FunctionApp()


@app.route("secret")
def secret(req: func.HttpRequest) -> str:
    return "known"
"""


def raw(port: int, *lines: bytes, body: bytes = b"") -> tuple[int, bytes]:
    """Status and body of the answer to these lines of a request, sent as they are."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"\r\n".join([*lines, b"Connection: close", b"", body]))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


@pytest.fixture(scope="module")
def open_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    with HostProcess(tmp_path_factory.mktemp("open")) as running:
        yield running


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyHost]:
    with TinyHost(tmp_path_factory.mktemp("keyed"), env={"DURABLE_HOST_KEY": KEY}) as running:
        yield running


def post(port: int, path: str, *headers: bytes, body: bytes = b"") -> tuple[int, bytes]:
    given = headers if any(each.lower().startswith(b"host:") for each in headers) else (b"Host: localhost", *headers)
    return raw(
        port,
        b"POST %s%s HTTP/1.1" % (API.encode(), path.encode()),
        *given,
        b"Content-Length: %d" % len(body),
        body=body,
    )


@pytest.mark.parametrize("foreign", [b"Origin: https://evil.example", b"Origin: null", b"Host: evil.example"])
@pytest.mark.parametrize("path", ["/orchestrators/approval/by-a-page", "/instances/mine/terminate", "/recover"])
def test_a_page_of_another_site_starts_ends_and_recovers_nothing(
    open_host: HostProcess, foreign: bytes, path: str
) -> None:
    post(open_host.port, "/orchestrators/approval/mine", body=b'{"request": {}}')
    status, body = post(open_host.port, path, foreign)
    assert status == 403, body
    assert json.loads(body)["error"]["code"] == "ForeignSite"
    assert raw(open_host.port, b"GET %s/instances/by-a-page HTTP/1.1" % API.encode(), b"Host: localhost")[0] == 404
    assert raw(open_host.port, b"GET %s/instances/mine HTTP/1.1" % API.encode(), b"Host: [::1]:7071")[0] == 202


def test_a_body_that_a_browser_sends_without_asking_is_no_input(open_host: HostProcess) -> None:
    for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x"):
        path = "/orchestrators/approval/by-a-form"
        status, body = post(open_host.port, path, b"Content-Type: " + kind, body=b'{"request": {}}')
        assert status == 400
        assert b"application/json" in body
    assert raw(open_host.port, b"GET %s/instances/by-a-form HTTP/1.1" % API.encode(), b"Host: localhost")[0] == 404


def test_the_address_that_was_set_wins_over_the_name_that_was_asked_for(tmp_path: Path) -> None:
    with HostProcess(tmp_path, env={"DURABLE_BASE_URL": "https://app.example/behind/"}) as running:
        for name in (b"localhost", b"app.example"):
            status, body = post(
                running.port,
                "/orchestrators/approval",
                b"Host: " + name,
                b"X-Forwarded-Host: evil.example",
                body=b'{"request": {}}',
            )
            assert status == 202, body
            uri = json.loads(body)["statusQueryGetUri"]
            assert uri.startswith(f"https://app.example/behind{API}/c/")
            path = uri.removeprefix("https://app.example/behind").encode()
            shown = raw(running.port, b"GET " + path + b" HTTP/1.1", b"Host: localhost")
            assert shown[0] == 202


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b" ",
        b"a b",
        b"a/b",
        b"a@b",
        b"\xff\xfe",
        "bücher.example".encode(),
        b"[::1",
        b"localhost:99999999",
        b"{}",
        b"%00",
    ],
)
def test_an_odd_host_header_is_400(open_host: HostProcess, keyed: TinyHost, host: bytes) -> None:
    for port, path in ((open_host.port, API.encode() + b"/openapi.json"), (keyed.port, b"/api/echo/bob")):
        assert raw(port, b"GET " + path + b" HTTP/1.1", b"Host: " + host)[0] == 400
    assert "Traceback" not in open_host.log
    assert "Traceback" not in keyed.log


def test_no_host_header_or_two_of_them_are_400(open_host: HostProcess) -> None:
    line = b"GET " + API.encode() + b"/openapi.json HTTP/1.1"
    assert raw(open_host.port, line)[0] == 400
    assert raw(open_host.port, line, b"Host: localhost", b"Host: evil.example")[0] == 400
    assert "Traceback" not in open_host.log


@pytest.mark.parametrize("given", [b"\xff", b"\xe4", b"\xed\xa0\x80", "schlüssel".encode("latin-1")])
def test_a_key_that_is_no_text_is_401(keyed: TinyHost, given: bytes) -> None:
    line = b"GET /api/secret HTTP/1.1"
    assert raw(keyed.port, line, b"Host: localhost", b"x-functions-key: " + given)[0] == 401
    coded = b"".join(b"%%%02x" % byte for byte in given)
    assert raw(keyed.port, b"GET /api/secret?code=" + coded + b" HTTP/1.1", b"Host: localhost")[0] == 401
    assert "Traceback" not in keyed.log


def test_a_key_beyond_ascii_opens_when_it_is_the_right_one(keyed: TinyHost) -> None:
    line = b"GET /api/secret HTTP/1.1"
    assert raw(keyed.port, line, b"Host: localhost", b"x-functions-key: " + KEY.encode())[0] == 200
    assert raw(keyed.port, b"GET /api/secret?code=schl%C3%BCssel HTTP/1.1", b"Host: localhost")[0] == 200


def test_with_keys_a_page_of_another_site_needs_the_key_and_a_proxy_may_have_any_name(keyed: TinyHost) -> None:
    line = b"GET /api/secret HTTP/1.1"
    assert raw(keyed.port, line, b"Host: shop.example", b"Origin: https://evil.example")[0] == 401
    assert raw(keyed.port, line, b"Host: shop.example", b"x-functions-key: " + KEY.encode())[0] == 200


def test_a_path_that_is_not_percent_encoded_is_400(open_host: HostProcess) -> None:
    for path in ("/instances/café".encode(), b"/instances/caf\xe9"):
        assert raw(open_host.port, b"GET " + API.encode() + path + b" HTTP/1.1", b"Host: localhost")[0] == 400
    assert "Traceback" not in open_host.log


def test_a_secret_that_is_missing_in_local_settings_does_not_open_the_host(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(APP)
    (tmp_path / "local.settings.json").write_text(json.dumps({"Values": {"DURABLE_HOST_KEY": ""}}))
    host = TinyHost(tmp_path, app=tmp_path)
    assert host.wait_exit() == 1
    assert "DURABLE_HOST_KEY is empty" in host.log
