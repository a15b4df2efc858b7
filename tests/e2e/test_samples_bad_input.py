"""Bad input over HTTP gets a clear answer, and loses nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient, eventually
from tests.support.shop_books import order_input

FAULTY = Path(__file__).parent / "apps" / "faulty"
LIMIT = 100_000  # bytes


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    with HostProcess(tmp_path_factory.mktemp("host"), env={"DURABLE_MAX_PAYLOAD": str(LIMIT)}) as running:
        yield running


@pytest.fixture(scope="module")
def faulty_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    with HostProcess(tmp_path_factory.mktemp("faulty"), app=FAULTY) as running:
        yield running


@pytest.fixture
async def http(host: HostProcess) -> AsyncIterator[HttpClient]:
    async with HttpClient(host.url) as client:
        yield client


@pytest.fixture
async def faulty(faulty_host: HostProcess) -> AsyncIterator[HttpClient]:
    async with HttpClient(faulty_host.url) as client:
        yield client


def unique() -> str:
    return f"bad-{uuid4().hex[:8]}"


# ---------------------------------------------------------------- starting


async def test_an_unknown_orchestrator_is_refused_and_those_that_exist_are_named(http: HttpClient) -> None:
    answer = await http.call("POST", "/orchestrators/ordr", json={})
    assert answer.status == 400
    for name in ("approval", "order", "watch_url", "word_count"):
        assert name in str(answer.body)


async def test_invalid_json_is_refused(http: HttpClient) -> None:
    answer = await http.call("POST", "/orchestrators/approval", data='{"request": ')
    assert answer.status == 400
    assert "JSON" in str(answer.body)


BAD_ORDERS: Mapping[str, dict[str, Any]] = {
    "items": {**order_input("o"), "items": []},
    "items.0.quantity": {**order_input("o"), "items": [{"sku": "book", "quantity": 0}]},
    "payment.amount": {**order_input("o"), "payment": {"card": "4242424242424242", "amount": -1}},
    "customer_email": {**order_input("o"), "customer_email": "nobody"},
    "order_id": {k: v for k, v in order_input("o").items() if k != "order_id"},
}


@pytest.mark.parametrize("field", BAD_ORDERS)
async def test_an_input_that_the_model_refuses_is_answered_with_the_field(http: HttpClient, field: str) -> None:
    instance = unique()
    answer = await http.call("POST", f"/orchestrators/order/{instance}", json=BAD_ORDERS[field])
    assert answer.status == 400
    assert field in str(answer.body)
    assert (await http.call("GET", f"/instances/{instance}")).status == 404, "nothing was started"


@pytest.mark.parametrize("instance_id", ["a#b", "a?b", "a\\b", "a/b", "x" * 257])
async def test_an_instance_id_that_no_table_can_hold_is_refused(http: HttpClient, instance_id: str) -> None:
    answer = await http.call("POST", f"/orchestrators/approval/{quote(instance_id, safe='')}", json={"request": 1})
    assert answer.status == 400
    assert "instance id" in str(answer.body)


async def test_an_id_in_use_is_refused_and_its_owner_is_not_disturbed(http: HttpClient) -> None:
    instance = await http.start("approval", {"request": "first"}, unique())
    answer = await http.call("POST", f"/orchestrators/approval/{instance}", json={"request": "second"})
    assert answer.status == 409
    status = await http.status(instance)
    assert status["input"]["request"] == "first"


async def test_a_body_over_the_limit_is_refused(http: HttpClient) -> None:
    body = json.dumps({"request": "x" * (2 * LIMIT)})
    assert (await http.call("POST", "/orchestrators/approval", data=body)).status == 413
    instance = await http.start("approval", {"request": "small"})
    answer = await http.call("POST", f"/instances/{instance}/raiseEvent/Approved", json="x" * (2 * LIMIT))
    assert answer.status == 413


# ---------------------------------------------------------------- requests to instances


async def test_an_unknown_instance_is_not_found(http: HttpClient) -> None:
    nobody = unique()
    assert (await http.call("GET", f"/instances/{nobody}")).status == 404
    assert (await http.call("DELETE", f"/instances/{nobody}")).status == 404
    for request in ("raiseEvent/Approved", "terminate", "suspend", "resume"):
        assert (await http.call("POST", f"/instances/{nobody}/{request}", json={})).status == 404, request


async def test_an_event_to_a_finished_instance_is_gone(http: HttpClient) -> None:
    instance = await http.start("approval", {"request": 1})
    await http.raise_event(instance, "Rejected")
    await http.wait_done(instance)
    answer = await http.call("POST", f"/instances/{instance}/raiseEvent/Approved", json={})
    assert answer.status == 410
    assert (await http.status(instance))["output"]["status"] == "rejected"


async def test_a_terminated_instance_takes_no_more_requests(http: HttpClient) -> None:
    instance = await http.start("approval", {"request": 1})
    assert (await http.call("POST", f"/instances/{instance}/terminate?reason=enough")).status == 202
    assert (await http.wait_done(instance))["runtimeStatus"] == "Terminated"
    assert (await http.call("POST", f"/instances/{instance}/suspend")).status == 410


# ---------------------------------------------------------------- mistakes in the app


async def test_yielding_no_task_fails_the_instance_with_file_and_line(faulty: HttpClient) -> None:
    status = await faulty.wait_done(await faulty.start("yields_a_number"))
    lines = (FAULTY / "function_app.py").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "yield 42" in line)
    assert status["runtimeStatus"] == "Failed"
    assert f"function_app.py:{number}" in status["output"]


async def test_a_result_that_is_not_json_fails_that_activity_clearly(faulty: HttpClient) -> None:
    status = await faulty.wait_done(await faulty.start("wants_an_object"))
    assert status["runtimeStatus"] == "Failed"
    assert "returns_an_object" in str(status)
    assert "cannot be written as JSON" in str(status)


async def test_an_unregistered_activity_leaves_the_instance_stuck_until_a_host_has_it(tmp_path: Path) -> None:
    with HostProcess(tmp_path, app=FAULTY) as host:
        async with HttpClient(host.url) as http:
            instance = await http.start("wants_the_late_activity", "at last")
            status = await http.wait_until(instance, lambda s: "stuckReason" in s)
            assert "late_activity" in status["stuckReason"]
            assert status["runtimeStatus"] == "Running", "stuck is not failed"
    with HostProcess(tmp_path, app=FAULTY, env={"HAS_LATE_ACTIVITY": "1"}) as host:
        async with HttpClient(host.url) as http:
            assert await http.output_of(instance) == "AT LAST"
            assert "stuckReason" not in await http.status(instance)


async def test_a_garbage_message_is_put_aside_and_logged_and_the_host_goes_on(
    http: HttpClient, host: HostProcess
) -> None:
    settings = Settings(store=str(host.folder / "durable.db"))
    queues = DurableApp.queue_names(settings)
    storage = open_storage(settings)
    try:
        for name in (*queues.control, *queues.work):
            for garbage in ("not json", '{"no": "body"}', "[]", ""):
                await storage.queue(name).send(garbage)
        await eventually(lambda: "poison" in host.log)
    finally:
        await storage.close()
    instance = await http.start("approval", {"request": "still alive?"})
    await http.raise_event(instance, "Approved")
    assert (await http.output_of(instance))["status"] == "approved"
