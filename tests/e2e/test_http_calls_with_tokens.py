"""``ctx.call_http`` with a token of the app's managed identity, against a real endpoint of an identity."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from durable_core import Orchestration, OrchestrationContext, OrchestrationStatus, Registry, orchestrator
from durable_core.errors import OrchestratorCodeError
from durable_core.testing import TestEnvironment
from durable_core.testing.simulation import World
from tests.support.web_site import web_site

RESOURCE = "https://management.core.windows.net"
START = 1_893_456_000  # the virtual clock's first second, about: tokens end long after it


@orchestrator
def fetch(ctx: OrchestrationContext, asked: dict[str, Any]) -> Orchestration[Any]:
    response = yield from ctx.call_http(
        "GET", asked["uri"], headers=asked.get("headers"), token_resource=asked.get("resource", RESOURCE)
    )
    return [response.status_code, response.content]


class Identity:
    """The identity endpoint and a web API on one server; the API shows the Authorization that it gets."""

    def __init__(self, life: int = 86_400 * 3650) -> None:
        self.asked: list[dict[str, str]] = []
        self.life, self.status, self.answers = life, 200, list[dict[str, Any]]()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/identity":
                assert request.headers["X-IDENTITY-HEADER"] == "the header"
                self.asked.append(dict(request.query))
                body = {"access_token": f"token-{len(self.asked)}", "expires_on": str(START + self.life)}
                return web.json_response(self.answers.pop(0) if self.answers else body, status=self.status)
            case "/away":
                return web.Response(status=302, headers={"Location": request.query["to"]})
            case "/later":
                return web.Response(status=202, headers={"Location": "/api", "Retry-After": "1"})
            case _:
                return web.json_response(request.headers.getall("Authorization", []))


def run(identity: Identity, monkeypatch: pytest.MonkeyPatch, *paths: str, **asked: Any) -> list[OrchestrationStatus]:
    """The ends of instances that request these paths one after the other; ``{other}`` is the same server elsewhere."""
    world = World(Registry().add(fetch))

    async def scenario(world: World) -> list[OrchestrationStatus]:
        async with web_site(identity.answer) as site, web_site(identity.answer) as other:
            monkeypatch.setenv("IDENTITY_ENDPOINT", f"{site}/identity")
            monkeypatch.setenv("IDENTITY_HEADER", "the header")
            found: list[OrchestrationStatus] = []
            for number, path in enumerate(paths):
                await world.client.start_new(fetch, f"{number}", {"uri": site + path.format(other=other), **asked})
                found.append(await world.client.wait_for_completion(f"{number}", timeout=3600))
            for host in world.hosts:
                await host.app.close()
            return found

    found = world.run(scenario)
    assert not world.errors, world.errors
    return found


def shown(status: OrchestrationStatus) -> list[str]:
    """The Authorization headers that the web API got."""
    assert status.failure is None, status.failure
    return json.loads(status.output[1])


def test_the_request_gets_a_token_and_the_history_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "mine")
    identity = Identity()
    (status,) = run(identity, monkeypatch, "/api", headers={"authorization": "Basic x", "X-Other": "1"})
    assert shown(status) == ["Bearer token-1"]
    assert identity.asked == [{"api-version": "2019-08-01", "resource": RESOURCE, "client_id": "mine"}]


def test_a_token_is_asked_for_once_while_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_CLIENT_ID", raising=False)
    identity = Identity()
    statuses = run(identity, monkeypatch, "/api", "/api", "/later")
    assert [shown(status) for status in statuses] == [["Bearer token-1"]] * 3
    assert identity.asked == [{"api-version": "2019-08-01", "resource": RESOURCE}]


def test_a_token_that_has_almost_ended_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    identity = Identity(life=-86_400 * 3650)
    statuses = run(identity, monkeypatch, "/api", "/api")
    assert [shown(status) for status in statuses] == [["Bearer token-1"], ["Bearer token-2"]]


def test_another_server_gets_neither_token_nor_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = run(Identity(), monkeypatch, "/away?to={other}/api", "/away?to=/api")
    assert [shown(status) for status in statuses] == [[], ["Bearer token-1"]]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (403, {"error": "no"}, "answered 403"),
        (200, {"token": "secret-1"}, "the managed identity's answer has no token"),
        (200, {"access_token": "secret-2", "expires_on": "tomorrow"}, "the managed identity's answer has no token"),
        (200, ["secret-3"], "the managed identity's answer has no token"),
    ],
)
def test_an_identity_that_gives_no_token_fails_the_call_without_showing_its_answer(
    monkeypatch: pytest.MonkeyPatch, status: int, body: Any, told: str
) -> None:
    identity = Identity()
    identity.status, identity.answers = status, [body]
    (ended,) = run(identity, monkeypatch, "/api")
    assert ended.failure is not None
    assert told in ended.failure.message
    assert "secret" not in str(ended.failure.to_json())


def test_a_process_without_an_identity_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IDENTITY_ENDPOINT", raising=False)
    monkeypatch.delenv("IDENTITY_HEADER", raising=False)
    world = World(Registry().add(fetch))

    async def scenario(world: World) -> OrchestrationStatus:
        await world.client.start_new(fetch, "one", {"uri": "http://127.0.0.1:9/"})
        status = await world.client.wait_for_completion("one", timeout=3600)
        for host in world.hosts:
            await host.app.close()
        return status

    status = world.run(scenario)
    assert status.failure is not None
    assert "this process has no managed identity" in status.failure.message


@pytest.mark.parametrize("resource", ["", 7])
def test_a_resource_that_is_no_text_is_refused(resource: Any) -> None:
    with (
        TestEnvironment(fetch) as env,
        pytest.raises(Exception, match=f"token_resource={resource!r} of call_http") as e,
    ):
        env.result(env.start(fetch, {"uri": "http://127.0.0.1:9/", "resource": resource}))
    assert OrchestratorCodeError.__name__ in str(e.value)
