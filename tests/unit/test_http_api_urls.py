"""The URLs that the management API hands out, and how it behaves on the web."""

from __future__ import annotations

from dataclasses import replace

import pytest

from durable_core.errors import StorageUnavailableError
from durable_core.hosting.http_bodies import create_http_management_payload
from durable_core.hosting.http_types import HttpRequest
from durable_core.hosting.signed_urls import Verb
from durable_core.models import RuntimeStatus
from tests.support.http_world import BASE, World, error


@pytest.fixture
def world() -> World:
    return World()


# ---------------------------------------------------------------- capability URLs


async def test_every_uri_of_the_payload_does_what_its_name_says(world: World) -> None:
    payload = await world.payload("o-1")
    assert (await world.call("GET", payload["statusQueryGetUri"])).json()["instanceId"] == "o-1"
    event_uri = payload["sendEventPostUri"].replace("{eventName}", "go")
    assert (await world.call("POST", event_uri, 7)).status == 202
    assert (await world.call("POST", payload["suspendPostUri"].replace("{text}", "lunch"))).status == 202
    assert (await world.call("POST", payload["resumePostUri"])).status == 202
    assert (await world.call("POST", payload["cancelPostUri"].replace("{text}", "no"))).status == 202
    assert (await world.call("POST", payload["terminatePostUri"].replace("{text}", "enough"))).status == 202
    assert world.client.calls == [
        ("event", "o-1", "go", 7),
        ("suspend", "o-1", "lunch"),
        ("resume", "o-1", ""),
        ("cancel", "o-1", "no"),
        ("terminate", "o-1", "enough"),
    ]
    assert (await world.call("POST", payload["restartPostUri"], {"input": 7})).status == 403
    assert (await world.call("POST", payload["restartPostUri"])).json()["id"] == "o-1-again"
    world.client.add("o-1", RuntimeStatus.TERMINATED)
    assert (await world.call("POST", payload["rewindPostUri"])).json()["cutBefore"] == 2
    assert (await world.call("DELETE", payload["purgeHistoryDeleteUri"])).json() == {"instancesDeleted": 1}
    assert (await world.call("GET", payload["statusQueryGetUri"])).status == 404


async def test_a_status_uri_points_to_itself_while_the_instance_runs(world: World) -> None:
    uri = (await world.payload("o-1"))["statusQueryGetUri"] + "?showInput=false"
    response = await world.call("GET", uri)
    assert (response.status, response.headers["Location"]) == (202, uri)


async def test_a_token_opens_its_own_verb_only(world: World) -> None:
    payload = await world.payload("o-1")
    for key, uri in payload.items():
        for method in ("GET", "POST", "DELETE"):
            fits = method == {"statusQueryGetUri": "GET", "purgeHistoryDeleteUri": "DELETE"}.get(key, "POST")
            if key != "id" and not fits:
                response = await world.call(method, uri)
                assert response.status == 405
                assert method not in response.headers["Allow"]
    assert not world.client.calls
    for key in ("terminatePostUri", "suspendPostUri", "resumePostUri"):
        uri = payload[key].partition("?")[0] + "/go"
        assert (await world.call("POST", uri)).status == 404
    assert not world.client.calls


async def test_a_token_opens_its_own_instance_only(world: World) -> None:
    world.client.add("o-2")
    uri = (await world.payload("o-1"))["terminatePostUri"]
    assert (await world.call("POST", f"{uri}&instanceId=o-2")).status == 400
    assert not world.client.calls
    await world.call("POST", uri)
    assert world.client.calls == [("terminate", "o-1", "")]


@pytest.mark.parametrize("asked", ["showHistory=true", "showInput=true", "showHistory=1&showHistoryOutput=true"])
async def test_a_status_uri_shows_neither_input_nor_history(world: World, asked: str) -> None:
    world.client.add("o-1")
    uri = create_http_management_payload(world.signer, "o-1", BASE)["statusQueryGetUri"]
    response = await world.call("GET", f"{uri}?{asked}")
    assert (response.status, error(response)["code"]) == (403, "CapabilityRefused")
    assert "details=True" in error(response)["message"]
    shown = (await world.call("GET", uri)).json()
    assert shown["input"] is None
    assert "historyEvents" not in shown


async def test_a_status_uri_that_is_made_for_details_shows_them(world: World) -> None:
    world.client.add("o-1")
    made = create_http_management_payload(world.signer, "o-1", BASE, details=True)
    shown = (await world.call("GET", made["statusQueryGetUri"] + "?showHistory=true")).json()
    assert shown["input"] is not None
    assert "historyEvents" in shown


@pytest.mark.parametrize(("asked", "input_shown"), [("showHistory=true", True), ("showInput=true", True), ("", False)])
async def test_a_caller_with_a_key_is_sent_to_a_url_that_shows_what_it_asked_for(
    world: World, asked: str, input_shown: bool
) -> None:
    world.client.add("o-1")
    first = await world.call("GET", f"instances/o-1?{asked}")
    assert first.json()["input"] is not None
    followed = await world.call("GET", first.headers["Location"])
    assert followed.status == 202
    assert (followed.json()["input"] is not None) is input_shown


async def test_a_forged_token_is_401(world: World) -> None:
    uri = (await world.payload("o-1"))["statusQueryGetUri"]
    for forged in (uri[:-1] + ("A" if uri[-1] != "A" else "B"), f"{BASE}/c/nonsense"):
        response = await world.call("GET", forged)
        assert (response.status, error(response)["code"]) == (401, "CapabilityRefused")


async def test_a_status_uri_works_for_weeks_and_an_expired_one_is_401(world: World) -> None:
    uri = (await world.payload("o-1"))["statusQueryGetUri"]
    world.now += 60 * 24 * 3600
    assert (await world.call("GET", uri)).status == 202
    world.now += 31 * 24 * 3600
    assert (await world.call("GET", uri)).status == 401


async def test_a_token_for_one_event_sends_no_other(world: World) -> None:
    world.client.add("o-1")
    token = world.signer.issue("o-1", Verb.EVENT, event_name="Approval")
    assert (await world.call("POST", f"c/{token}/payment")).status == 401
    assert (await world.call("POST", f"c/{token}/approval", {"ok": True})).status == 202
    assert world.client.calls == [("event", "o-1", "Approval", {"ok": True})]


async def test_a_token_for_one_event_works_once_and_one_for_any_event_until_it_expires(world: World) -> None:
    any_event = (await world.payload("o-1"))["sendEventPostUri"].replace("{eventName}", "Item")
    one_event = "c/" + world.signer.issue("o-1", Verb.EVENT, event_name="Approval")
    for uri, second in ((any_event, 202), (one_event, 410)):
        assert (await world.call("POST", uri)).status == 202
        assert (await world.call("POST", uri)).status == second
    assert len(world.client.calls) == 3


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb not in (Verb.CALLBACK, Verb.STREAM)])
async def test_the_uris_of_a_purged_and_restarted_instance_are_410(world: World, verb: Verb) -> None:
    payload = await world.payload("o-1")
    world.client.add("o-1", execution_id="x2")
    uris = {world.signer.verify(_token(uri)).verb: uri for name, uri in payload.items() if name != "id"}
    uris[Verb.DETAILS] = f"{BASE}/c/" + world.signer.issue("o-1", Verb.DETAILS, execution_id="x1")
    uris[Verb.VIEW] = f"{BASE}/c/" + world.signer.issue("o-1", Verb.VIEW, execution_id="x1") + "/status"
    uri = uris[verb]
    method = {Verb.STATUS: "GET", Verb.DETAILS: "GET", Verb.VIEW: "GET", Verb.PURGE: "DELETE"}.get(verb, "POST")
    response = await world.call(method, uri.replace("{eventName}", "go"))
    assert (response.status, error(response)["code"]) == (410, "CapabilityGone")
    assert not world.client.calls


def _token(uri: str) -> str:
    return uri.partition("/c/")[2].partition("?")[0].partition("/")[0]


async def test_an_event_uri_whose_placeholder_was_not_replaced_is_400(world: World) -> None:
    uri = (await world.payload("o-1"))["sendEventPostUri"]
    assert (await world.call("POST", uri)).status == 400
    assert (await world.call("POST", uri.removesuffix("/{eventName}"))).status == 400
    assert not world.client.calls


async def test_a_token_of_one_execution_is_410_in_the_next(world: World) -> None:
    world.client.add("o-1")
    token = world.signer.issue("o-1", Verb.EVENT, execution_id="x1")
    assert (await world.call("POST", f"c/{token}/go")).status == 202
    world.client.instances["o-1"] = replace(world.client.instances["o-1"], execution_id="x2")
    response = await world.call("POST", f"c/{token}/go")
    assert (response.status, error(response)["code"]) == (410, "CapabilityGone")
    assert len(world.client.calls) == 1


# ---------------------------------------------------------------- the web around it


@pytest.mark.parametrize(
    ("headers", "origin"),
    [
        ({}, "http://10.0.0.4:8080"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example"}, "https://shop.example"),
        ({"X-Forwarded-Proto": "https,http", "X-Forwarded-Host": "shop.example, inner"}, "https://shop.example"),
        ({"X-Forwarded-Proto": "https"}, "https://10.0.0.4:8080"),
        ({"X-Forwarded-Host": "[2001:db8::1]:8443"}, "http://[2001:db8::1]:8443"),
        ({"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": "evil.example/path?"}, "http://10.0.0.4:8080"),
    ],
)
async def test_uris_are_those_that_the_caller_can_reach(world: World, headers: dict[str, str], origin: str) -> None:
    url = "http://10.0.0.4:8080/v1/durabletask/orchestrators/order"
    response = await world.call("POST", url, headers=headers)
    assert response.headers["Location"].startswith(f"{origin}/v1/durabletask/c/")


async def test_an_app_without_a_route_prefix_hands_out_uris_without_one(world: World) -> None:
    response = await world.call("POST", "http://localhost:7071/durabletask/orchestrators/order")
    assert response.headers["Location"].startswith("http://localhost:7071/durabletask/c/")


async def test_no_answer_is_kept_by_a_cache(world: World) -> None:
    world.client.add("o-1")
    for path in ("instances", "instances/o-1", "instances/nobody"):
        assert (await world.call("GET", path)).headers["Cache-Control"] == "no-store"


async def test_storage_that_does_not_answer_is_503_and_worth_a_retry(world: World) -> None:
    world.client.broken = StorageUnavailableError("10.1.2.3 timed out")
    response = await world.call("GET", "instances/o-1")
    assert response.status == 503
    assert "Retry-After" in response.headers
    assert b"10.1.2.3" not in response.body


async def test_a_fault_of_ours_is_500_in_the_log_and_not_in_the_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.client.broken = KeyError("password=hunter2")
    response = await world.call("GET", "instances/o-1")
    assert (response.status, error(response)["code"]) == (500, "InternalError")
    assert b"hunter2" not in response.body
    assert "hunter2" in caplog.text


async def test_a_method_that_a_route_does_not_have_is_405(world: World) -> None:
    response = await world.call("GET", "orchestrators/order")
    assert (response.status, response.headers["Allow"]) == (405, "POST")


def test_the_last_of_a_repeated_parameter_counts_and_names_ignore_case() -> None:
    request = HttpRequest.of("GET", f"{BASE}/instances?Top=1&top=2", more_query={"top": "1,2", "showinput": "false"})
    assert request.count("top", 100) == 2
    assert request.flag("showInput", True) is False
