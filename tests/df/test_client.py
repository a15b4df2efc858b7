"""The client of Durable Functions: its results, and the texts that callers parse."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest

import durable_core.df as df
from durable_core.hosting.signed_urls import STEADY_FOR, CapabilitySigner, Verb
from tests.df.apps import make_app, served
from tests.support.function_host import ORIGIN, FunctionHost

MISSING = "11111111111111111111111111111111"


def request(url: str = f"{ORIGIN}/api/start") -> func.HttpRequest:
    return func.HttpRequest("POST", url, body=b"")


async def started(host: FunctionHost, client: df.DurableOrchestrationClient, name: str, value: Any = None) -> str:
    instance_id = await client.start_new(name, None, value)
    await host.drain()
    return instance_id


async def test_a_start_is_answered_as_in_durable_functions(host: FunctionHost) -> None:
    answer = await host.call("POST", f"{ORIGIN}/api/start/greet", "Ann")
    assert (answer.status, answer.headers["Retry-After"]) == (202, "10")
    assert answer.headers["Content-Type"] == "application/json"
    links = answer.json()
    assert answer.headers["Location"] == links["statusQueryGetUri"]
    assert set(links) == {
        "id",
        "statusQueryGetUri",
        "sendEventPostUri",
        "terminatePostUri",
        "cancelPostUri",
        "rewindPostUri",
        "purgeHistoryDeleteUri",
        "restartPostUri",
        "suspendPostUri",
        "resumePostUri",
    }
    await host.drain()
    status = (await host.call("GET", links["statusQueryGetUri"])).json()
    assert (status["runtimeStatus"], status["output"], status["input"]) == ("Completed", "Hello Ann", "Ann")


async def test_each_link_works(host: FunctionHost, client: df.DurableOrchestrationClient) -> None:
    instance_id = await started(host, client, "wait")
    links = client.create_check_status_response(request(), instance_id)
    urls = json.loads(links.get_body())
    for name, text in (("suspendPostUri", "Suspended"), ("resumePostUri", "Running")):
        assert (await host.call("POST", urls[name].replace("{text}", "why"))).status == 202
        await host.drain()
        assert (await host.call("GET", urls["statusQueryGetUri"])).json()["runtimeStatus"] == text
    assert (await host.call("POST", urls["sendEventPostUri"].replace("{eventName}", "go"), 7)).status == 202
    await host.drain()
    assert (await host.call("GET", urls["statusQueryGetUri"])).json()["output"] == 7
    assert (await host.call("POST", urls["restartPostUri"])).status in (200, 202)

    failed = await started(host, client, "fail")
    urls = client.get_client_response_links(request(), failed)
    assert (await host.call("POST", urls["rewindPostUri"].replace("{text}", "again"))).status in (200, 202)
    await host.drain()
    waiting = await started(host, client, "wait")
    urls = client.get_client_response_links(request(), waiting)
    assert (await host.call("POST", urls["terminatePostUri"].replace("{text}", "enough"))).status == 202
    await host.drain()
    assert (await client.get_status(waiting)).output == "enough"
    assert (await host.call("DELETE", urls["purgeHistoryDeleteUri"])).status == 200
    assert not await client.get_status(waiting)


async def test_two_calls_for_one_instance_give_the_same_links(client: df.DurableOrchestrationClient) -> None:
    instance_id = await client.start_new("wait")
    one = client.create_check_status_response(request(), instance_id).get_body()
    two = client.create_check_status_response(request(), f"{instance_id}").get_body()
    assert one == two
    assert json.loads(one)["id"] == instance_id
    other = client.get_client_response_links(request("https://shop.example/api/x"), instance_id)
    assert other["statusQueryGetUri"].startswith("https://shop.example/api/durabletask/c/")


def test_steady_links_change_seldom_and_live_at_least_as_long_as_others() -> None:
    now = 1_800_000_000.0
    signer = CapabilitySigner([b"key"], clock=lambda: now)

    def issued() -> tuple[str, float]:
        token = signer.issue_each("i", [Verb.STATUS], steady=True)[0]
        return token, signer.verify(token).expires_at - now

    tokens: dict[str, float] = {}
    for _ in range(120):
        token, left = issued()
        assert 90 * 86400 <= left <= (90 * 86400) + STEADY_FOR.total_seconds()
        tokens.setdefault(token, left)
        now += 86400
    assert len(tokens) in (4, 5)
    unlike = {signer.issue_each("i", [Verb.STATUS])[0] for _ in range(2)}
    assert len(unlike) == 2


async def test_links_without_a_request_have_the_address_of_the_app(
    client: df.DurableOrchestrationClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSITE_HOSTNAME", "shop.azurewebsites.net")
    links = client.create_http_management_payload("i-1")
    assert links["id"] == "i-1"
    assert links["statusQueryGetUri"].startswith("https://shop.azurewebsites.net/api/durabletask/c/")


async def test_a_status_has_the_properties_and_the_json_of_durable_functions(
    host: FunctionHost, client: df.DurableOrchestrationClient
) -> None:
    instance_id = await started(host, client, "greet", "Ann")
    status = await client.get_status(instance_id)
    assert status
    assert (status.name, status.instance_id, status.output) == ("greet", instance_id, "Hello Ann")
    assert (status.input_, status.custom_status, status.history) == (None, None, None)
    assert status.runtime_status is df.OrchestrationRuntimeStatus.Completed
    assert status.created_time is not None and status.created_time.utcoffset() == timedelta(0)
    shown = status.to_json()
    assert list(shown) == [
        *("name", "instanceId", "createdTime", "lastUpdatedTime", "output", "input", "runtimeStatus"),
        *("customStatus", "history"),
    ]
    assert shown["runtimeStatus"] == "Completed"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", shown["createdTime"])
    with_all = await client.get_status(instance_id, True, True, True)
    assert with_all.input_ == "Ann"
    assert with_all.history and with_all.history[0]["EventType"] == "OrchestratorStarted"


async def test_the_status_of_no_instance_is_falsy(client: df.DurableOrchestrationClient) -> None:
    status = await client.get_status(MISSING)
    assert not status
    assert (status.runtime_status, status.created_time, status.name) == (None, None, None)
    assert status.to_json()["createdTime"] is None


async def test_a_failed_instance_has_the_text_of_its_failure_as_output(
    host: FunctionHost, client: df.DurableOrchestrationClient
) -> None:
    failed = await started(host, client, "fail")
    status = await client.get_status(failed)
    assert status.runtime_status is df.OrchestrationRuntimeStatus.Failed
    link = client.get_client_response_links(request(), failed)["statusQueryGetUri"]
    shown = (await host.call("GET", link)).json()
    assert shown["output"] == status.output
    assert shown["failure"]["type"] == "durable_core.errors.ActivityFailedError"
    assert status.output.startswith(
        "Orchestrator function 'fail' failed: Activity function 'hello' failed:  ValueError: no name \n {"
    )


async def test_both_spellings_of_statuses_filter(host: FunctionHost, client: df.DurableOrchestrationClient) -> None:
    done, waiting = await started(host, client, "greet", "Ann"), await started(host, client, "wait")
    statuses = df.OrchestrationRuntimeStatus
    for completed in ([statuses.Completed], [statuses.COMPLETED], ["Completed"], statuses.Completed):
        found = await client.get_status_by(runtime_status=completed)  # pyright: ignore[reportArgumentType]
        assert [status.instance_id for status in found] == [done]
    unended = [statuses.Running, statuses.Pending, statuses.ContinuedAsNew]
    assert [each.instance_id for each in await client.get_status_by(runtime_status=unended)] == [waiting]
    everything = await client.get_status_all()
    assert json.loads(json.dumps([each.to_json() for each in everything]))[0]["runtimeStatus"] in (
        "Completed",
        "Running",
    )
    assert {status.instance_id for status in everything} == {done, waiting}
    assert [each.instance_id for each in await client.get_status_by(instance_id_prefix=waiting[:9])] == [waiting]
    long_ago = datetime(2000, 1, 1)
    assert await client.get_status_by(created_time_to=long_ago) == []
    assert len(await client.get_status_by(long_ago, datetime.now(UTC) + timedelta(days=1), [])) == 2


def test_statuses_are_written_as_in_durable_functions() -> None:
    status = df.OrchestrationRuntimeStatus.Completed
    assert (status.name, status.value, f"{status.name}") == ("Completed", "Completed", "Completed")
    assert str(status) == "OrchestrationRuntimeStatus.Completed"
    assert json.dumps(status) == '"Completed"'
    assert {each.name for each in df.OrchestrationRuntimeStatus} == {
        *("Running", "Completed", "ContinuedAsNew", "Failed", "Canceled", "Terminated", "Pending", "Suspended")
    }


async def test_starts_are_refused_with_the_texts_of_durable_functions(
    host: FunctionHost, client: df.DurableOrchestrationClient
) -> None:
    with pytest.raises(Exception, match=r"^The function 'nope' doesn't exist, is disabled, or is not an orchestrator"):
        await client.start_new("nope")
    await client.start_new("wait", "one")
    await host.drain()
    with pytest.raises(Exception, match=r"^An Orchestration instance with the status Running already exists\.$"):
        await client.start_new("wait", "one")
    await client.terminate("one", "enough")
    await host.drain()
    assert await client.start_new("greet", "one", "Bob") == "one"
    await host.drain()
    assert (await client.get_status("one")).output == "Hello Bob"


async def test_requests_are_refused_with_the_texts_of_durable_functions(
    host: FunctionHost, client: df.DurableOrchestrationClient
) -> None:
    done = await started(host, client, "greet", "Ann")
    with pytest.raises(ValueError, match=r"^event_name must be a non-empty string\.$"):
        await client.raise_event(done, "")
    with pytest.raises(Exception, match=f"^No instance with ID {MISSING} found\\.$"):
        await client.raise_event(MISSING, "go")
    with pytest.raises(Exception, match=f"^Instance with ID {done} is gone: either completed or failed$"):
        await client.raise_event(done, "go")
    for act in (client.terminate, client.suspend, client.resume):
        with pytest.raises(Exception, match=f"^No instance with ID '{MISSING}' found\\.$"):
            await act(MISSING, "why")
        await act(done, "why")
    assert (await client.get_status(done)).runtime_status is df.OrchestrationRuntimeStatus.Completed


async def test_rewind_and_restart_work_and_refuse_with_the_texts_of_durable_functions(
    host: FunctionHost, client: df.DurableOrchestrationClient
) -> None:
    done, failed = await started(host, client, "greet", "Ann"), await started(host, client, "fail")
    with pytest.raises(Exception, match=f"^No instance with ID {MISSING} found\\.$"):
        await client.rewind(MISSING, "why")
    with pytest.raises(Exception, match=r"^The rewind operation is only supported on failed orchestration instances"):
        await client.rewind(done, "why")
    await client.rewind(failed, "why")
    await host.drain()
    history = (await client.get_status(failed, show_history=True)).history
    assert history and "ExecutionRewound" in {event["EventType"] for event in history}
    with pytest.raises(Exception, match=f"^No instance with ID '{MISSING}' found\\.$"):
        await client.restart(MISSING)
    again = await client.restart(done)
    assert again != done
    assert await client.restart(done, False) == done
    await host.drain()
    assert [(await client.get_status(each)).output for each in (again, done)] == ["Hello Ann"] * 2
    waiting = await started(host, client, "wait")
    with pytest.raises(Exception, match=r"has not ended|is Running"):
        await client.restart(waiting, restart_with_new_instance_id=False)


async def test_a_purge_tells_how_many_instances_it_has_deleted(
    host: FunctionHost, client: df.DurableOrchestrationClient
) -> None:
    one, _ = await started(host, client, "greet", "a"), await started(host, client, "greet", "b")
    assert (await client.purge_instance_history(MISSING)).instances_deleted == 0
    assert (await client.purge_instance_history(one)).instances_deleted == 1
    with pytest.raises(ValueError, match=r"^created_time_from is required when purging instance history$"):
        await client.purge_instance_history_by()
    purged = await client.purge_instance_history_by(
        datetime(2000, 1, 1), None, [df.OrchestrationRuntimeStatus.Completed]
    )
    assert purged.instances_deleted == 1


async def test_waiting_for_the_end_answers_with_the_output_the_status_or_the_links(
    host: FunctionHost, client: df.DurableOrchestrationClient
) -> None:
    wait = client.wait_for_completion_or_create_check_status_response
    done, failed = await started(host, client, "greet", "Ann"), await started(host, client, "fail")
    waiting = await started(host, client, "wait")
    answer = await wait(request(), done)
    assert (answer.status_code, answer.get_body(), answer.mimetype) == (200, b"Hello Ann", "application/json")
    answer = await wait(request(), failed)
    assert (answer.status_code, json.loads(answer.get_body())["runtimeStatus"]) == (500, "Failed")
    answer = await wait(request(), waiting, 20, 10)
    assert (answer.status_code, json.loads(answer.get_body())["id"]) == (202, waiting)
    await client.terminate(waiting, "enough")
    await host.drain()
    answer = await wait(request(), waiting)
    assert (answer.status_code, json.loads(answer.get_body())["output"]) == (200, "enough")
    with pytest.raises(Exception, match=r"^Total timeout 10 \(ms\) should be bigger than retry timeout 20 \(ms\)$"):
        await wait(request(), waiting, 10, 20)


async def test_another_task_hub_or_storage_is_refused(
    host: FunctionHost, client: df.DurableOrchestrationClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.task_hub_name == "dfhub"
    waiting = await started(host, client, "wait")
    await client.raise_event(waiting, "go", 1, "dfhub", "Storage")
    again = await started(host, client, "wait")
    monkeypatch.setenv("PLACE", "DfHub")
    await client.raise_event(again, "go", 1, "%PLACE%", "AzureWebJobsStorage")
    with pytest.raises(ValueError, match="the app has the task hub 'dfhub', and durable_core reaches no other one"):
        await client.raise_event(waiting, "go", 1, "other")
    with pytest.raises(ValueError, match="reaches no other one, such as that of 'OtherStorage'"):
        await client.rewind(waiting, "why", connection_name="OtherStorage")


async def test_a_plain_client_function_may_run_the_client_in_its_own_loop() -> None:
    app = make_app()

    @app.route(route="plain", methods=["POST"])
    @app.durable_client_input(client_name="client")
    def plain(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        instance_id = asyncio.run(client.start_new("greet", None, "Eve"))
        return client.create_check_status_response(req, instance_id)

    assert plain
    async with served(app) as host:
        links = (await host.call("POST", f"{ORIGIN}/api/plain")).json()
        await host.drain()
        assert (await host.call("GET", links["statusQueryGetUri"])).json()["output"] == "Hello Eve"
