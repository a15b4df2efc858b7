"""What a web page, or a client that means no good, may send to a local host: refused, and never a 500."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
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
        response = HTTPResponse(connection, method=lines[0].split()[0].decode())
        response.begin()
        return response.status, response.read()


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
    assert host.wait_exit() == 2
    assert "DURABLE_HOST_KEY is empty" in host.log


def get(port: int, path: str, method: bytes = b"GET") -> tuple[int, bytes]:
    return raw(port, method + b" %s%s HTTP/1.1" % (API.encode(), path.encode()), b"Host: localhost")


def test_a_refused_request_is_answered_before_its_body_comes(open_host: HostProcess, keyed: TinyHost) -> None:
    promised = b"Content-Length: 90000000"
    for port, path, status in (
        (open_host.port, f"{API}/c/forged", 401),
        (open_host.port, f"{API}/c/forged/Approved", 401),
        (open_host.port, f"{API}/orchestrators/approval?unknown=1", 400),
        (keyed.port, "/api/secret", 401),
    ):
        assert raw(port, b"POST " + path.encode() + b" HTTP/1.1", b"Host: localhost", promised)[0] == status, path


def test_two_spellings_of_an_id_that_are_no_utf8_are_refused_and_not_one_id(open_host: HostProcess) -> None:
    for path in ("/orchestrators/approval/caf%e9", "/orchestrators/approval/caf%E8", "/orchestrators/caf%e9"):
        status, body = post(open_host.port, path, body=b'{"request": {}}')
        assert (status, json.loads(body)["error"]["code"]) == (400, "InvalidInput"), path
        assert b"UTF-8" in body
    assert post(open_host.port, "/orchestrators/approval/caf%c3%a9", body=b'{"request": {}}')[0] == 202
    assert get(open_host.port, "/instances/caf%C3%A9")[0] == 202
    for path in (
        "/instances/caf%e9",
        "/instances/caf%EF%BF",
        "/instances?instanceIdPrefix=caf%e9",
        "/instances/%ed%a0%80",
    ):
        assert get(open_host.port, path)[0] == 400, path
    status, _ = post(open_host.port, "/instances/caf%c3%a9/terminate?reason=%ff")
    assert status == 400
    assert get(open_host.port, "/instances/caf%c3%a9")[0] == 202


def test_a_body_in_chunks_is_refused_as_the_functions_host_would_lose_it(open_host: HostProcess) -> None:
    started = json.loads(post(open_host.port, "/orchestrators/approval/in-chunks", body=b'{"request": {}}')[1])
    chunks = b'e\r\n{"paid": true}\r\n0\r\n\r\n'
    event = started["sendEventPostUri"].partition(API)[2].replace("{eventName}", "Approved")
    for path in ("/instances/in-chunks/raiseEvent/Approved", event, "/orchestrators/approval/by-chunks"):
        line = b"POST %s%s HTTP/1.1" % (API.encode(), path.encode())
        status, body = raw(open_host.port, line, b"Host: localhost", b"Transfer-Encoding: chunked", body=chunks)
        assert (status, json.loads(body)["error"]["code"]) == (400, "InvalidInput"), path
        assert b"Content-Length" in body
    assert get(open_host.port, "/instances/by-chunks")[0] == 404
    assert json.loads(get(open_host.port, "/instances/in-chunks")[1])["runtimeStatus"] in ("Pending", "Running")


@pytest.mark.parametrize("method", [b"HEAD", b"OPTIONS", b"PUT", b"PATCH"])
def test_a_method_that_a_route_does_not_have_is_405_and_told_which_to_use(
    open_host: HostProcess, method: bytes
) -> None:
    started = json.loads(post(open_host.port, "/orchestrators/approval", body=b'{"request": {}}')[1])
    for path, allowed in (
        ("/instances/nobody", b"GET, DELETE"),
        ("/orchestrators/approval", b"POST"),
        (started["terminatePostUri"].partition(API)[2].partition("?")[0], b"POST"),
        (started["statusQueryGetUri"].partition(API)[2], b"GET"),
    ):
        with socket.create_connection(("127.0.0.1", open_host.port), timeout=60) as connection:
            lines = (
                method + b" %s%s HTTP/1.1" % (API.encode(), path.encode()),
                b"Host: localhost",
                b"Connection: close",
            )
            connection.sendall(b"\r\n".join([*lines, b"", b""]))
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split()[1] == b"405", (path, head)
        assert b"\r\nallow: " + allowed.lower() + b"\r\n" in head.lower() + b"\r\n"
        assert (json.loads(body)["error"]["code"] if body else b"") == (
            b"" if method == b"HEAD" else "MethodNotAllowed"
        )
    assert get(open_host.port, "/c/forged", method)[0] == 401
