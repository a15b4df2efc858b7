"""Capability URLs over the real runtime: bound to an execution, to one verb, and the one-event ones used once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import azure.functions as func
import pytest

from durable_core.errors import InstanceNotFoundError
from durable_core.instance_ids import StartedInstance, execution_of
from durable_core.settings import Settings
from durable_core.testing.azurite import Azurite
from tests.security.fuzzed_app import REGISTRY
from tests.support.azurite import azurite
from tests.support.function_host import BASE, FunctionHost, function_host

__all__ = ["azurite"]

KEYS = ("the key of these tests",)
VERBS = {
    "statusQueryGetUri": "GET",
    "sendEventPostUri": "POST",
    "terminatePostUri": "POST",
    "cancelPostUri": "POST",
    "suspendPostUri": "POST",
    "resumePostUri": "POST",
    "purgeHistoryDeleteUri": "DELETE",
}


@pytest.fixture(params=["memory", "azurite"])
async def host(request: pytest.FixtureRequest) -> AsyncIterator[FunctionHost]:
    settings = Settings(store=":memory:", signing_keys=KEYS)
    if request.param == "azurite":
        emulator: Azurite = request.getfixturevalue("azurite")
        hub, connection = "t" + uuid4().hex[:12], {"": emulator.connection_string}
        settings = Settings(hub=hub, connection=connection, signing_keys=KEYS)
    async with function_host(REGISTRY, settings) as running:
        yield running


def buy() -> func.HttpRequest:
    return func.HttpRequest("POST", f"{BASE.removesuffix('/durabletask')}/buy", body=b"")


async def uris_of(host: FunctionHost, how: str, instance_id: str) -> dict[str, Any]:
    """The payload, by each of the ways in which callers get one."""
    client = await host.durable.client()
    match how:
        case "http":
            return (await host.call("POST", f"orchestrators/waits/{instance_id}")).json()
        case "key":
            headers = {"Idempotency-Key": instance_id}
            await host.call("POST", "orchestrators/waits", None, **headers)
            return (await host.call("POST", "orchestrators/waits", None, **headers)).json()
        case "wait":
            return (await host.call("POST", f"orchestrators/waits/{instance_id}?timeout=0.01")).json()
        case "starter":
            started = await client.start_new("waits", instance_id)
            return host.durable.create_http_management_payload(buy(), started)
        case _:
            await client.start_new("waits", instance_id)
            execution_id = (await client.get_status(instance_id)).execution_id
            return host.durable.create_http_management_payload(buy(), instance_id, execution_id=execution_id)


async def end(host: FunctionHost, instance_id: str) -> None:
    assert (await host.call("POST", f"instances/{instance_id}/terminate")).status == 202
    await host.drain()


@pytest.mark.parametrize("how", ["http", "key", "wait", "starter", "explicit"])
async def test_after_a_purge_and_a_restart_of_the_id_its_old_urls_are_gone(host: FunctionHost, how: str) -> None:
    old = await uris_of(host, how, "o-1")
    location = (await host.call("GET", "instances/o-1")).headers["Location"]
    assert (await host.call("GET", old["statusQueryGetUri"])).status == 202
    await end(host, "o-1")
    assert (await host.call("DELETE", old["purgeHistoryDeleteUri"])).status == 200
    assert (await host.call("GET", old["statusQueryGetUri"])).status == 404, "as any instance that is not there"
    new = await uris_of(host, how, "o-1")
    await host.drain()
    for key, method in {**VERBS, "location": "GET"}.items():
        uri = location if key == "location" else old[key].replace("{eventName}", "Go")
        answer = await host.call(method, uri)
        assert (answer.status, answer.json()["error"]["code"]) == (410, "CapabilityGone"), key
    await host.drain()
    assert (await host.call("GET", new["statusQueryGetUri"])).json()["runtimeStatus"] == "Running", "nobody touched it"


async def test_urls_of_an_id_alone_stand_for_whatever_has_that_id(host: FunctionHost) -> None:
    payload = host.durable.create_http_management_payload(buy(), "o-1")
    assert (await host.call("GET", payload["statusQueryGetUri"])).status == 404
    await (await host.durable.client()).start_new("waits", "o-1")
    assert (await host.call("GET", payload["statusQueryGetUri"])).status == 202


async def test_a_url_for_one_event_delivers_one_event_however_many_post_at_once(host: FunctionHost) -> None:
    client = await host.durable.client()
    started = await client.start_new("waits", "o-1")
    url = await host.durable.create_event_url(buy(), started, "Go")
    answers = await asyncio.gather(*(host.call("POST", url, number) for number in range(5)))
    assert sorted(answer.status for answer in answers) == [202, 410, 410, 410, 410]
    winner = next(number for number, answer in enumerate(answers) if answer.status == 202)
    history = await client.get_status("o-1", show_history=True)
    assert not history.is_terminal
    await host.drain()
    status = await client.get_status("o-1", show_history=True, show_history_output=True)
    assert status.output == winner
    raised = [event for event in status.history_events or [] if event["EventType"] == "EventRaised"]
    assert len(raised) == 1
    assert (await host.call("POST", url, 9)).status == 410


async def test_a_url_for_one_event_can_be_made_for_a_plain_id_and_not_for_one_that_is_not_there(
    host: FunctionHost,
) -> None:
    await (await host.durable.client()).start_new("waits", "o-1")
    url = await host.durable.create_event_url(buy(), "o-1", "Go")
    assert (await host.call("POST", url, 1)).status == 202
    assert (await host.call("POST", url, 1)).status == 410
    with pytest.raises(InstanceNotFoundError):
        await host.durable.create_event_url(buy(), "nobody", "Go")


async def test_the_id_of_a_start_is_the_text_it_looks_like(host: FunctionHost) -> None:
    client = await host.durable.client()
    started = await client.start_new("waits", "o-1")
    again = await client.start_new("waits", "o-1", if_exists="return")
    assert started == again == "o-1"
    assert execution_of(started) == execution_of(again) == (await client.get_status("o-1")).execution_id != ""
    assert execution_of("o-1") == ""
    await client.suspend(started)
    await client.resume(started)
    await client.raise_event(started, "Go", {"of": started})
    await host.drain()
    assert (await client.get_status(started)).output == {"of": "o-1"}
    assert await client.purge_instance_history(StartedInstance("o-1", "another")) == 1, "only its text counts"


async def test_a_key_that_is_taken_away_takes_its_urls_along() -> None:
    old, new = "the key of last year", "the key of this year"

    async def status_of(url: str, *keys: str) -> int:
        settings = Settings(store=":memory:", signing_keys=keys)
        async with function_host(REGISTRY, settings) as host:
            await (await host.durable.client()).start_new("waits", "o-1")
            return (await host.call("GET", url)).status

    async with function_host(REGISTRY, Settings(store=":memory:", signing_keys=(old,))) as host:
        url = host.durable.create_http_management_payload(buy(), "o-1")["statusQueryGetUri"]
    assert [await status_of(url, old), await status_of(url, new, old), await status_of(url, new)] == [202, 202, 401]
