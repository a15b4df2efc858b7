"""The keyed routes of the management API: what each answers, and every refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from durable_core import Debounce, Deduplicate
from durable_core.hosting.http_api import Endpoint
from durable_core.hosting.http_types import HttpRequest
from durable_core.limits import asked_of
from durable_core.models import FailureDetails, RuntimeStatus
from durable_core.runtime.schedules.client import ScheduleStatus
from tests.support.http_world import BASE, CREATED, LIMIT, World, error


@pytest.fixture
def world() -> World:
    return World()


# ---------------------------------------------------------------- start


async def test_a_start_answers_202_with_the_payload_and_where_to_look(world: World) -> None:
    response = await world.call("POST", "orchestrators/order", {"item": "tea"})
    payload = response.json()
    assert response.status == 202
    assert list(payload) == [
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
    ]
    assert all(uri.startswith(f"{BASE}/c/") for key, uri in payload.items() if key != "id")
    assert response.headers["Location"] == payload["statusQueryGetUri"]
    assert int(response.headers["Retry-After"]) >= 1
    assert world.client.instances[payload["id"]].input_ == {"item": "tea"}


async def test_the_path_names_the_instance(world: World) -> None:
    assert (await world.call("POST", "orchestrators/order/o-1")).json()["id"] == "o-1"
    assert world.client.instances["o-1"].input_ is None


async def test_an_unknown_orchestrator_is_400_and_lists_those_that_exist(world: World) -> None:
    response = await world.call("POST", "orchestrators/ordre")
    assert response.status == 400
    assert error(response)["code"] == "UnknownOrchestrator"
    assert "approval, order" in error(response)["message"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"'a'", b"\xff\xfe", b"NaN", b'{"a": Infinity}', b'"\\ud800"', b"[" * 900, b"1" * 900 + b"e"],
)
async def test_a_body_that_is_no_json_is_400(world: World, body: bytes) -> None:
    response = await world.call("POST", "orchestrators/order", body)
    assert (response.status, error(response)["code"]) == (400, "InvalidInput")
    assert not world.client.instances


async def test_json_with_any_text_in_it_is_taken_as_it_is(world: World) -> None:
    for body in (b'"\\ud83d\\ude00 \xc3\xa9"', b'\xef\xbb\xbf"\xf0\x9f\x98\x80 \xc3\xa9"'):
        instance_id = (await world.call("POST", "orchestrators/order", body)).json()["id"]
        assert world.client.instances[instance_id].input_ == "😀 é"


async def test_input_that_the_model_refuses_is_400_with_a_problem_per_field(world: World) -> None:
    response = await world.call("POST", "orchestrators/order", {"item": 1})
    assert response.status == 400
    assert error(response)["problems"] == ["item: Input should be a valid string"]


@pytest.mark.parametrize("instance_id", ["a#b", "a?b", "a\\b", "a/b", "a\x7fb", "x" * 257])
@pytest.mark.parametrize(
    ("method", "endpoint"),
    [
        (method, endpoint)
        for endpoint in Endpoint
        for method in endpoint.value.methods
        if "{inst" in endpoint.value.template
    ],
)
async def test_an_impossible_instance_id_is_400_on_every_route(
    world: World, instance_id: str, method: str, endpoint: Endpoint
) -> None:
    route = {"name": "order", "instanceId": instance_id, "eventName": "go", "operation": "suspend", "queryName": "q"}
    route["updateName"] = "u"
    request = HttpRequest.of(method, f"{BASE}/somewhere/{quote(instance_id, safe='')}", route=route)
    response = await world.api.handle(endpoint, request)
    assert (response.status, error(response)["code"]) == (400, "InvalidInstanceId")


async def test_an_id_in_use_is_409(world: World) -> None:
    world.client.add("o-1")
    response = await world.call("POST", "orchestrators/order/o-1")
    assert (response.status, error(response)["code"]) == (409, "InstanceAlreadyExists")


async def test_a_body_over_the_limit_is_413_and_starts_nothing(world: World) -> None:
    response = await world.call("POST", "orchestrators/order", "x" * LIMIT)
    assert (response.status, error(response)["code"]) == (413, "PayloadTooLarge")
    assert not world.client.instances


async def test_the_key_of_a_start_goes_to_the_client(world: World) -> None:
    await world.call("POST", "orchestrators/order?debounce=d%201&debouncePeriod=1.5&debounceMaxWait=60")
    await world.call("POST", "orchestrators/order?deduplicate=w&deduplicateWindow=3600")
    await world.call("POST", "orchestrators/order?deduplicate=w&deduplicateWindow=1e300")
    keyed = [call[3] for call in world.client.calls]
    debounce = Debounce(key="d 1", period=timedelta(seconds=1.5), max_wait=timedelta(minutes=1))
    assert keyed[:2] == [{"debounce": debounce}, {"deduplicate": Deduplicate(key="w", window=timedelta(hours=1))}]
    assert len(keyed) == 3


async def test_the_times_and_tags_of_a_start_go_to_the_client(world: World) -> None:
    query = "tags=shop:berlin&tags=kind=a=b&startAt=2030-01-31T12:00:00Z&runTimeout=90&ifExists=restart_if_done"
    await world.call("POST", f"orchestrators/order/o-1?{query}")
    assert world.client.calls == [
        (
            "start",
            "order",
            "o-1",
            {
                "tags": {"shop": "berlin", "kind": "a=b"},
                "start_at": datetime(2030, 1, 31, 12, tzinfo=UTC),
                "timeout": timedelta(seconds=90),
                "if_exists": "restart_if_done",
            },
        )
    ]


async def test_the_limit_of_a_start_goes_to_the_client(world: World) -> None:
    numbers = "limitConcurrency=2&limitRate=10&limitPer=60&limitEach=1"
    names = "limitKey=t%201&limitGroup=g&limitPriority=-3"
    await world.call("POST", f"orchestrators/order?limit=api&{numbers}&{names}")
    await world.call("POST", "orchestrators/order?limit=api&limitConcurrency=1")
    full, plain = (call[3]["limit"] for call in world.client.calls)
    of_gate = {"slot": "s", "concurrency": 2, "rate": 10, "per": 60.0, "each": 1, "group": "g", "priority": -3}
    assert asked_of(full, "s", {"any": "input"}) == ("@durable.gate@api:t 1", of_gate)
    assert asked_of(plain, "s", None) == ("@durable.gate@api", {"slot": "s", "concurrency": 1})


async def test_a_job_takes_no_limit_beside_that_of_its_activity(world: World) -> None:
    response = await world.call("POST", "jobs/charge?limit=api&limitConcurrency=1")
    assert response.status == 400 and "'limit' is not known to POST" in error(response)["message"]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("debounce=k", "'debouncePeriod' must be given"),
        ("debounce=&debouncePeriod=1", "must be a text that is not empty"),
        ("debounce=k&debouncePeriod=0", "must be positive"),
        ("debounce=k&debouncePeriod=x", "a number of seconds"),
        ("debounce=k&debouncePeriod=5&debounceMaxWait=1", "is below its period"),
        ("debouncePeriod=5", "is for a start with 'debounce'"),
        ("deduplicate=k", "'deduplicateWindow' must be given"),
        ("deduplicateWindow=5", "is for a start with 'deduplicate'"),
        (f"deduplicate={'k' * 4001}&deduplicateWindow=5", "at most 4,000 characters"),
        ("limit=api", "limits nothing"),
        ("limit=&limitConcurrency=1", "cannot name a limit"),
        ("limit=a%20b&limitConcurrency=1", "cannot name a limit"),
        ("limitConcurrency=1", "is for a start with 'limit', which is the name of the limit"),
        ("limit=api&limitConcurrency=0", "'limitConcurrency' must be a whole number, 1 or more"),
        ("limit=api&limitEach=x", "'limitEach' must be a whole number, 1 or more"),
        ("limit=api&limitRate=1001", "is above 1000"),
        ("limit=api&limitRate=1&limitPer=0", "must be positive"),
        ("limit=api&limitConcurrency=1&limitPer=5", "is the period of 'limitRate', which is missing"),
        ("limit=api&limitConcurrency=1&limitKey=", "'limitKey' is empty"),
        ("limit=api&limitConcurrency=1&limitGroup=", "'limitGroup' is empty"),
        (f"limit=api&limitConcurrency=1&limitKey={'k' * 4001}", "at most 4,000 characters"),
        ("limit=api&limitConcurrency=1&limitPriority=high", "'limitPriority' must be a whole number"),
        ("limit=api&limitConcurrency=1&limitPriority=%C2%B2", "'limitPriority' must be a whole number"),
        ("tags=berlin", "'tags' must be a tag and its value"),
        ("startAt=soon", "'startAt' must be a time in ISO 8601"),
        ("runTimeout=-1", "'runTimeout' must be a number of seconds"),
        ("ifExists=", "'ifExists' must be one of error, return, restart_if_done"),
        ("ifExists=replace", "'ifExists' must be one of error, return, restart_if_done"),
        ("ifExists=return", "give the id in the path"),
    ],
)
async def test_a_wrong_option_of_a_start_is_400_and_starts_nothing(world: World, query: str, problem: str) -> None:
    response = await world.call("POST", f"orchestrators/order?{query}")
    assert response.status == 400
    assert problem in error(response)["message"]
    assert not world.client.instances


async def test_the_same_idempotency_key_finds_the_instance_that_it_started(world: World) -> None:
    headers = {"Idempotency-Key": '"k-1"'}
    first = await world.call("POST", "orchestrators/order", {"item": "tea"}, headers=headers)
    again = await world.call("POST", "orchestrators/order", {"item": "tea"}, headers=headers)
    assert (first.status, again.status) == (202, 202)
    assert first.json()["id"] == again.json()["id"] == "k-1"
    assert len(world.client.instances) == 1


async def test_an_idempotency_key_of_another_orchestrator_is_409(world: World) -> None:
    headers = {"Idempotency-Key": "k-1"}
    await world.call("POST", "orchestrators/order", headers=headers)
    assert (await world.call("POST", "orchestrators/approval", headers=headers)).status == 409


async def test_an_id_in_the_path_wins_over_an_idempotency_key(world: World) -> None:
    headers = {"Idempotency-Key": "k-1"}
    assert (await world.call("POST", "orchestrators/order/o-1", headers=headers)).json()["id"] == "o-1"
    assert (await world.call("POST", "orchestrators/order/o-1", headers=headers)).status == 409


async def test_an_impossible_idempotency_key_is_400_and_names_the_header(world: World) -> None:
    response = await world.call("POST", "orchestrators/order", headers={"Idempotency-Key": "a/b"})
    assert response.status == 400
    assert "Idempotency-Key" in error(response)["message"]


async def test_a_start_that_waits_answers_with_the_result(world: World) -> None:
    world.client.finish = lambda s: replace(s, runtime_status=RuntimeStatus.COMPLETED, output={"shipped": True})
    response = await world.call("POST", "orchestrators/order/o-1?timeout=12.5&pollingInterval=0.5")
    assert (response.status, response.json()) == (200, {"shipped": True})
    assert world.client.calls == [("wait", "o-1", 12.5)]


async def test_a_start_that_waits_in_vain_answers_202_and_says_when_to_ask(world: World) -> None:
    response = await world.call("POST", "orchestrators/order/o-1?timeout=1&pollingInterval=7")
    assert response.status == 202
    assert response.headers["Retry-After"] == "7"


@pytest.mark.parametrize(("query", "status"), [("", 200), ("&returnInternalServerErrorOnFailure=true", 500)])
async def test_a_start_that_waits_shows_a_failure_as_a_status(world: World, query: str, status: int) -> None:
    failure = FailureDetails(type="ValueError", message="no tea")
    world.client.finish = lambda s: replace(s, runtime_status=RuntimeStatus.FAILED, failure=failure)
    response = await world.call("POST", f"orchestrators/order?timeout=5{query}")
    assert (response.status, response.json()["output"]) == (status, "ValueError: no tea")


async def test_no_request_waits_longer_than_azure_lets_it(world: World) -> None:
    await world.call("POST", "orchestrators/order/o-1?timeout=86400")
    assert world.client.calls[0][2] < 230


# ---------------------------------------------------------------- status


async def test_an_active_instance_is_202_with_where_to_look_next(world: World) -> None:
    world.client.add("o-1", custom_status={"step": 2})
    response = await world.call("GET", "instances/o-1?showHistory=true&code=secret")
    assert response.status == 202
    shown = response.json()
    assert shown.pop("historyEvents") == [{"EventType": "ExecutionStarted", "Result": False}]
    assert shown == {
        "name": "order",
        "instanceId": "o-1",
        "runtimeStatus": "Running",
        "input": {"item": "tea"},
        "customStatus": {"step": 2},
        "output": None,
        "createdTime": "2025-01-31T12:00:00Z",
        "lastUpdatedTime": "2025-01-31T12:00:05Z",
    }
    assert int(response.headers["Retry-After"]) >= 1
    followed = await world.call("GET", response.headers["Location"])
    assert "historyEvents" in followed.json()
    assert "secret" not in response.headers["Location"]


@pytest.mark.parametrize("status", [RuntimeStatus.PENDING, RuntimeStatus.SUSPENDED, RuntimeStatus.CONTINUED_AS_NEW])
async def test_an_instance_that_has_not_ended_is_202(world: World, status: RuntimeStatus) -> None:
    world.client.add("o-1", status)
    assert (await world.call("GET", "instances/o-1")).status == 202


@pytest.mark.parametrize("status", [s for s in RuntimeStatus if s.is_terminal])
async def test_an_instance_that_has_ended_is_200(world: World, status: RuntimeStatus) -> None:
    world.client.add("o-1", status, output=[1])
    response = await world.call("GET", "instances/o-1")
    assert (response.status, response.json()["output"]) == (200, [1])
    assert "Location" not in response.headers


@pytest.mark.parametrize("of", ["instances/o-1", "a status URI"])
async def test_a_look_may_wait_for_the_end(world: World, of: str) -> None:
    world.client.add("o-1")
    world.client.finish = lambda status: replace(status, runtime_status=RuntimeStatus.COMPLETED)
    where = of if of.startswith("inst") else (await world.call("GET", "instances/o-1")).headers["Location"]
    response = await world.call("GET", f"{where}?timeout=600&showInput=false")
    assert world.client.calls[-1] == ("wait", "o-1", 200.0)
    assert (response.status, response.json()["runtimeStatus"], response.json()["input"]) == (200, "Completed", None)


async def test_a_look_that_waits_for_an_execution_which_is_gone_is_410(world: World) -> None:
    world.client.add("o-1")
    where = (await world.call("GET", "instances/o-1")).headers["Location"]
    world.client.add("o-1", execution_id="x2")
    assert (await world.call("GET", f"{where}?timeout=1")).status == 410


async def test_an_unknown_instance_is_404(world: World) -> None:
    response = await world.call("GET", "instances/nobody")
    assert (response.status, error(response)["code"]) == (404, "InstanceNotFound")


async def test_a_failed_instance_shows_the_failure_and_500_only_when_asked(world: World) -> None:
    cause = FailureDetails(type="OSError", message="disk", stack_trace="at /srv/app/a.py")
    failure = FailureDetails(type="shop.TeaError", message="no tea", stack_trace="at /srv/app/b.py", cause=cause)
    world.client.add("o-1", RuntimeStatus.FAILED, failure=failure)
    response = await world.call("GET", "instances/o-1")
    assert response.status == 200
    assert response.json()["output"] == "shop.TeaError: no tea"
    assert response.json()["failure"]["cause"] == {"type": "OSError", "message": "disk", "retriable": True}
    assert b"/srv/app" not in response.body
    asked = await world.call("GET", "instances/o-1?returnInternalServerErrorOnFailure=true")
    assert asked.status == 500


async def test_what_durable_functions_lacks_is_shown_when_it_is_set(world: World) -> None:
    world.client.add("o-1", version="2", tags={"team": "a"}, stuck_reason="no such activity")
    shown = (await world.call("GET", "instances/o-1?showInput=false")).json()
    assert (shown["version"], shown["tags"], shown["stuckReason"]) == ("2", {"team": "a"}, "no such activity")
    assert shown["input"] is None


# ---------------------------------------------------------------- list


async def test_a_list_passes_every_filter_on(world: World) -> None:
    world.client.add("o-1")
    world.client.next_page = "page-2"
    response = await world.call(
        "GET",
        "instances?instanceIdPrefix=o-&createdTimeFrom=2025-01-31T13:00:00+01:00&createdTimeTo=2025-02-01"
        "&runtimeStatus=running,Failed&runtimeStatus=Pending&top=7&showInput=false",
        headers={"X-MS-Continuation-Token": "page-1"},
    )
    assert response.status == 200
    assert [shown["instanceId"] for shown in response.json()] == ["o-1"]
    assert response.headers["x-ms-continuation-token"] == "page-2"
    statuses = [RuntimeStatus.RUNNING, RuntimeStatus.FAILED, RuntimeStatus.PENDING]
    noon = datetime(2025, 1, 31, 12, tzinfo=UTC)
    assert world.client.calls == [
        ("list", noon, datetime(2025, 2, 1, tzinfo=UTC), statuses, "o-", 7, "page-1", False),
    ]


async def test_a_list_passes_on_the_filters_that_durable_functions_does_not_have(world: World) -> None:
    response = await world.call(
        "GET",
        "instances?name=order&version=2&stuck=true&retrying=false&jobs=true&endedFrom=2025-01-31&endedTo=2025-02-01&order=ended"
        "&tags=shop:berlin&tags=url=http://x&tags=empty:",
    )
    assert response.status == 200
    tags = {"shop": "berlin", "url": "http://x", "empty": ""}
    given = {
        "name": "order",
        "version": "2",
        "stuck": True,
        "retrying": False,
        "jobs": True,
        "ended_time_from": datetime(2025, 1, 31, tzinfo=UTC),
        "ended_time_to": datetime(2025, 2, 1, tzinfo=UTC),
        "order": "ended",
        "tags": tags,
    }
    assert world.client.calls == [("list", None, None, None, None, 100, None, True, given)]


async def test_a_list_without_details_hides_the_input_and_an_empty_version_is_a_filter(world: World) -> None:
    assert (await world.call("GET", "instances?showDetails=false&version=")).status == 200
    assert world.client.calls == [("list", None, None, None, None, 100, None, False, {"version": ""})]


async def test_a_purge_by_a_filter_that_is_empty_deletes_nothing(world: World) -> None:
    response = await world.call("DELETE", "instances?createdTimeFrom=2025-01-01&createdTimeTo=")
    assert response.status == 400
    assert not world.client.calls


async def test_a_list_without_filters_is_all_and_its_last_page_has_no_token(world: World) -> None:
    response = await world.call("GET", "instances")
    assert (response.status, response.json()) == (200, [])
    assert "x-ms-continuation-token" not in response.headers
    assert world.client.calls == [("list", None, None, None, None, 100, None, True)]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("top=0", "top"),
        ("top=ten", "top"),
        ("top=-1", "top"),
        ("top=1.5", "top"),
        ("createdTimeFrom=yesterday", "createdTimeFrom"),
        ("createdTimeTo=2025-13-01", "createdTimeTo"),
        ("createdTimeFrom=2025-02-01&createdTimeTo=2025-01-01", "createdTimeTo"),
        ("runtimeStatus=Running,Walking", "runtimeStatus"),
        ("runtimeStatus=", "runtimeStatus"),
        ("showInput=perhaps", "showInput"),
        ("showDetails=perhaps", "showDetails"),
        ("instanceIdPrefix=", "instanceIdPrefix"),
        ("createdTimeTo=%20", "createdTimeTo"),
        ("name=", "name"),
        ("name=order&name=refund", "name"),
        ("version=1&version=2", "version"),
        ("tags=", "tags"),
        ("tags=berlin", "tags"),
        ("tags=:berlin", "tags"),
        ("tags=shop:berlin&tags=shop:paris", "tags"),
        ("stuck=", "stuck"),
        ("stuck=yes", "stuck"),
        ("retrying=maybe", "retrying"),
        ("endedFrom=yesterday", "endedFrom"),
        ("endedFrom=2025-02-01&endedTo=2025-01-01", "endedTo"),
        ("order=oldest", "order"),
    ],
)
async def test_a_value_that_a_parameter_cannot_have_is_400_and_named(world: World, query: str, named: str) -> None:
    response = await world.call("GET", f"instances?{query}")
    assert response.status == 400
    assert f"'{named}'" in error(response)["message"]
    assert not world.client.calls


@pytest.mark.parametrize("query", ["timeout=soon", "timeout=-1", "timeout=inf", "pollingInterval=x"])
async def test_a_start_with_a_bad_parameter_starts_nothing(world: World, query: str) -> None:
    response = await world.call("POST", f"orchestrators/order?{query}")
    assert response.status == 400
    assert f"'{query.partition('=')[0]}'" in error(response)["message"]
    assert not world.client.instances


async def test_a_foreign_continuation_token_is_400(world: World) -> None:
    response = await world.call("GET", "instances", headers={"x-ms-continuation-token": "nonsense"})
    assert response.status == 400


# ---------------------------------------------------------------- purge


async def test_purging_one_deletes_it(world: World) -> None:
    world.client.add("o-1", RuntimeStatus.COMPLETED)
    response = await world.call("DELETE", "instances/o-1")
    assert (response.status, response.json()) == (200, {"instancesDeleted": 1})
    assert (await world.call("DELETE", "instances/o-1")).status == 404


async def test_a_running_instance_is_not_purged_and_the_answer_says_so(world: World) -> None:
    world.client.add("o-1")
    response = await world.call("DELETE", "instances/o-1")
    assert (response.status, error(response)["code"]) == (409, "InstanceNotCompleted")
    assert "o-1" in world.client.instances


async def test_purging_many_needs_a_time_to_start_from(world: World) -> None:
    response = await world.call("DELETE", "instances?runtimeStatus=Completed")
    assert response.status == 400
    assert "createdTimeFrom" in error(response)["message"]
    assert not world.client.calls


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "instances?createdTimeFrom=2025-01-01T00:00:00Z&instanceIdPrefix=o-"),
        ("DELETE", "instances?createdTimeFrom=2025-01-01T00:00:00Z&runtimestatuses=Failed"),
        ("GET", "instances?status=Failed"),
        ("DELETE", "instances/o-1?createdTimeTo=2020-01-01T00:00:00Z"),
        ("POST", "instances/o-1/terminate?because=late"),
        ("POST", "instances/o-1/raiseEvent/go?execution=1"),
    ],
)
async def test_a_parameter_that_a_route_does_not_take_is_refused_and_nothing_is_done(
    world: World, method: str, path: str
) -> None:
    world.client.add("o-1", RuntimeStatus.COMPLETED)
    response = await world.call(method, path)
    assert response.status == 400
    assert "nothing was done" in error(response)["message"]
    assert not world.client.calls
    assert "o-1" in world.client.instances


async def test_the_parameters_of_durable_functions_clients_are_taken_everywhere(world: World) -> None:
    world.client.add("o-1", RuntimeStatus.COMPLETED)
    response = await world.call("GET", "instances/o-1?taskHub=x&connection=Storage&code=abc&clientId=default")
    assert response.status == 200


async def test_purging_many_says_how_many_and_whether_there_are_more(world: World) -> None:
    world.client.add("o-1", RuntimeStatus.COMPLETED)
    world.client.add("o-2", RuntimeStatus.FAILED)
    path = "instances?createdTimeFrom=2025-01-01T00:00:00Z&runtimeStatus=Completed,Failed&recursive=true"
    response = await world.call("DELETE", path)
    assert (response.status, response.json()) == (200, {"instancesDeleted": 1, "isComplete": False})
    token = {"x-ms-continuation-token": response.headers["x-ms-continuation-token"]}
    response = await world.call("DELETE", path, headers=token)
    assert (response.status, response.json()) == (200, {"instancesDeleted": 1, "isComplete": True})
    assert "x-ms-continuation-token" not in response.headers
    statuses = [RuntimeStatus.COMPLETED, RuntimeStatus.FAILED]
    assert world.client.calls == [("purge", datetime(2025, 1, 1, tzinfo=UTC), None, statuses, True)] * 2
    response = await world.call("DELETE", path, headers=token)
    assert (response.status, response.json()) == (200, {"instancesDeleted": 0, "isComplete": True})
    assert (await world.call("DELETE", path)).status == 404


# ---------------------------------------------------------------- events and requests


async def test_an_event_reaches_its_instance(world: World) -> None:
    world.client.add("o-1")
    response = await world.call("POST", "instances/o-1/raiseEvent/Approval%20given", {"by": "ann"})
    assert (response.status, response.body) == (202, b"")
    assert world.client.calls == [("event", "o-1", "Approval given", {"by": "ann"})]


async def test_an_event_without_a_body_carries_null(world: World) -> None:
    world.client.add("o-1")
    assert (await world.call("POST", "instances/o-1/raiseEvent/go")).status == 202
    assert world.client.calls == [("event", "o-1", "go", None)]


@pytest.mark.parametrize(("body", "content_type"), [(b"{", "application/json"), (b"yes", "text/plain"), (b"a=1", "")])
async def test_an_event_that_is_no_json_is_400(world: World, body: bytes, content_type: str) -> None:
    world.client.add("o-1")
    headers = {"Content-Type": content_type} if content_type else {}
    assert (await world.call("POST", "instances/o-1/raiseEvent/go", body, headers=headers)).status == 400
    assert not world.client.calls


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "TEXT/PLAIN; charset=x"])
@pytest.mark.parametrize("path", ["orchestrators/order", "instances/o-1/terminate", "recover"])
async def test_a_body_that_is_not_called_json_is_400_and_nothing_is_done(
    world: World, path: str, content_type: str
) -> None:
    world.client.add("o-1")
    response = await world.call("POST", path, {"item": "tea"}, headers={"Content-Type": content_type})
    assert (response.status, error(response)["code"]) == (400, "InvalidInput")
    assert "Content-Type: application/json" in error(response)["message"]
    assert list(world.client.instances) == ["o-1"]
    assert not world.client.calls


@pytest.mark.parametrize("path", ["orchestrators/order", "instances/o-1/raiseEvent/go"])
async def test_a_body_in_chunks_is_400_even_if_nothing_of_it_has_arrived(world: World, path: str) -> None:
    """The Functions host hands an empty body to the app then, which would be taken for null."""
    world.client.add("o-1")
    for body in (b"", b'{"paid": true}'):
        response = await world.call("POST", path, body, headers={"Transfer-Encoding": "chunked"})
        assert (response.status, error(response)["code"]) == (400, "InvalidInput")
        assert "Content-Length" in error(response)["message"]
    assert not world.client.calls


@pytest.mark.parametrize("path", ["instances/caf%e9", "instances?instanceIdPrefix=%ff", "instances/x?reason=a%c3"])
async def test_percent_escapes_that_are_no_utf8_are_400(world: World, path: str) -> None:
    response = await world.call("GET", path)
    assert (response.status, error(response)["code"]) == (400, "InvalidInput")


async def test_an_event_without_a_name_is_400(world: World) -> None:
    world.client.add("o-1")
    assert (await world.call("POST", "instances/o-1/raiseEvent")).status == 400


async def test_an_event_over_the_limit_is_413(world: World) -> None:
    world.client.add("o-1")
    assert (await world.call("POST", "instances/o-1/raiseEvent/go", "x" * LIMIT)).status == 413


@pytest.mark.parametrize("path", ["raiseEvent/go", "terminate", "suspend", "resume"])
async def test_a_request_to_an_unknown_instance_is_404_and_to_an_ended_one_410(world: World, path: str) -> None:
    assert (await world.call("POST", f"instances/o-1/{path}")).status == 404
    world.client.add("o-1", RuntimeStatus.COMPLETED)
    response = await world.call("POST", f"instances/o-1/{path}")
    assert (response.status, error(response)["code"]) == (410, "InstanceCompleted")


@pytest.mark.parametrize("operation", ["terminate", "suspend", "resume"])
async def test_a_management_request_is_202_and_carries_its_reason(world: World, operation: str) -> None:
    world.client.add("o-1")
    response = await world.call("POST", f"instances/o-1/{operation}?reason=out%20of%20tea")
    assert (response.status, response.body) == (202, b"")
    assert world.client.calls == [(operation, "o-1", "out of tea")]


async def test_a_rewind_is_200_and_says_what_it_does(world: World) -> None:
    assert (await world.call("POST", "instances/o-1/rewind")).status == 404
    world.client.add("o-1", RuntimeStatus.FAILED)
    response = await world.call("POST", "instances/o-1/rewind?reason=mended&dryRun=true")
    assert response.status == 200
    assert response.json() == {
        "instanceId": "o-1",
        "cutBefore": 2,
        "undone": [{"taskId": 3, "name": "charge", "line": "order.py:7"}],
        "again": [],
        "timersMoveBy": 60.0,
    }
    assert (await world.call("POST", "instances/o-1/rewind?force=true&reason={text}&requestId=mine")).status == 200
    assert world.client.calls == [
        ("rewind", "o-1", "mended", False, True, None),
        ("rewind", "o-1", "", True, False, "mine"),
    ]


async def test_a_rewind_that_would_not_undo_something_is_409_with_a_line_for_each(world: World) -> None:
    world.client.add("o-1")
    response = await world.call("POST", "instances/o-1/rewind")
    assert (response.status, error(response)["code"]) == (409, "OperationRefused")
    assert error(response)["problems"] == ["refund #6 ran and is not undone"]


@pytest.mark.parametrize("query", ["dryrun=maybe", "force=7", "recursive=true", "request=1"])
async def test_a_rewind_that_is_asked_for_wrongly_is_400(world: World, query: str) -> None:
    world.client.add("o-1", RuntimeStatus.FAILED)
    assert (await world.call("POST", f"instances/o-1/rewind?{query}")).status == 400
    assert (await world.call("POST", "instances/o-1/terminate?dryRun=true")).status == 400
    assert not world.client.calls


async def test_a_restart_is_202_with_the_payload_of_the_new_instance_which_names_its_origin(world: World) -> None:
    assert (await world.call("POST", "instances/o-1/restart")).status == 404
    world.client.add("o-1")
    response = await world.call("POST", "instances/o-1/restart")
    assert (response.status, response.json()["id"]) == (202, "o-1-again")
    assert response.headers["Location"] == response.json()["statusQueryGetUri"]
    shown = (await world.call("GET", "instances/o-1-again")).json()
    assert shown["restartedFrom"] == {"instanceId": "o-1", "executionId": "x1"}
    body = {"instanceId": "o-2", "input": None, "version": "3"}
    assert (await world.call("POST", "instances/o-1/restart", body)).json()["id"] == "o-2"
    assert world.client.instances["o-2"].input_ is None
    assert world.client.calls == [("restart", "o-1", "o-1-again", None), ("restart", "o-1", "o-2", "3")]


async def test_a_fork_is_202_with_the_payload_of_the_new_instance_and_what_it_does(world: World) -> None:
    assert (await world.call("POST", "instances/o-1/fork", {"until": {"task": 3}})).status == 404
    world.client.add("o-1")
    response = await world.call("POST", "instances/o-1/fork", {"until": {"task": 3}})
    assert (response.status, response.json()["id"]) == (202, "o-1-fork")
    assert response.headers["Location"] == response.json()["statusQueryGetUri"]
    assert response.json()["fork"] == {
        "instanceId": "o-1-fork",
        "executionId": "x9",
        "cutBefore": 4,
        "again": [{"taskId": 3, "name": "charge", "line": "order.py:7"}],
        "idempotencyKeys": {"3": "x9-0-3"},
        "callbacks": [
            {"name": "approval", "sourceUrl": "https://a/c/1", "url": "https://a/c/2"},
            {"name": "other"},
        ],
    }
    body = {
        "until": {"event": "Go", "number": 2},
        "overrides": {"3": {"result": None}, "7": {"failure": "no"}},
        "instanceId": "o-2",
        "version": "3",
        "suspended": True,
        "requestId": "mine",
        "dryRun": True,
    }
    dry = await world.call("POST", "instances/o-1/fork", body)
    assert (dry.status, dry.json()["instanceId"]) == (200, "o-2")
    plain: dict[str, Any] = {
        "until_task": 3,
        "until_event": None,
        "event_number": None,
        "until_failure": False,
        "overrides": {},
    }
    plain |= {"new_instance_id": None, "version": None, "suspended": False, "dry_run": False, "request_id": None}
    asked: dict[str, Any] = {"until_task": None, "until_event": "Go", "event_number": 2, "until_failure": False}
    asked |= {"overrides": {3: {"result": None}, 7: {"failure": "no"}}, "new_instance_id": "o-2", "version": "3"}
    asked |= {"suspended": True, "dry_run": True, "request_id": "mine"}
    assert world.client.calls == [("fork", "o-1", plain), ("fork", "o-1", asked)]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (None, "must be an object"),
        ([], "must be an object"),
        ({}, "'until' of a fork must be an object"),
        ({"until": 3}, "'until' in the body of a fork must be an object"),
        ({"until": {"task": "3"}}, "'task' in 'until' of a fork must be a number"),
        ({"until": {"task": True}}, "must be a number"),
        ({"until": {"event": 1}}, "must be a text"),
        ({"until": {"failure": 1}}, "must be true or false"),
        ({"until": {"place": 3}}, "unknown key 'place'"),
        ({"until": {"task": 3}, "instanceid": "x"}, "unknown key 'instanceid'"),
        ({"until": {"task": 3}, "instanceId": 7}, "'instanceId' in the body of a fork must be a text"),
        ({"until": {"task": 3}, "suspended": "yes"}, "'suspended' in the body of a fork must be true or false"),
        ({"until": {"task": 3}, "requestId": 7}, "'requestId' in the body of a fork must be a text"),
        ({"until": {"task": 3}, "dryRun": "no"}, "must be true or false"),
        ({"until": {"task": 3}, "overrides": []}, "'overrides' in the body of a fork must be an object"),
        ({"until": {"task": 3}, "overrides": {"x": {"result": 1}}}, "maps numbers of tasks"),
        ({"until": {"task": 3}, "overrides": {"-1": {"result": 1}}}, "maps numbers of tasks"),
        ({"until": {"task": 3}, "overrides": {"3": 1}}, "maps numbers of tasks"),
        (b"{", "is not JSON"),
    ],
)
async def test_a_fork_that_is_asked_for_wrongly_is_400_and_does_nothing(
    world: World, body: Any, complaint: str
) -> None:
    world.client.add("o-1")
    response = await world.call("POST", "instances/o-1/fork", body)
    assert (response.status, error(response)["code"]) == (400, "InvalidInput")
    assert complaint in error(response)["message"]
    assert not world.client.calls


async def test_a_restart_under_the_same_id_is_409_while_the_instance_runs(world: World) -> None:
    world.client.add("o-1")
    response = await world.call("POST", "instances/o-1/restart?restartWithNewInstanceId=false")
    assert (response.status, error(response)["code"]) == (409, "OperationRefused")
    world.client.add("o-1", RuntimeStatus.COMPLETED)
    response = await world.call("POST", "instances/o-1/restart?restartWithNewInstanceId=false")
    assert (response.status, response.json()["id"]) == (202, "o-1")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("restart?newId=x", None),
        ("restart?restartWithNewInstanceId=maybe", None),
        ("restart", [1]),
        ("restart", {"instanceid": "x"}),
        ("restart", {"instanceId": 7}),
        ("restart", {"version": 2}),
        ("restart", b"{"),
    ],
)
async def test_a_restart_that_is_asked_for_wrongly_is_400_and_does_nothing(world: World, path: str, body: Any) -> None:
    world.client.add("o-1")
    assert (await world.call("POST", f"instances/o-1/{path}", body)).status == 400
    assert not world.client.calls


async def test_an_operation_that_does_not_exist_is_404_and_lists_those_that_do(world: World) -> None:
    response = await world.call("POST", "instances/o-1/explode")
    assert response.status == 404
    assert "terminate" in error(response)["message"]


async def test_recover_says_what_it_did(world: World) -> None:
    await world.call("POST", "orchestrators/order/one", {"item": "tea"})
    response = await world.call("POST", "recover")
    assert response.status == 200
    assert response.json()["woken_up"] == response.json()["open_instances"] == 1


# ---------------------------------------------------------------- schedules


SCHEDULE = ScheduleStatus(
    schedule_id="nightly",
    orchestrator="report",
    cron="0 2 * * *",
    interval=None,
    time_zone="Europe/Berlin",
    overlap="skip",
    is_paused=False,
    pause_reason="",
    next_due=CREATED,
    running=None,
    waiting=(),
    last_instance_id=None,
    last_due=None,
    last_failed=None,
    created_time=CREATED,
)


async def test_schedules_are_listed(world: World) -> None:
    world.client.schedules.append(SCHEDULE)
    [shown] = (await world.call("GET", "schedules")).json()
    assert (shown["scheduleId"], shown["cron"], shown["timeZone"]) == ("nightly", "0 2 * * *", "Europe/Berlin")
    assert shown["nextDueTime"] == "2025-01-31T12:00:00Z"


async def test_a_delayed_start_and_a_deadline_are_shown(world: World) -> None:
    world.client.add("o-1", RuntimeStatus.PENDING, scheduled_start_time=CREATED, deadline=CREATED + timedelta(hours=1))
    shown = (await world.call("GET", "instances/o-1")).json()
    assert (shown["scheduledStartTime"], shown["deadline"]) == ("2025-01-31T12:00:00Z", "2025-01-31T13:00:00Z")


async def test_a_schedule_is_paused_resumed_triggered_and_deleted(world: World) -> None:
    world.client.schedules.append(SCHEDULE)
    paused = await world.call("POST", "schedules/nightly/pause?reason=maintenance")
    assert (paused.status, paused.json()) == (202, {"scheduleId": "nightly"})
    assert (await world.call("POST", "schedules/nightly/Resume")).status == 202
    assert world.client.calls == [("pause", "nightly", "maintenance"), ("resume", "nightly")]
    run = await world.call("POST", "schedules/nightly/trigger")
    assert (run.status, run.json()["instanceId"].startswith("nightly:")) == (202, True)
    begun = await world.call("POST", "schedules/nightly/backfill?from=2025-01-01&to=2025-01-02T12:00Z&maxConcurrency=3")
    assert (begun.status, begun.json()["instanceId"]) == (202, "durable.schedule.backfill:nightly:1")
    until = datetime(2025, 1, 2, 12, tzinfo=UTC)
    assert world.client.calls[-1] == ("backfill", datetime(2025, 1, 1, tzinfo=UTC), until, 3)
    calls = len(world.client.calls)
    counted = await world.call("POST", "schedules/nightly/backfill?from=2025-01-01&to=2025-01-02T12:00Z&dryRun=true")
    assert (counted.status, counted.json()) == (
        200,
        {"runs": 2, "isComplete": True, "first": "2025-01-01T00:00:00Z", "last": "2025-01-02T12:00:00Z"},
    )
    assert world.client.calls[-1][0] == "backfill" and len(world.client.calls) == calls, "nothing is started"
    for wrong in (
        "",
        "?from=2025-01-01",
        "?dryRun=true",
        "?from=x&to=y",
        "?from=2025-01-01&to=2025-01-02&maxConcurrency=0",
    ):
        assert (await world.call("POST", f"schedules/nightly/backfill{wrong}")).status == 400
    assert (await world.call("POST", "schedules/nightly/delete")).status == 200
    assert (await world.call("POST", "schedules/nightly/delete")).status == 404
    assert world.client.schedules == []


@pytest.mark.parametrize(
    ("path", "status"), [("other/pause", 404), ("nightly/stop", 404), ("nightly/pause?why=x", 400)]
)
async def test_what_is_no_operation_on_a_schedule_changes_nothing(world: World, path: str, status: int) -> None:
    world.client.schedules.append(SCHEDULE)
    assert (await world.call("POST", f"schedules/{path}")).status == status
    assert (await world.call("GET", "schedules/nightly/pause")).status == 405
    assert world.client.calls == []


async def test_an_event_and_a_request_can_be_repeated_and_children_can_be_left_alone(world: World) -> None:
    world.client.add("o-1")
    assert (await world.call("POST", "instances/o-1/raiseEvent/Go?eventId=e-1", 5)).status == 202
    assert world.client.calls[-1] == ("event", "o-1", "Go", 5, "e-1")
    for verb, more in (("cancel", (False, "r-1")), ("terminate", (False, "r-1"))):
        assert (await world.call("POST", f"instances/o-1/{verb}?recursive=false&requestId=r-1")).status == 202
        assert world.client.calls[-1] == (verb, "o-1", "", *more)
    for verb in ("suspend", "resume"):
        assert (await world.call("POST", f"instances/o-1/{verb}?requestId=r-1")).status == 202
        assert world.client.calls[-1] == (verb, "o-1", "", "r-1")
        refused = await world.call("POST", f"instances/o-1/{verb}?recursive=false")
        assert refused.status == 400 and "for terminate and cancel" in error(refused)["message"]
