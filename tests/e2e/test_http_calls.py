"""``ctx.call_http`` against a real HTTP server, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from durable_core import Orchestration, OrchestrationContext, OrchestrationStatus, Registry, RetryPolicy, orchestrator
from durable_core.engine.http import DurableHttpResponse, retry_after
from durable_core.errors import HttpCallError, PayloadTooLargeError, TaskTimeoutError
from durable_core.settings import Settings
from durable_core.testing.simulation import World
from tests.support.hosts import free_port
from tests.support.web_site import Answer, web_site


@orchestrator
def fetch(ctx: OrchestrationContext, asked: dict[str, Any]) -> Orchestration[Any]:
    retry = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=10)) if asked.get("retry") else None
    timeout = timedelta(seconds=asked["timeout"]) if "timeout" in asked else None
    response = yield from ctx.call_http(
        asked.get("method", "GET"),
        asked["uri"],
        asked.get("content"),
        asked.get("headers"),
        retry=retry,
        timeout=timeout,
        poll=asked.get("poll", True),
    )
    return [response.status_code, response.content, response.header("x-seen")]


def call(
    answer: Answer,
    path: str = "/",
    *,
    settings: Settings | None = None,
    allow: str = "",
    **asked: Any,
) -> tuple[OrchestrationStatus, float]:
    """The instance's end, and the virtual seconds it took. allow: the allow-list, ``{port}`` being the server's."""
    port = free_port()
    if allow:
        settings = Settings.from_environment({"DURABLE_HTTP_ALLOW": allow.format(port=port)})
    world = World(Registry().add(fetch), settings=settings)

    async def scenario(world: World) -> tuple[OrchestrationStatus, float]:
        async with web_site(answer, port) as address:
            await world.client.start_new(fetch, "one", {"uri": address + path, **asked})
            status = await world.client.wait_for_completion("one", timeout=7200)
            took = world.loop.time()
            for host in world.hosts:
                await host.app.close()
            return status, took

    found = world.run(scenario)
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    return found


def always(make: Callable[[web.Request], web.StreamResponse]) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return make(request)

    return answer


def in_turn(*answers: Callable[[web.Request], web.Response]) -> tuple[Answer, list[tuple[str, str]]]:
    """Each request gets the next answer, the last for ever; and what was asked."""
    seen: list[tuple[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path_qs))
        return answers[min(len(seen), len(answers)) - 1](request)

    return answer, seen


async def _echo(request: web.Request) -> web.Response:
    told = {"method": request.method, "body": await request.text(), "type": request.headers.get("Content-Type")}
    return web.json_response(told, headers={"X-Seen": request.headers.get("X-Token", "")})


def test_the_response_is_the_result_whatever_its_status_code() -> None:
    status, _ = call(always(lambda _: web.Response(status=503, text="tea", headers={"X-Seen": "yes"})))
    assert status.output == [503, "tea", "yes"]


def test_method_headers_and_content_arrive_as_given() -> None:
    status, _ = call(_echo, method="put", content="plain ü", headers={"X-Token": "t", "Content-Type": "text/x"})
    assert status.output[2] == "t"
    assert json.loads(status.output[1]) == {"method": "PUT", "body": "plain ü", "type": "text/x"}


def test_content_that_is_no_text_is_sent_as_json() -> None:
    status, _ = call(_echo, method="POST", content={"a": [1, None]})
    assert json.loads(status.output[1]) == {"method": "POST", "body": '{"a":[1,null]}', "type": "application/json"}


def test_an_answer_202_is_polled_by_durable_timers_until_it_is_another() -> None:
    def later(wait: str | None) -> Callable[[web.Request], web.Response]:
        headers = {"Location": "/state?id=7"} | ({} if wait is None else {"Retry-After": wait})
        return lambda _: web.Response(status=202, headers=headers)

    answer, seen = in_turn(later("600"), later(None), later("0"), lambda _: web.Response(text="done"))
    status, took = call(answer, "/begin", method="POST", content="x")
    assert status.output == [200, "done", None]
    assert seen == [("POST", "/begin"), *[("GET", "/state?id=7")] * 3]
    assert 631 <= took < 640


def test_without_poll_the_202_is_the_answer() -> None:
    answer, seen = in_turn(lambda _: web.Response(status=202, headers={"Location": "/state"}, text="wait"))
    status, _ = call(answer, poll=False)
    assert status.output == [202, "wait", None]
    assert len(seen) == 1


def test_with_a_retry_policy_refusals_are_tried_again() -> None:
    answer, seen = in_turn(
        lambda _: web.Response(status=429), lambda _: web.Response(status=500), lambda _: web.Response(text="at last")
    )
    status, took = call(answer, retry=True)
    assert status.output == [200, "at last", None]
    assert len(seen) == 3
    assert took >= 30


def test_a_refusal_to_the_last_attempt_is_a_failure_that_tells_the_status() -> None:
    status, _ = call(always(lambda _: web.Response(status=502)), retry=True)
    assert status.failure is not None
    assert status.failure.is_caused_by(HttpCallError)
    assert "was answered with 502" in status.failure.message


def test_a_client_error_is_an_answer_even_with_a_retry_policy() -> None:
    status, _ = call(always(lambda _: web.Response(status=404, text="no")), retry=True)
    assert status.output == [404, "no", None]


def test_no_connection_is_a_failure() -> None:
    async def gone(_: web.Request) -> web.Response:
        raise AssertionError("nobody asks")

    status, _ = call(gone, uri="http://127.0.0.1:1/")
    assert status.failure is not None
    assert status.failure.is_caused_by(HttpCallError)


@pytest.mark.parametrize("polling", [True, False])
def test_a_call_that_does_not_end_in_its_time_fails_as_timed_out(polling: bool) -> None:
    later = always(lambda _: web.Response(status=202, headers={"Location": "/", "Retry-After": "40"}))
    status, took = call(later if polling else always(lambda _: web.Response(status=500)), timeout=100, retry=True)
    assert status.failure is not None
    if polling:
        assert status.failure.is_caused_by(TaskTimeoutError)
        assert 100 <= took < 110
    else:
        assert status.failure.is_caused_by(HttpCallError), "the attempts were over before the time was"


def test_a_response_over_the_limit_is_a_clear_failure_and_is_not_asked_for_again() -> None:
    answer, seen = in_turn(lambda _: web.Response(text="x" * 5000))
    status, _ = call(answer, settings=Settings(max_payload=4000), retry=True)
    assert status.failure is not None
    assert status.failure.is_caused_by(PayloadTooLargeError)
    assert "5,000 bytes" in status.failure.message
    assert len(seen) == 1


def test_redirects_are_followed_as_browsers_do() -> None:
    answer, seen = in_turn(
        lambda _: web.Response(status=307, headers={"Location": "/b"}),
        lambda _: web.Response(status=303, headers={"Location": "/c"}),
        lambda _: web.Response(text="here"),
    )
    status, _ = call(answer, "/a", method="POST", content="x")
    assert status.output == [200, "here", None]
    assert seen == [("POST", "/a"), ("POST", "/b"), ("GET", "/c")]


def test_redirects_for_ever_are_a_failure() -> None:
    answer, seen = in_turn(lambda _: web.Response(status=302, headers={"Location": "/again"}))
    status, _ = call(answer)
    assert status.failure is not None
    assert "more than 10 redirects" in status.failure.message
    assert len(seen) == 11


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://[", "http://host:99999/", "https://"])
@pytest.mark.parametrize("code", [202, 302])
def test_a_location_that_cannot_be_followed_is_not_and_the_response_is_the_answer(code: int, location: str) -> None:
    status, _ = call(always(lambda _: web.Response(status=code, headers={"Location": location}, text="there")))
    assert status.output == [code, "there", None]


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("Fri, 31 Dec 9999 23:59:59 GMT", 30 * 86_400),
        ("Fri, 31 Dec 9999 23:59:59 -2300", 30 * 86_400),
        ("1" * 40, 30 * 86_400),
        ("999999999", 30 * 86_400),
        ("Fri, 31 Dec 99999999999 00:00:00 GMT", 30),
        ("Mon, 01 Jan 0001 00:00:00 +2300", 1),
        ("soon", 30),
        ("\u0663", 3),
        ("-5", 30),
    ],
)
def test_how_long_a_server_asks_to_be_left_alone_is_bounded(asked: str, seconds: int) -> None:
    response = DurableHttpResponse(202, {"retry-after": asked}, "")
    assert retry_after(response, datetime(2025, 1, 31, tzinfo=UTC)) == timedelta(seconds=seconds)


def raw_answer(head: bytes, content: bytes = b"") -> Answer:
    """Bytes that no framework would send."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        length = f"\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
        request.transport.write(b"HTTP/1.1 200 OK\r\n" + head + length + content)
        request.transport.close()
        return web.Response()

    return answer


@pytest.mark.parametrize(
    ("sent", "read"), [(b"caf\xe9", "café"), ("日本".encode(), "日本"), (b"\xed\xa0\x80", "í\xa0\x80")]
)
def test_headers_are_read_as_utf_8_or_else_as_latin_1(sent: bytes, read: str) -> None:
    status, _ = call(raw_answer(b"X-Seen: " + sent))
    assert status.output == [200, "", read]


@pytest.mark.parametrize(
    ("charset", "content", "read"),
    [
        ("idna", b"plain", "plain"),
        ("idna", b"xn--a", "xn--a"),
        ("utf-7", b"+2AA-", "?"),
        ("utf-7", b"+\xff", "\ufffd"),
        ("unicode_escape", b"\\ud800", "?"),
        ("rot13", b"abc", "abc"),
        ("hex", b"61", "61"),
        ("nobody-knows", "ü".encode(), "ü"),
        ("latin-1", b"\xfc", "ü"),
        ("utf-16", "ü".encode("utf-16"), "ü"),
        ("utf-8", b"\xff", "\ufffd"),
    ],
)
def test_content_is_text_whatever_charset_its_server_names(charset: str, content: bytes, read: str) -> None:
    status, _ = call(raw_answer(f"Content-Type: text/plain; charset={charset}".encode(), content))
    assert status.output == [200, read, None]


SECRETS = ("hidden-user", "hidden-password", "hidden-code", "hidden-sig", "hidden-fragment")


def _fails() -> dict[str, Callable[[web.Request], web.StreamResponse]]:
    return {
        "refused": lambda _: web.Response(status=503),
        "redirects": lambda request: web.Response(status=302, headers={"Location": request.path_qs}),
        "too large": lambda _: web.Response(text="x" * 5000),
        "no answer": lambda request: request.transport.abort() or web.Response(),  # type: ignore[union-attr]
    }


@pytest.mark.parametrize("why", _fails())
def test_no_failure_or_log_shows_the_secrets_of_an_address(why: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "durable_core")
    world = World(Registry().add(fetch), settings=Settings(max_payload=4000))
    user, password, code, sig, fragment = SECRETS

    async def scenario(world: World) -> OrchestrationStatus:
        async with web_site(always(_fails()[why])) as address:
            host = address.removeprefix("http://")
            uri = f"http://{user}:{password}@{host}/path?code={code}&sig={sig}&{sig}#{fragment}"
            await world.client.start_new(fetch, "one", {"uri": uri, "retry": True})
            status = await world.client.wait_for_completion("one", timeout=600)
            for each in world.hosts:
                await each.app.close()
            return status

    failure = world.run(scenario).failure
    assert failure is not None
    told = json.dumps(asdict(failure), default=str) + caplog.text
    assert "/path?code=***&sig=***&***" in told
    assert not [secret for secret in SECRETS if secret in told]


@pytest.mark.parametrize(
    "address", ["ftp://hidden-user@host/?code=hidden-code", "http://[?sig=hidden-sig", "hidden-user@/"]
)
def test_an_address_that_is_refused_is_not_shown_whole_either(address: str) -> None:
    status, _ = call(always(lambda _: web.Response()), uri=address)
    assert status.failure is not None
    assert "call_http takes an http or https address" in status.failure.message
    assert not [secret for secret in ("hidden-code", "hidden-sig", "hidden-user@host") if secret in str(status.failure)]


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.1:{port}", "*.example.com,127.0.0.1"])
def test_hosts_that_are_allowed_are_called(allowed: str) -> None:
    assert call(always(lambda _: web.Response(text="in")), allow=allowed)[0].output == [200, "in", None]


@pytest.mark.parametrize("allowed", ["localhost", "127.0.0.1:1", "*.0.0.1:1", "*.example.com", "[::1]"])
def test_a_host_that_is_not_allowed_is_not_called(allowed: str) -> None:
    answer, seen = in_turn(lambda _: web.Response(text="in"))
    status, _ = call(answer, allow=allowed, retry=True)
    assert status.failure is not None
    assert "DURABLE_HTTP_ALLOW does not name '127.0.0.1'" in status.failure.message
    assert seen == []


@pytest.mark.parametrize("code", [202, 307])
def test_the_allow_list_counts_for_what_a_response_leads_to(code: int) -> None:
    headers = {"Location": "http://localhost:1/", "Retry-After": "1"}
    status, _ = call(always(lambda _: web.Response(status=code, headers=headers)), allow="127.0.0.1")
    assert status.failure is not None
    assert "DURABLE_HTTP_ALLOW does not name 'localhost'" in status.failure.message


@pytest.mark.parametrize("code", [202, 307])
def test_headers_do_not_go_to_another_origin(code: int) -> None:
    got: list[str | None] = []

    async def thief(request: web.Request) -> web.Response:
        got.append(request.headers.get("X-Token"))
        return web.Response(text="thanks")

    world = World(Registry().add(fetch))

    async def scenario(world: World) -> OrchestrationStatus:
        async with web_site(thief) as elsewhere:
            headers = {"Location": elsewhere + "/", "Retry-After": "1"}
            async with web_site(always(lambda _: web.Response(status=code, headers=headers))) as address:
                await world.client.start_new(fetch, "one", {"uri": address, "headers": {"X-Token": "secret"}})
                status = await world.client.wait_for_completion("one", timeout=600)
                for host in world.hosts:
                    await host.app.close()
                return status

    assert world.run(scenario).output == [200, "thanks", None]
    assert got == [None]


def test_an_address_that_is_no_http_is_refused_where_it_is_called() -> None:
    world = World(Registry().add(fetch))

    async def scenario(world: World) -> OrchestrationStatus:
        await world.client.start_new(fetch, "one", {"uri": "ftp://example.com/"})
        return await world.client.wait_for_completion("one", timeout=60)

    failure = world.run(scenario).failure
    assert failure is not None
    assert "call_http takes an http or https address" in failure.message
    assert "test_http_calls.py:" in failure.message
