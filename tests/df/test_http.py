"""``context.call_http``: what is sent, and the response as a dict with the names of Durable Functions."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest
from aiohttp import web

import durable_core.df as df
from durable_core import OrchestrationStatus
from durable_core.testing.simulation import World
from tests.support.web_site import web_site

app = df.DFApp()


@app.orchestration_trigger(context_name="context")
def ask(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    asked = context.get_input()
    token = df.ManagedIdentityTokenSource(asked["token"]) if "token" in asked else None
    return (
        yield context.call_http(
            asked["method"],
            asked["uri"],
            asked.get("content"),
            asked.get("headers"),
            token,
            asked.get("raw", False),
        )
    )


async def echo(request: web.Request) -> web.StreamResponse:
    """Shows the request; gives a token at the path of the identity."""
    if request.path == "/identity":
        return web.json_response({"access_token": "secret", "expires_on": "9999999999"})
    seen = {
        "method": request.method,
        "body": await request.text(),
        "type": request.headers.get("Content-Type"),
        "authorization": request.headers.get("Authorization"),
    }
    return web.json_response(seen, status=201, headers={"X-Seen": "yes"})


def call(**asked: Any) -> OrchestrationStatus:
    world = World(app.registry)

    async def scenario(world: World) -> OrchestrationStatus:
        async with web_site(echo) as site:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("IDENTITY_ENDPOINT", f"{site}/identity")
                patch.setenv("IDENTITY_HEADER", "x")
                await world.client.start_new("ask", "one", {"uri": f"{site}/x", **asked})
                status = await world.client.wait_for_completion("one", timeout=600)
            for host in world.hosts:
                await host.app.close()
            return status

    return world.run(scenario)


@pytest.mark.parametrize(
    ("asked", "body", "kind"),
    [
        ({"content": {"a": 1}}, '{"a": 1}', "text/plain; charset=utf-8"),
        ({"content": "text"}, '"text"', "text/plain; charset=utf-8"),
        ({"content": "<a/>", "raw": True, "headers": {"Content-Type": "text/xml"}}, "<a/>", "text/xml"),
        ({}, "", None),
    ],
)
def test_content_is_sent_as_in_durable_functions(asked: dict[str, Any], body: str, kind: str | None) -> None:
    status = call(method="post" if body else "GET", **asked)
    assert status.failure is None
    response = status.output
    assert set(response) == {"statusCode", "headers", "content"}
    assert (response["statusCode"], response["headers"]["X-Seen"]) == (201, "yes")
    seen = json.loads(response["content"])
    assert (seen["body"], seen["authorization"]) == (body, None)
    assert kind is None or seen["type"] == kind


def test_a_token_source_adds_the_token() -> None:
    seen = json.loads(call(method="GET", token="https://vault.azure.net").output["content"])
    assert seen["authorization"] == "Bearer secret"


def test_a_raw_text_that_is_no_text_is_refused_as_in_durable_functions() -> None:
    status = call(method="POST", content={"a": 1}, raw=True)
    assert status.failure is not None
    assert status.failure.type == "TypeError"
    assert status.failure.message.startswith("Invalid use of 'is_raw_str' parameter: 'is_raw_str' is set to 'True' but")


def test_token_sources_and_retry_options_have_the_json_of_durable_functions() -> None:
    assert df.ManagedIdentityTokenSource("r").to_json() == {"resource": "r", "kind": "AzureManagedIdentity"}
    options = df.RetryOptions(1500, 3)
    assert options.to_json() == {"firstRetryIntervalInMilliseconds": 1500, "maxNumberOfAttempts": 3}
    assert (options.first_retry_interval_in_milliseconds, options.max_number_of_attempts) == (1500, 3)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=r"^first_retry_interval_in_milliseconds valuemust be greater than 0\.$"):
            df.RetryOptions(wrong, 3)
