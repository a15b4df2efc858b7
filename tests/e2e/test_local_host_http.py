"""HTTP triggers under the local host: routes, limits, failures, keys, and apps that must not start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tiny_host import TinyHost

KEY = "a-secret-key"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyHost]:
    with TinyHost(tmp_path_factory.mktemp("http"), args=["--require-keys", KEY]) as running:
        yield running


def test_a_request_reaches_its_function_and_the_answer_its_caller(host: TinyHost) -> None:
    status, headers, body = host.request("POST", "/api/ECHO/bob/7?a=1&a=2&b=%20x", "hällo", {"X-Agent": "me"})
    assert status == 202
    assert headers["x-echo"] == "yes"
    assert headers["location"] == "/elsewhere"
    assert headers["content-type"] == "application/json"
    seen = json.loads(body)
    assert seen["route"] == {"name": "bob", "number": "7"}
    assert seen["query"] == {"a": "1,2", "b": " x"}
    assert seen["body"] == "hällo"
    assert seen["agent"] == "me"
    assert seen["function"] == "echo"
    assert seen["url"].endswith("/api/ECHO/bob/7?a=1&a=2&b=%20x")


def test_an_optional_route_parameter_may_be_left_out(host: TinyHost) -> None:
    _, _, body = host.request("GET", "/api/echo/bob")
    assert json.loads(body)["route"] == {"name": "bob"}


@pytest.mark.parametrize(
    "path", ["/api/echo/b0b", "/api/echo/bob/seven", "/echo/bob", "/api/nothing", "/", "/api/echo"]
)
def test_a_path_that_fits_no_route_is_not_found(host: TinyHost, path: str) -> None:
    assert host.request("GET", path)[0] == 404


def test_a_path_whose_bytes_are_no_text_is_refused(host: TinyHost) -> None:
    """With a sign in place of its bytes, /echo/caf%e9 and /echo/caf%e8 would be one."""
    status, _, body = host.request("GET", "/api/echo/caf%e9")
    assert status == 400
    assert "not UTF-8" in json.loads(body)["error"]["message"]


def test_a_method_that_no_route_takes_is_not_found(host: TinyHost) -> None:
    assert host.request("DELETE", "/api/echo/bob")[0] == 404


def test_a_catch_all_takes_the_rest_of_the_path_decoded(host: TinyHost) -> None:
    assert host.request("GET", "/api/files/a/b%20c/d.txt")[2] == b"a/b c/d.txt"


def test_a_failing_function_answers_500_and_its_stack_is_logged(host: TinyHost) -> None:
    status, _, body = host.request("GET", "/api/broken")
    assert (status, body) == (500, b"")
    assert "ValueError: broken on purpose" in host.log
    assert "in broken" in host.log


def test_a_body_over_the_limit_is_refused_before_the_function_runs(host: TinyHost) -> None:
    too_much = {"Content-Length": str(100 * 1024 * 1024 + 1)}
    assert host.request("POST", "/api/size", b"", too_much)[0] == 413
    assert host.request("POST", "/api/size", b"x" * 2_000_000)[2] == b"2000000"


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, "", 401),
        ({"x-functions-key": "wrong"}, "", 401),
        ({"x-functions-key": KEY}, "", 200),
        ({}, f"?code={KEY}", 200),
        ({"x-functions-key": "wrong"}, f"?code={KEY}", 401),
        ({"x-functions-key": KEY}, "?code=wrong", 200),
    ],
)
def test_a_key_is_asked_where_one_is_needed_and_the_header_comes_first(
    host: TinyHost, headers: dict[str, str], query: str, status: int
) -> None:
    assert host.request("GET", f"/api/secret{query}", headers=headers)[0] == status


def test_no_key_is_asked_unless_the_host_was_told_to(tmp_path: Path) -> None:
    with TinyHost(tmp_path) as host:
        status, headers, body = host.request("GET", "/api/secret")
    assert (status, headers["set-cookie"], body) == (200, "a=1", b"known")


def test_the_route_prefix_can_be_overridden_by_the_environment(tmp_path: Path) -> None:
    with TinyHost(tmp_path, env={"AzureFunctionsJobHost__extensions__http__routePrefix": ""}) as host:
        assert host.request("GET", "/echo/bob")[0] == 202


HEAD = "import azure.functions as func\napp = func.FunctionApp()\n"


def route(template: str, name: str = "f", parameter: str = "req") -> str:
    return f"@app.route({template!r})\ndef {name}({parameter}: func.HttpRequest): ...\n"


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        (HEAD + route("items/{id}", "one") + route("items/{name?}", "other"), "route conflict"),
        (HEAD + route("admin/x"), "reserves; choose another"),
        (HEAD + route("runtime/x"), "reserves; choose another"),
        (HEAD + route("x/{id:integer}"), "no constraint 'integer'"),
        (HEAD + route("x", parameter="request"), "no parameter 'req'"),
        (HEAD + route("x").replace("HttpRequest", "TimerRequest"), "must be annotated"),
        (HEAD + route("a", "same") + route("b", "same"), "unique"),
        (HEAD, "no functions"),
        ("x = 1\n", "exactly one azure.functions.FunctionApp"),
        (
            HEAD + "@app.timer_trigger(arg_name='timer', schedule='every day')\ndef f(timer: func.TimerRequest): ...\n",
            "neither a six-field NCRONTAB",
        ),
        (
            HEAD + "@app.queue_trigger(arg_name='m', queue_name='%NONE%', connection='AzureWebJobsStorage')\n"
            "def f(m: func.QueueMessage): ...\n",
            "'NONE', which is not set",
        ),
    ],
)
def test_an_app_that_azure_would_not_index_does_not_start(tmp_path: Path, code: str, complaint: str) -> None:
    (tmp_path / "function_app.py").write_text(code)
    host = TinyHost(tmp_path, app=tmp_path)
    assert host.wait_exit() == 2
    assert "Error: " in host.log
    assert complaint in host.log
    assert "Traceback" not in host.log


def test_a_taken_port_is_named_and_the_host_ends(host: TinyHost, tmp_path: Path) -> None:
    second = TinyHost(tmp_path, args=["--port", str(host.port)])
    assert second.wait_exit() == 2
    assert f"cannot listen on 127.0.0.1:{host.port}" in second.log
