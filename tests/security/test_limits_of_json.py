"""JSON that is too deep, too large, or no JSON: refused at the door, or the failure of who made it. Never a crash."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from durable_core import OrchestrationContext, Registry, activity, orchestrator
from durable_core.converter import MAX_DEPTH
from durable_core.settings import Settings
from tests.support.function_host import FunctionHost, function_host
from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient

LIMIT = 100_000


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def same(value: Any) -> Any:
    return value


@activity
def deep(levels: int) -> Any:
    found: list[Any] = []
    for _ in range(levels - 1):
        found = [found]
    return found


@orchestrator
def echo(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    ctx.set_query_handler("echo", same)
    return (yield from ctx.wait_for_external_event("Go"))


@orchestrator
def digs(ctx: OrchestrationContext, levels: int) -> Generator[Any, Any, Any]:
    return (yield from ctx.call_activity(deep, levels))


@pytest.fixture
async def host() -> AsyncIterator[FunctionHost]:
    settings = Settings(store=":memory:", signing_keys=("the key of these tests",), max_payload=LIMIT)
    async with function_host(Registry().add(echo, digs, deep), settings) as running:
        yield running


REFUSED = {
    "one level too deep": nested(MAX_DEPTH + 1),
    "too deep in objects": b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "near the parser's own limit": nested(900),
    "far too deep": nested(40_000),
    "deep and cut off": b"[" * 90_000,
    "a float without end": b"1e999",
    "and a negative one": b"[-1e400]",
    "an integer without end": b"9" * 10_000,
    "no number": b"NaN",
    "infinity": b"[Infinity]",
    "no UTF-8": b'"\xff"',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "half a pair": b'"\\ud800"',
    "half a pair as a key": b'{"\\udc00": 1}',
    "compressed": gzip.compress(b"1" * 1000),
    "a cut text": b'"abc',
    "two values": b"1 2",
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
async def test_a_body_that_cannot_be_stored_is_400_at_every_door(host: FunctionHost, body: bytes) -> None:
    uris = (await host.call("POST", "orchestrators/echo/o-1")).json()
    event = uris["sendEventPostUri"].replace("{eventName}", "Go")
    for url in ("orchestrators/echo/o-2", "instances/o-1/raiseEvent/Go", event):
        answer = await host.request("POST", url, body)
        assert answer is not None
        assert (answer.status, answer.json()["error"]["code"]) == (400, "InvalidInput"), answer.body[:200]
    if len(body) < 4000 and body.isascii():
        answer = await host.request("GET", f"instances/o-1/query/echo?args={quote(body)}")
        assert answer is not None and answer.status == 400
    assert (await host.call("GET", "instances/o-1")).status == 202
    assert (await host.call("GET", "instances/o-2")).status == 404, "nothing was started"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (nested(MAX_DEPTH), None),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"9007199254740993", 9007199254740993),
        (b"1e308", 1e308),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"\xef\xbb\xbf7", 7),
        (b'"\\u0000\\u202e<script>"', "\0\u202e<script>"),
    ],
)
async def test_what_is_json_within_the_limits_comes_back_as_it_was(host: FunctionHost, body: bytes, value: Any) -> None:
    await host.call("POST", "orchestrators/echo/o-1")
    answer = await host.request("POST", "instances/o-1/raiseEvent/Go", body)
    assert answer is not None and answer.status == 202
    await host.drain()
    status = (await host.call("GET", "instances/o-1")).json()
    assert status["output"] == (json.loads(body) if value is None else value)


async def test_a_body_over_the_limit_is_413_before_it_is_read(host: FunctionHost) -> None:
    for body in (b"[" * (LIMIT + 1), json.dumps("\u00e9" * (LIMIT // 3)).encode(), b'"' + b"a" * LIMIT + b'"'):
        answer = await host.request("POST", "orchestrators/echo", body)
        assert answer is not None
        assert (answer.status, answer.json()["error"]["code"]) == (413, "PayloadTooLarge")


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 300, 100_000])
async def test_a_result_nested_too_deep_is_the_failure_of_its_activity(host: FunctionHost, levels: int) -> None:
    await host.call("POST", "orchestrators/digs/o-1", levels)
    await host.call("POST", "orchestrators/digs/o-2", MAX_DEPTH)
    await host.drain()
    failed = (await host.call("GET", "instances/o-1")).json()
    assert failed["runtimeStatus"] == "Failed"
    assert f"more than {MAX_DEPTH} levels" in failed["output"]
    assert (await host.call("GET", "instances/o-2")).json()["runtimeStatus"] == "Completed"
    assert not host.failures


async def test_the_local_host_inflates_no_body(tmp_path: Path) -> None:
    bomb = gzip.compress(b'"' + b"a" * 50_000_000 + b'"')
    with HostProcess(tmp_path / "host") as running:
        async with HttpClient(running.url) as http:
            assert http._session is not None  # pyright: ignore[reportPrivateUsage]
            http._session.headers["Content-Encoding"] = "gzip"  # pyright: ignore[reportPrivateUsage]
            answer = await http.call("POST", "/orchestrators/approval", data=bomb)
            assert (answer.status, answer.body["error"]["code"]) == (400, "InvalidInput")
