"""Interceptors as a registry takes them, in the test of one activity, and at the HTTP door; headers as stored."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from durable_core import (
    ActivityContext,
    CallRefusedError,
    ClientCall,
    EntityId,
    Interceptor,
    Orchestration,
    OrchestrationContext,
    Registry,
    activity,
    orchestrator,
)
from durable_core.cli.api.in_process import open_in_process
from durable_core.engine.events import SubOrchestrationCreated, TaskScheduled, from_array, to_array
from durable_core.errors import (
    CodeHangsError,
    ConfigurationError,
    InvalidInputError,
    NewerFormatError,
    RegistrationError,
)
from durable_core.hang_watch import HangWatch
from durable_core.hosting.app_opener import open_app
from durable_core.hosting.http_routes import Endpoint
from durable_core.hosting.http_types import HttpRequest
from durable_core.hosting.signed_urls import CapabilitySigner
from durable_core.hosting.triggered import api_of
from durable_core.hub.entities.operations import Operation, OperationKind, Parcel
from durable_core.hub.entities.row import EntityRow, SentParcel, SentStart, check_format, row_props
from durable_core.hub.instance_row import Instance, read_instance
from durable_core.hub.keys import FORMAT, HEADER_FORMAT
from durable_core.hub.messages import Call, WorkMessage, decode, encode
from durable_core.models import RuntimeStatus
from durable_core.runtime.client import DurableClient
from durable_core.runtime.intercepted_client import CLIENT_METHODS, InterceptedClient
from durable_core.settings import Settings
from durable_core.storage.ports import Row
from durable_core.testing import ActivityEnvironment
from durable_core.testing.simulation import World

Proceed = Callable[[], Awaitable[Any]]
NOW = datetime(2030, 1, 1, tzinfo=UTC)
HERE = r"test_interceptors\.py:\d+"


@activity
def tenant(ctx: ActivityContext) -> str:
    return ctx.headers["tenant"]


@activity
async def names() -> str:
    return "named"


@orchestrator
def headed(ctx: OrchestrationContext) -> Orchestration[Any]:
    told = yield from ctx.call_activity(tenant)
    return [told, dict(ctx.headers)]


class Nothing(Interceptor):
    """Overrides nothing."""


# ------------------------------------------------------------ registration


class _PlainActivity(Interceptor):
    def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return proceed()


class _PlainCode(Interceptor):
    def around_orchestrator(self, ctx: OrchestrationContext, proceed: Any) -> Any:
        return proceed()


class _Misspelt(Interceptor):
    async def around_activty(self, ctx: ActivityContext, proceed: Proceed) -> Any:
        return await proceed()


class _AsyncBefore(Interceptor):
    async def before_call(self, ctx: OrchestrationContext, call: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (Nothing, "not the class"),
        (object(), "derive it from Interceptor"),
        (_PlainActivity(), rf"_PlainActivity.around_activity \(.*{HERE}\) is awaited: write 'async def"),
        (_PlainCode(), rf"_PlainCode.around_orchestrator \(.*{HERE}\) has no yield"),
        (
            _Misspelt(),
            rf"_Misspelt.around_activty \(.*{HERE}\) would never be called; an interceptor has around_client",
        ),
        (_AsyncBefore(), rf"_AsyncBefore.before_call \(.*{HERE}\) is called as a plain function"),
    ],
)
def test_what_is_no_interceptor_is_refused_when_it_is_registered(wrong: Any, text: str) -> None:
    with pytest.raises(RegistrationError, match=text):
        Registry().intercept(wrong)


def test_only_methods_that_are_overridden_are_kept() -> None:
    kept = Registry().intercept(Nothing()).interceptors
    assert kept.all and not (kept.clients or kept.orchestrators or kept.calls or kept.activities or kept.operations)


def test_all_that_is_registered_before_and_after_is_intercepted_and_what_is_built_in_is_not() -> None:
    mine = Nothing()
    registry = Registry().add(tenant).intercept(mine).add(headed)
    for definition in registry.definitions:
        assert definition.interceptors.all == (mine,)
    assert registry.orchestrator("job:tenant").interceptors.all == (mine,)
    built_in = replace(Registry().add(names).activity("names"), name="durable.names")
    whole = registry.with_built_in(built_in)
    assert whole.interceptors.all == (mine,)
    assert whole.activity("durable.names").interceptors.all == ()
    module = ModuleType("made_here")
    vars(module)["headed"] = headed
    assert Registry.scan(module).interceptors.all == (), "a scan finds no interceptors"


def test_the_build_is_that_of_the_interceptors_too(tmp_path: Any) -> None:
    plain, intercepted = Registry(), Registry().intercept(Nothing())
    assert plain.build_id() != intercepted.build_id()


def test_an_app_without_interceptors_of_its_client_has_a_plain_client() -> None:
    async def client(world: World) -> type[DurableClient]:
        return type(world.hosts[0].app.client)

    async def wrapped(self: Interceptor, call: ClientCall, proceed: Proceed) -> Any:
        return await proceed()

    calling = type("Calling", (Interceptor,), {"around_client_call": wrapped})()
    assert World(Registry().add(headed).intercept(Nothing())).run(client) is DurableClient
    assert World(Registry().add(headed).intercept(calling)).run(client) is InterceptedClient


def test_every_method_of_the_client_is_intercepted_or_only_reads() -> None:
    reads = {
        *("get_status", "get_status_all", "get_status_by", "list_instances", "wait_for_completion", "explain", "tree"),
        *("timeline", "hub_overview", "list_timers", "price", "prices", "stream", "list_streams", "preview_bulk"),
        *("get_schedule", "list_schedules", "preview_backfill", "read_entity", "entity_details", "list_entities"),
        "synchronize_schedules",  # what the app's own code declares
    }
    public = {
        name for name in dir(DurableClient) if not name.startswith("_") and callable(getattr(DurableClient, name))
    }
    assert public == reads | set(CLIENT_METHODS)
    assert not reads & set(CLIENT_METHODS)


# ------------------------------------------------------------ one activity


class Tenants(Interceptor):
    async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
        if "tenant" not in ctx.headers:
            raise CallRefusedError("no tenant")
        return f"{ctx.name} of {await proceed()}"


def test_one_activity_is_tested_with_its_headers_and_interceptors() -> None:
    assert ActivityEnvironment(headers={"tenant": "acme"}).run(tenant) == "acme"
    assert ActivityEnvironment(headers={"tenant": "acme"}, interceptors=[Tenants()]).run(tenant) == "tenant of acme"
    with pytest.raises(CallRefusedError, match="no tenant"):
        ActivityEnvironment(interceptors=[Tenants()]).run(tenant)
    with pytest.raises(InvalidInputError, match="1 to 128"):
        ActivityEnvironment(headers={"": 1})


async def test_so_is_an_async_one_and_a_plain_one_needs_a_plain_test() -> None:
    env = ActivityEnvironment(headers={"tenant": "acme"}, interceptors=[Tenants()])
    assert await env.run(names) == "names of named"
    with pytest.raises(ConfigurationError, match="a plain test"):
        env.run(tenant)


# ------------------------------------------------------------ HTTP


class Door(Interceptor):
    """Takes the tenant from the request, and lets nobody in without one."""

    async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
        if "x-tenant" not in call.request:
            raise CallRefusedError(f"{call.method} needs the header X-Tenant")
        call.headers["tenant"] = call.request["x-tenant"]
        return await proceed()


@pytest.mark.parametrize("has_door", [True, False])
def test_a_header_of_a_request_gets_to_an_instance_by_an_interceptor_alone(has_door: bool) -> None:
    registry = Registry().add(headed, tenant)
    if has_door:
        registry.intercept(Door())

    async def drive(world: World) -> list[Any]:
        api = api_of(world.hosts[0].app, Settings(), CapabilitySigner([b"k" * 32]), "durabletask")

        async def post(instance_id: str, **headers: str) -> int:
            route = {"name": "headed", "instanceId": instance_id}
            request = HttpRequest.of("POST", "http://localhost/durabletask/x", route=route, headers=headers)
            return (await api.handle(Endpoint.START, request)).status

        codes = [await post("one", **{"X-Tenant": "acme"}), await post("two")]
        status = await world.client.wait_for_completion("one", 60)
        shown = await api.handle(
            Endpoint.INSTANCE, HttpRequest.of("GET", "http://localhost/x", route={"instanceId": "one"})
        )
        return [*codes, status.output, bool(await world.client.get_status("two")), '"headers"' in shown.body.decode()]

    found = World(registry).run(drive)
    if has_door:
        assert found == [202, 403, ["acme", {"tenant": "acme"}], False, False]
    else:
        assert found[:2] == [202, 202] and found[2:] == [None, True, False]


# ------------------------------------------------------------ what is stored


def instance(**more: Any) -> Instance:
    fixed: dict[str, Any] = {"instance_id": "i", "execution_id": "e", "name": "n", "version": "", "input": "null"}
    return Instance(status=RuntimeStatus.PENDING, created=NOW, updated=NOW, **fixed, **more)


def test_an_instance_without_headers_has_nothing_more_in_its_row_and_one_with_them_a_newer_form() -> None:
    plain, headed = instance(), instance(headers='{"a":1}')
    assert plain.props()["fmt"] == FORMAT and "headers" not in plain.props()
    assert headed.props().keys() - plain.props().keys() == {"headers"}
    assert headed.props()["fmt"] == HEADER_FORMAT
    row = Row("i", "z", headed.props(), "1", NOW)
    assert read_instance(row).headers == '{"a":1}'
    with pytest.raises(NewerFormatError):
        read_instance(Row("i", "z", {**headed.props(), "fmt": HEADER_FORMAT + 1}, "1", NOW))


def test_a_message_without_headers_is_as_it_was_and_one_with_them_is_for_hosts_that_know_them() -> None:
    plain = WorkMessage(instance_id="i", execution_id="e", calls=(Call(0, 1, 1, "a"),))
    assert json.loads(encode(plain)) == {"durable": {"v": FORMAT, "i": "i", "x": "e", "c": [[0, 1, 1, "a", None]]}}
    own = replace(plain, calls=(Call(0, 1, 1, "a", None, {"headers": {}}),))
    for headed in (replace(plain, headers='{"a":1}'), own):
        assert json.loads(encode(headed))["durable"]["v"] == HEADER_FORMAT
        assert decode(encode(headed)) == headed


def test_an_operation_without_headers_is_as_it_was_and_a_row_that_sends_some_is_for_hosts_that_know_them() -> None:
    plain = Operation(kind=OperationKind.SIGNAL, name="add")
    assert plain.to_json() == ["signal", "add"]
    headed = replace(plain, headers={"a": 1})
    assert Operation.from_json(headed.to_json()) == headed
    entity = EntityId("n", "k")
    row = EntityRow(entity=entity, life="l", created=NOW, updated=NOW)

    def form(*sent: Any) -> Any:
        return row_props(replace(row, out=sent), "{}", "[]")["fmt"]

    def parcel(operation: Operation) -> SentParcel:
        return SentParcel("@n@o", Parcel(stream="s", number=1, operations=(operation,)))

    start = SentStart("n", "i", None, None, NOW)
    assert form() == form(parcel(plain), start) == 1
    assert form(parcel(headed)) == form(start._replace(headers={"a": 1})) == 2
    check_format(entity, Row("n@k", "e", {"fmt": 2}, "1", NOW))


@pytest.mark.parametrize(
    ("event", "older"),
    [
        (TaskScheduled(1, "a", None, "l", None, {"t": 1}), TaskScheduled(1, "a", None, "l")),
        (SubOrchestrationCreated(1, "a", headers={}), SubOrchestrationCreated(1, "a")),
    ],
)
def test_an_event_without_headers_is_stored_as_it_was(event: Any, older: Any) -> None:
    assert event == older, "headers are for who carries the call out, and compare nothing"
    assert cast("Any", from_array(to_array(event))).headers == event.headers
    assert len(to_array(older)) < len(to_array(event))


def test_a_name_that_is_no_text_is_left_to_the_method() -> None:
    async def call(world: World) -> Any:
        await world.hosts[0].app.client.start_new(cast("Any", 7), "one")

    class Calling(Interceptor):
        async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
            assert call.name == ""
            return await proceed()

    with pytest.raises(TypeError, match="expected a function"):
        World(Registry().add(headed).intercept(Calling())).run(call)


@pytest.mark.parametrize("where", ["around_client_call", "around_activity", "around_orchestrator"])
def test_an_endless_loop_in_an_interceptor_is_interrupted_with_its_line(where: str) -> None:
    def loop_in(this: str) -> None:
        while this == where:
            pass

    class Endless(Interceptor):
        async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
            loop_in("around_client_call")
            return await proceed()

        def around_orchestrator(
            self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
        ) -> Orchestration[Any]:
            loop_in("around_orchestrator")
            return (yield from proceed())

        async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
            loop_in("around_activity")
            return await proceed()

    async def drive(world: World) -> str:
        try:
            await world.hosts[0].app.client.start_new(headed, "one", headers={"tenant": "acme"})
        except CodeHangsError as error:
            return str(error)
        status = await world.client.wait_for_completion("one", 60)
        return str(status.stuck_reason or status.failure)

    watch = HangWatch.start(0.3)
    assert watch is not None
    try:
        told = World(Registry().add(headed, tenant).intercept(Endless())).run(drive)
    finally:
        watch.stop()
    assert "blocked the event loop at unit/test_interceptors.py:" in told


async def test_the_command_line_works_on_a_store_without_the_interceptors_of_the_app(tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "durable.db"))
    registry = Registry().add(headed, tenant).intercept(Door())
    async with open_app(registry, settings) as app:
        with pytest.raises(CallRefusedError):
            await app.client.start_new(headed, "one")
    async with open_in_process(settings, registry, None) as api:
        answer = await api.call(Endpoint.START, route={"name": "headed", "instanceId": "one"})
        assert answer.status == 202
