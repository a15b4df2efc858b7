"""The blueprint: what Azure will index, and what each trigger does with the app behind it."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import typing
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import azure.functions as func
import pytest

from durable_core import Registry, activity
from durable_core.errors import ConfigurationError, StorageUnavailableError
from durable_core.hosting.functions import Durable, InvocationCancelledError, durable_blueprint
from durable_core.hosting.http_routes import Endpoint
from durable_core.models import RuntimeStatus
from durable_core.runtime.app import DurableApp
from durable_core.runtime.observer import NOBODY, Observer
from durable_core.settings import Settings
from tests.support.http_world import MemoryClient

KEYS = ("a signing key for these tests",)


@dataclass
class MemoryApp:
    """Records what the triggers deliver; raises what a test put into ``failure``."""

    client: MemoryClient = field(default_factory=MemoryClient)
    delivered: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    failure: BaseException | None = None
    opened: int = 0
    closed: int = 0
    fail_to_open: Exception | None = None
    serves: set[str] = field(default_factory=set[str])
    observer: Observer = NOBODY

    async def on_control_message(self, body: str, dequeue_count: int, inserted_at: object = None, /) -> None:
        self._deliver("control", body, dequeue_count)

    async def on_work_message(
        self, body: str, dequeue_count: int, queue: str = "", inserted_at: object = None, /
    ) -> None:
        self._deliver("work", body, dequeue_count, *([queue] if queue else []))

    def serve(self, queues: Sequence[str] = ()) -> None:
        self.serves.update(queues)

    async def recover(self) -> None:
        self._deliver("recover")

    async def arm_timers(self) -> None:
        self._deliver("arm timers")

    def _deliver(self, *what: Any) -> None:
        if self.failure:
            raise self.failure
        self.delivered.append(what)

    @asynccontextmanager
    async def factory(self, registry: Registry, settings: Settings) -> AsyncGenerator[DurableApp]:
        await asyncio.sleep(0)  # others get a chance to ask meanwhile
        self.opened += 1
        if self.fail_to_open:
            raise self.fail_to_open
        try:
            yield cast("DurableApp", self)
        finally:
            self.closed += 1


@pytest.fixture
def app() -> MemoryApp:
    return MemoryApp()


def durable_over(app: MemoryApp, **settings: Any) -> Durable:
    chosen = replace(Settings(store=":memory:", signing_keys=KEYS), **settings)
    return Durable(Registry(), settings=chosen, factory=app.factory)


def indexed(blueprint: func.Blueprint) -> dict[str, Any]:
    functions = func.FunctionApp()
    functions.register_functions(blueprint)
    return {str(found.get_function_name()): found for found in functions.get_functions()}


def triggers(**settings: Any) -> dict[str, dict[str, Any]]:
    found = indexed(durable_over(MemoryApp(), **settings).blueprint())
    return {name: json.loads(f.get_raw_bindings()[0]) for name, f in found.items()}


def user_functions(durable: Durable) -> dict[str, Callable[..., Any]]:
    return {name: found.get_user_function() for name, found in indexed(durable.blueprint()).items()}


def message(body: str | bytes, dequeue_count: int = 1) -> func.QueueMessage:
    from azure.functions.queue import QueueMessage  # the one that the worker makes: it knows the count

    return QueueMessage(body=body, dequeue_count=dequeue_count)


def request(method: str, url: str, route: dict[str, str], body: bytes = b"") -> func.HttpRequest:
    return func.HttpRequest(method, url, route_params=route, body=body)


# ---------------------------------------------------------------- what Azure indexes


def test_azure_finds_one_function_per_queue_one_timer_and_the_routes() -> None:
    found = triggers()
    queues = DurableApp.queue_names(Settings())
    assert {
        name: (t["type"], t.get("queueName") or t.get("route") or t.get("schedule")) for name, t in found.items()
    } == {
        "durable_control": ("queueTrigger", queues.control[0]),
        "durable_work": ("queueTrigger", queues.work[0]),
        "durable_recovery": ("timerTrigger", "0 */5 * * * *"),
        "durable_start": ("httpTrigger", "durabletask/orchestrators/{name}/{instanceId?}"),
        "durable_job": ("httpTrigger", "durabletask/jobs/{name}/{instanceId?}"),
        "durable_instances": ("httpTrigger", "durabletask/instances"),
        "durable_purge_instances": ("httpTrigger", "durabletask/instances"),
        "durable_instance": ("httpTrigger", "durabletask/instances/{instanceId}"),
        "durable_purge_instance": ("httpTrigger", "durabletask/instances/{instanceId}"),
        "durable_event": ("httpTrigger", "durabletask/instances/{instanceId}/raiseEvent/{eventName}"),
        "durable_rewind": ("httpTrigger", "durabletask/instances/{instanceId}/rewind"),
        "durable_fork": ("httpTrigger", "durabletask/instances/{instanceId}/fork"),
        "durable_restart": ("httpTrigger", "durabletask/instances/{instanceId}/restart"),
        "durable_manage": ("httpTrigger", "durabletask/instances/{instanceId}/{operation}"),
        "durable_bulk": ("httpTrigger", "durabletask/bulk"),
        "durable_recover": ("httpTrigger", "durabletask/recover"),
        "durable_hub": ("httpTrigger", "durabletask/hub"),
        "durable_price": ("httpTrigger", "durabletask/instances/{instanceId}/price"),
        "durable_prices": ("httpTrigger", "durabletask/prices"),
        "durable_timers": ("httpTrigger", "durabletask/timers"),
        "durable_schedules": ("httpTrigger", "durabletask/schedules"),
        "durable_schedule": ("httpTrigger", "durabletask/schedules/{scheduleId}/{operation}"),
        "durable_query": ("httpTrigger", "durabletask/instances/{instanceId}/query/{queryName}"),
        "durable_update": ("httpTrigger", "durabletask/instances/{instanceId}/updates/{updateName}"),
        "durable_explain": ("httpTrigger", "durabletask/instances/{instanceId}/explain"),
        "durable_tree": ("httpTrigger", "durabletask/instances/{instanceId}/tree"),
        "durable_metrics": ("httpTrigger", "durabletask/metrics"),
        "durable_entities": ("httpTrigger", "durabletask/entities/{entityName?}"),
        "durable_entity": ("httpTrigger", "durabletask/entities/{entityName}/{entityKey}"),
        "durable_signal_entity": ("httpTrigger", "durabletask/entities/{entityName}/{entityKey}"),
        "durable_delete_entity": ("httpTrigger", "durabletask/entities/{entityName}/{entityKey}"),
        "durable_timeline": ("httpTrigger", "durabletask/instances/{instanceId}/timeline"),
        "durable_streams": ("httpTrigger", "durabletask/instances/{instanceId}/streams"),
        "durable_stream": ("httpTrigger", "durabletask/instances/{instanceId}/streams/{streamName}"),
        "durable_openapi": ("httpTrigger", "durabletask/openapi.json"),
        "durable_ui": ("httpTrigger", "durabletask/ui/{file?}"),
        "durable_capability": ("httpTrigger", "durabletask/c/{token}/{eventName?}"),
    }
    assert {t["connection"] for t in found.values() if t["type"] == "queueTrigger"} == {"AzureWebJobsStorage"}


def test_no_two_functions_answer_one_method_of_a_path_and_each_path_answers_every_method() -> None:
    answered: dict[str, list[str]] = {}
    for trigger in triggers().values():
        if trigger["type"] == "httpTrigger":
            answered.setdefault(trigger["route"], []).extend(trigger["methods"])
    for path, methods in answered.items():
        assert sorted(methods) == sorted(method.value for method in func.HttpMethod), path


async def test_a_function_for_get_changes_nothing_whatever_method_it_is_called_with(app: MemoryApp) -> None:
    """A host that routed a DELETE to it, or a caller who overrides the method, gets 405 and has done nothing."""
    functions = user_functions(durable_over(app))
    route = {"instanceId": "o-1", "queryName": "progress", "name": "order", "scheduleId": "s", "operation": "terminate"}
    app.client.add("o-1", RuntimeStatus.COMPLETED)
    reading = [endpoint for endpoint in Endpoint if endpoint.value.methods == ("GET",)]
    assert len(reading) >= 5
    for endpoint in reading:
        function = functions[f"durable_{endpoint.name.lower()}"]
        for method in func.HttpMethod:
            if method is not func.HttpMethod.GET:
                url = f"https://shop.example/api/durabletask/{endpoint.value.template}"
                asked = func.HttpRequest(
                    method.value, url, route_params=route, headers={"X-HTTP-Method-Override": "DELETE"}, body=b""
                )
                answer = await function(asked)
                assert answer.status_code == 405, (endpoint, method)
                assert "GET" in answer.headers["Allow"]
    assert list(app.client.instances) == ["o-1"] and app.client.calls == []


def test_an_app_with_http_routes_of_another_kind_gets_the_queues_and_the_timer_alone(app: MemoryApp) -> None:
    durable = durable_over(app)
    for blueprint in (durable.blueprint(http=False), durable_blueprint(durable.registry, http=False)):
        assert set(indexed(blueprint)) == {"durable_control", "durable_work", "durable_recovery"}


@pytest.mark.parametrize(
    ("rows_from", "schedule"),
    [(60, "*/30 * * * * *"), (120, "0 */1 * * * *"), (300, "0 */2 * * * *"), (600, None)],
)
async def test_timers_that_are_rows_early_have_a_function_that_arms_them(
    app: MemoryApp, rows_from: int, schedule: str | None
) -> None:
    found = triggers(timer_rows_from=rows_from)
    assert found.get("durable_arm_timers", {}).get("schedule") == schedule
    if schedule is not None:
        await user_functions(durable_over(app, timer_rows_from=rows_from))["durable_arm_timers"](cast("Any", None))
        assert app.delivered == [("arm timers",)]


def test_every_partition_has_its_queue_functions() -> None:
    names = [name for name, trigger in triggers(partitions=3).items() if trigger["type"] == "queueTrigger"]
    assert names == [
        "durable_control",
        "durable_control_1",
        "durable_control_2",
        "durable_work",
        "durable_work_1",
        "durable_work_2",
    ]


async def test_an_activitys_own_queue_has_a_function_which_says_where_the_work_came_from(app: MemoryApp) -> None:
    @activity(queue="gpu")
    def train() -> None: ...

    settings = Settings(store=":memory:", signing_keys=KEYS)
    durable = Durable(Registry().add(train), settings=settings, factory=app.factory)
    found = {name: json.loads(f.get_raw_bindings()[0]) for name, f in indexed(durable.blueprint()).items()}
    assert found["durable_work_gpu"]["queueName"] == "durable-work-gpu"
    assert found["durable_work"]["queueName"] == "durable-work"
    await user_functions(durable)["durable_work_gpu"](message("body"))
    assert app.delivered == [("work", "body", 1, "gpu")]


def test_names_are_those_that_the_worker_accepts() -> None:
    for name, trigger in triggers(partitions=2).items():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_\-]{0,127}", name)
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", trigger["name"])


def test_only_capability_urls_and_the_files_of_the_dashboard_open_without_a_key() -> None:
    levels = {name: t["authLevel"] for name, t in triggers().items() if t["type"] == "httpTrigger"}
    keyless = {name: level for name, level in levels.items() if level != "FUNCTION"}
    assert keyless == {"durable_ui": "ANONYMOUS", "durable_capability": "ANONYMOUS"}


def test_the_worker_can_resolve_the_annotations_of_every_function(app: MemoryApp) -> None:
    for name, function in user_functions(durable_over(app)).items():
        hints = typing.get_type_hints(function)
        parameter = triggers()[name]["name"]
        assert hints[parameter] in (func.QueueMessage, func.TimerRequest, func.HttpRequest)
        assert inspect.iscoroutinefunction(function)


def test_a_blueprint_takes_its_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_PARTITIONS", "2")
    assert "durable_control_1" in indexed(durable_blueprint(Registry()))
    monkeypatch.setenv("DURABLE_PARTITIONS", "many")
    with pytest.raises(ConfigurationError, match="DURABLE_PARTITIONS"):
        durable_blueprint(Registry())


@pytest.mark.parametrize("base", ["runtime/webhooks/durabletask", "/admin", ""])
def test_a_base_that_the_functions_host_keeps_to_itself_is_refused(base: str) -> None:
    with pytest.raises(ConfigurationError, match="choose another"):
        Durable(Registry(), settings=Settings(), base=base)


# ---------------------------------------------------------------- queues and timer


async def test_messages_reach_the_app_with_their_count(app: MemoryApp) -> None:
    functions = user_functions(durable_over(app))
    await functions["durable_control"](message('{"d": "ü"}'))
    await functions["durable_work"](message('{"w": 1}', dequeue_count=3))
    await functions["durable_recovery"](cast("Any", None))
    assert app.delivered == [("control", '{"d": "ü"}', 1), ("work", '{"w": 1}', 3), ("recover",)]


async def test_a_message_that_cannot_be_handled_goes_back_to_the_host(app: MemoryApp) -> None:
    functions = user_functions(durable_over(app))
    app.failure = ValueError("not a message of ours")
    with pytest.raises(ValueError, match="not a message"):
        await functions["durable_control"](message("garbage"))
    with pytest.raises(UnicodeDecodeError):
        await functions["durable_work"](message(b"\xff\xfe"))


async def test_no_cancellation_escapes_a_function(app: MemoryApp) -> None:
    functions = user_functions(durable_over(app))
    app.failure = asyncio.CancelledError()
    for name in ("durable_control", "durable_work"):
        with pytest.raises(InvocationCancelledError):
            await functions[name](message("{}"))
    with pytest.raises(InvocationCancelledError):
        await functions["durable_recovery"](cast("Any", None))
    app.client.broken = cast("Exception", asyncio.CancelledError())
    response = await functions["durable_instance"](
        request("GET", "http://x/api/durabletask/instances/a", {"instanceId": "a"})
    )
    assert response.status_code == 503


# ---------------------------------------------------------------- one app per event loop


async def test_the_app_opens_once_however_many_ask_at_once(app: MemoryApp) -> None:
    durable = durable_over(app)
    assert app.opened == 0
    await asyncio.gather(durable.start(), durable.client(), durable.client())
    assert app.opened == 1


async def test_a_caller_that_gives_up_does_not_stop_the_opening_for_others(app: MemoryApp) -> None:
    durable = durable_over(app)
    first = asyncio.create_task(durable.client())
    second = asyncio.create_task(durable.client())
    await asyncio.sleep(0)
    first.cancel()
    assert await second is cast("Any", app.client)
    assert app.opened == 1


async def test_an_opening_that_failed_is_tried_again(app: MemoryApp) -> None:
    durable = durable_over(app)
    app.fail_to_open = StorageUnavailableError("not yet")
    with pytest.raises(StorageUnavailableError):
        await durable.start()
    app.fail_to_open = None
    await durable.start()
    assert app.opened == 2


async def test_stop_closes_what_start_opened_and_only_once(app: MemoryApp) -> None:
    durable = durable_over(app)
    await durable.stop()
    await durable.start()
    await durable.stop()
    await durable.stop()
    assert (app.opened, app.closed) == (1, 1)


def test_every_event_loop_has_an_app_of_its_own(app: MemoryApp) -> None:
    durable = durable_over(app)

    async def live() -> None:
        await durable.start()
        await durable.stop()

    asyncio.run(live())
    asyncio.run(live())
    assert (app.opened, app.closed) == (2, 2)


def test_the_local_host_finds_the_hooks_on_every_function(app: MemoryApp) -> None:
    durable = durable_over(app)
    assert {getattr(f, "__durable_hooks__") for f in user_functions(durable).values()} == {durable}  # noqa: B009


# ---------------------------------------------------------------- HTTP


async def test_a_route_answers_in_azures_terms(app: MemoryApp) -> None:
    functions = user_functions(durable_over(app))
    url = "https://shop.example/api/durabletask/orchestrators/order/o-1"
    response = await functions["durable_start"](request("POST", url, {"name": "order", "instanceId": "o-1"}, b"{}"))
    assert response.status_code == 202
    assert response.headers["content-type"].startswith("application/json")
    assert json.loads(response.get_body())["id"] == "o-1"
    token = response.headers["Location"].rpartition("/")[2]
    followed = await functions["durable_capability"](request("GET", response.headers["Location"], {"token": token}))
    assert followed.status_code == 202


async def test_an_encoded_slash_is_a_slash(app: MemoryApp) -> None:
    functions = user_functions(durable_over(app))
    url = "https://shop.example/api/durabletask/orchestrators/order/a%2Fb"
    response = await functions["durable_start"](request("POST", url, {"name": "order", "instanceId": "a%2Fb"}))
    assert response.status_code == 400


async def test_an_app_that_cannot_sign_urls_says_so_and_starts_nothing(app: MemoryApp) -> None:
    durable = durable_over(app, signing_keys=(), connection={"accountName": "orders"})
    functions = user_functions(durable)
    url = "https://shop.example/api/durabletask/orchestrators/order"
    response = await functions["durable_start"](request("POST", url, {"name": "order"}))
    assert response.status_code == 500
    assert "DURABLE_SIGNING_KEYS" in json.loads(response.get_body())["error"]["message"]
    assert not app.client.instances
    await functions["durable_control"](message("{}"))  # running instances go on


# ---------------------------------------------------------------- for users' own functions


@pytest.mark.parametrize(
    ("host_json", "environment", "expected"),
    [
        (None, None, "/api"),
        ('{"version": "2.0"}', None, "/api"),
        ('{"extensions": {"http": {"routePrefix": "v1/shop"}}}', None, "/v1/shop"),
        ('{"extensions": {"http": {"routePrefix": ""}}}', None, ""),
        ('{"extensions": {"http": {"routePrefix": "v1"}}}', "v2", "/v2"),
    ],
)
async def test_a_starter_of_ones_own_hands_out_working_urls(
    app: MemoryApp,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host_json: str | None,
    environment: str | None,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if host_json is not None:
        (tmp_path / "host.json").write_text(host_json)
    if environment is not None:
        monkeypatch.setenv("AzureFunctionsJobHost__extensions__http__routePrefix", environment)
    durable = durable_over(app)
    response = durable.create_check_status_response(request("POST", "https://shop.example/buy", {}), "o-1")
    assert response.status_code == 202
    base = f"https://shop.example{expected}/durabletask/c/"
    assert response.headers["Location"].startswith(base)
    payload = durable.create_http_management_payload(request("POST", "https://shop.example/buy", {}), "o-1")
    assert payload["terminatePostUri"].startswith(base)


async def test_a_starter_of_ones_own_can_wait_for_the_result(app: MemoryApp) -> None:
    durable = durable_over(app)
    app.client.add("o-1")
    buy = request("POST", "https://shop.example/api/buy", {})
    response = await durable.wait_for_completion_or_create_check_status_response(buy, "o-1", 1500, 4000)
    assert (response.status_code, response.headers["Retry-After"]) == (202, "4")
    assert app.client.calls == [("wait", "o-1", 1.5)]


async def test_the_address_of_the_settings_begins_every_url_whatever_host_was_asked_for(app: MemoryApp) -> None:
    durable = durable_over(app, base_url="https://shop.example/")
    app.client.add("o-1")
    buy = request("POST", "https://evil.example/api/buy", {"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    base = "https://shop.example/api/durabletask/c/"
    assert durable.create_http_management_payload(buy, "o-1")["statusQueryGetUri"].startswith(base)
    assert (await durable.create_event_url(buy, "o-1", "Approved")).startswith(base)
    waited = await durable.wait_for_completion_or_create_check_status_response(buy, "o-1", 1)
    assert waited.headers["Location"].startswith(base)
