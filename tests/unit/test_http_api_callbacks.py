"""Callbacks and queries over HTTP, by the real functions, runtime and embedded store; steps on real threads."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, TaskTimeoutError, activity, orchestrator
from durable_core.engine.callbacks import make_ticket
from durable_core.errors import CapabilityError, ConfigurationError
from durable_core.hosting.callback_urls import SignedCallbackUrls, app_address
from durable_core.hosting.functions import Durable
from durable_core.hosting.signed_urls import CapabilitySigner, Verb
from durable_core.hosting.storage_pool import acquire_storage, release_storage
from durable_core.settings import Settings

from .test_http_api_runtime import Host

BASE = "https://shop.example/api/durabletask"
TOLD: list[str] = []


@activity
def tell(url: str) -> None:
    TOLD.append(url)


@orchestrator
def payment(ctx: OrchestrationContext, amount: int) -> Orchestration[dict[str, Any]]:
    state: dict[str, Any] = {"amount": amount, "paid": False}
    ctx.set_query_handler("state", lambda: state)
    thread = yield from ctx.run("thread", threading.get_ident)
    callback = ctx.callback("paid", int, timedelta(days=3))
    yield from ctx.call_activity(tell, callback.url)
    try:
        state["paid"] = yield from callback.task
    except TaskTimeoutError:
        return {"late": True}
    yield from ctx.wait_for_external_event("Close")
    return {"thread": thread, **state}


@pytest.fixture
async def host() -> AsyncGenerator[Host]:
    settings = Settings(store=":memory:", base_url="https://shop.example")
    durable = Durable(Registry().add(payment, tell), settings=settings)
    storage = acquire_storage(settings)
    await durable.start()
    try:
        yield Host(durable, storage)
    finally:
        TOLD.clear()
        await durable.stop()
        await release_storage(storage)


async def test_a_third_party_completes_a_callback_by_its_url_once(host: Host) -> None:
    start = f"{BASE}/orchestrators/payment/p-1"
    code, uris = await host.http("durable_start", "POST", start, 12, name="payment", instanceId="p-1")
    assert code == 202
    await host.drain()
    (url,) = set(TOLD)
    assert url.startswith(f"{BASE}/c/")

    assert (await host.follow("GET", url))[0] == 405
    assert (await host.follow("POST", url[:-3] + "AAA", 12))[0] == 401
    assert (await host.follow("POST", url + "/another", 12))[0] == 404
    assert (await host.follow("POST", url, 12))[0] == 202
    code, answer = await host.follow("POST", url, 13)  # before it was consumed
    assert (code, answer["error"]["code"]) == (410, "CapabilityGone")
    await host.drain()
    assert (await host.follow("POST", url, 13))[0] == 410  # and after

    close = uris["sendEventPostUri"].replace("{eventName}", "close")
    assert (await host.follow("POST", close))[0] == 202
    await host.drain()
    code, status = await host.follow("GET", uris["statusQueryGetUri"])
    assert (code, status["output"]["paid"]) == (200, 12)
    assert status["output"]["thread"] != threading.get_ident()
    assert (await host.follow("POST", url, 13))[0] == 410
    await host.follow("DELETE", uris["purgeHistoryDeleteUri"])
    assert (await host.follow("POST", url, 13))[0] == 410


async def test_a_query_is_answered_over_http_and_says_what_is_wrong(host: Host) -> None:
    async def ask(name: str, instance_id: str = "p-2", query: str = "") -> tuple[int, Any]:
        url = f"{BASE}/instances/{instance_id}/query/{name}{query}"
        return await host.http("durable_query", "GET", url, None, instanceId=instance_id, queryName=name)

    start = f"{BASE}/orchestrators/payment/p-2"
    await host.http("durable_start", "POST", start, 12, name="payment", instanceId="p-2")
    assert await ask("state") == (200, {"amount": 12, "paid": False})
    await host.drain()
    assert await ask("state") == (200, {"amount": 12, "paid": False})
    code, answer = await ask("progress")
    assert (code, answer["error"]["code"]) == (404, "UnknownQuery")
    assert "it answers: state" in answer["error"]["message"]
    assert (await ask("state", "nobody"))[0] == 404
    assert (await ask("state", query="?args={"))[0] == 400
    assert (await ask("state", query="?args=5"))[0] == 400


def test_the_same_ticket_gives_the_same_url_and_no_other_url_does() -> None:
    now = [1_900_000_000.0]
    signer = CapabilitySigner([b"k" * 16], clock=lambda: now[0])
    urls = SignedCallbackUrls(lambda: signer, lambda: "https://shop.example/api/durabletask")
    expiry = datetime.fromtimestamp(now[0], UTC) + timedelta(days=1)
    ticket = make_ticket("p-1", "x1", 0, 1, "paid", expiry)
    url = urls.url_of(ticket)
    assert urls.url_of(ticket) == url
    assert urls.ticket_of(url) == ticket
    assert urls.url_of(make_ticket("p-1", "x1", 0, 2, "paid", expiry)) != url
    with pytest.raises(CapabilityError, match="not the URL of a callback"):
        urls.ticket_of("https://shop.example/c/" + signer.issue("p-1", Verb.EVENT))
    now[0] += timedelta(days=1).total_seconds()
    with pytest.raises(CapabilityError, match="expired"):
        urls.ticket_of(url)


@pytest.mark.parametrize(
    ("setting", "hostname", "expected"),
    [
        ("https://shop.example/", "other", "https://shop.example"),
        ("", "app.azurewebsites.net", "https://app.azurewebsites.net"),
        ("", "localhost:7071", "http://localhost:7071"),
    ],
)
def test_the_apps_address_is_the_setting_or_the_hosts(setting: str, hostname: str, expected: str) -> None:
    assert app_address(setting, {"WEBSITE_HOSTNAME": hostname}) == expected


def test_an_app_that_does_not_know_its_address_names_the_setting() -> None:
    with pytest.raises(ConfigurationError, match="DURABLE_BASE_URL"):
        app_address("", {})
    with pytest.raises(ConfigurationError, match="DURABLE_BASE_URL"):
        Settings(base_url="shop.example")
