"""Apps and blueprints: what the Functions host indexes, which names functions have, and what is refused."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func
import pytest

import durable_core.df as df
from durable_core import OrchestrationContext, Registry, orchestrator
from durable_core.errors import ConfigurationError, RegistrationError
from durable_core.hosting.functions import Durable
from durable_core.hosting.local.functions_index import load_functions
from durable_core.testing import TestEnvironment
from tests.df.apps import SETTINGS, make_app, served
from tests.df.test_surface import needs_it
from tests.support.function_host import ORIGIN, host_of

HOOKS = {"durable_control", "durable_work", "durable_recovery", "durable_start", "durable_capability"}


def names(app: Any) -> list[str]:
    return [function.get_function_name() for function in app.get_functions()]


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_STORE", ":memory:")
    monkeypatch.setenv("DURABLE_SIGNING_KEYS", "a key of these tests")


def greeter(name: str) -> df.Blueprint:
    """A blueprint with an orchestrator, an activity, a client function and an unrelated function, all of this name."""
    blueprint = df.Blueprint()

    @blueprint.route(route=f"start/{name}", methods=["POST"])
    @blueprint.durable_client_input(client_name="client")
    @blueprint.function_name(f"start_{name}")
    async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        return client.create_check_status_response(req, await client.start_new(name))

    @blueprint.function_name(name)
    @blueprint.orchestration_trigger(context_name="context")
    def orchestrate(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        return (yield context.call_activity(f"say_{name}", name))

    @blueprint.activity_trigger(input_name="who", activity=f"say_{name}")
    def say(who: str) -> str:
        return f"hello from {who}"

    @blueprint.route(route=f"ping/{name}", methods=["GET"])
    @blueprint.function_name(f"ping_{name}")
    def ping(req: func.HttpRequest) -> str:
        return name

    assert start and orchestrate and say and ping
    return blueprint


def test_the_host_indexes_the_functions_of_durable_core_in_the_place_of_durable_functions() -> None:
    app = make_app()
    found = names(app)
    assert set(found) >= HOOKS | {"start"}
    assert not set(found) & {"greet", "wait", "fail", "hello"}
    assert names(app) == found, "it may be indexed again"
    bindings = {binding.type for function in app.get_functions() for binding in function.get_bindings()}
    assert bindings == {"httpTrigger", "http", "queueTrigger", "timerTrigger"}, "no binding of the extension"


@pytest.mark.parametrize("kind", ["DFApp", "FunctionApp"])
async def test_several_blueprints_share_one_durable_beside_unrelated_functions(kind: str) -> None:
    app: Any = df.DFApp() if kind == "DFApp" else func.FunctionApp()
    first, second = greeter("one"), greeter("two")
    app.register_functions(first)
    app.register_blueprint(second)
    plain = func.Blueprint()

    @plain.route(route="unrelated", methods=["GET"])
    def unrelated(req: func.HttpRequest) -> str:
        return "unrelated"

    app.register_functions(plain)
    functions = app.get_functions()
    found = [function.get_function_name() for function in functions]
    assert sorted(found) == sorted(set(found))
    assert set(found) >= HOOKS | {"start_one", "start_two", "ping_one", "ping_two", "unrelated"}
    hooks: set[Any] = {getattr(f.get_user_function(), "__durable_hooks__", None) for f in functions} - {None}
    assert len(hooks) == 1
    durable = hooks.pop()
    assert durable.registry.orchestrator_names == ["one", "two"]
    assert durable.registry.activity_names == ["say_one", "say_two"]
    async with host_of(durable, functions) as host:
        for name in ("one", "two"):
            links = (await host.call("POST", f"{ORIGIN}/api/start/{name}")).json()
            await host.drain()
            assert (await host.call("GET", links["statusQueryGetUri"])).json()["output"] == f"hello from {name}"


def test_a_blueprint_joins_the_durable_of_an_app_of_our_own_api() -> None:
    @orchestrator
    def ours(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
        return (yield from ctx.call_activity("say_one", "ours"))

    app = func.FunctionApp()
    durable = Durable(Registry().add(ours), settings=SETTINGS)
    app.register_functions(durable.blueprint())
    app.register_functions(greeter("one"))
    assert set(names(app)) >= HOOKS | {"start_one"}
    assert durable.registry.orchestrator_names == ["one", "ours"]
    with TestEnvironment(durable.registry) as env:
        assert env.result(env.start("ours")) == "hello from ours"


def test_a_scan_of_a_module_finds_the_functions_of_its_app_once() -> None:
    module = ModuleType("shop")
    app = df.DFApp()
    app.register_functions(greeter("a"))
    vars(module).update(app=app, same=app, blueprint=greeter("not registered"))
    found = Registry.scan(module)
    assert (found.orchestrator_names, found.activity_names) == (["a"], ["say_a"])
    with TestEnvironment(module) as env:
        assert env.result(env.start("a")) == "hello from a"


def test_two_apps_in_one_process_stay_apart() -> None:
    one, two = func.FunctionApp(), func.FunctionApp()
    one.register_functions(greeter("a"))
    two.register_functions(greeter("b"))
    first, second = names(one), names(two)
    assert "start_a" in first and "start_b" in second
    assert "start_b" not in first


def test_one_blueprint_in_two_apps_is_whole_in_both() -> None:
    blueprint, one, two = greeter("a"), func.FunctionApp(), func.FunctionApp()
    one.register_functions(blueprint)
    two.register_functions(blueprint)
    for app in (one, two):
        hooks = (getattr(function.get_user_function(), "__durable_hooks__", None) for function in app.get_functions())
        durable: Any = next(found for found in hooks if found is not None)
        assert durable.registry.orchestrator_names == ["a"]


def test_a_blueprint_that_is_registered_twice_is_refused_as_by_azure() -> None:
    app, blueprint = df.DFApp(), greeter("a")
    app.register_functions(blueprint)
    app.register_functions(blueprint)
    with pytest.raises(ValueError, match="does not have a unique"):
        app.get_functions()


def test_functions_with_other_triggers_are_starters_too() -> None:
    app = df.DFApp()

    @app.queue_trigger(arg_name="message", queue_name="orders", connection="AzureWebJobsStorage")  # pyright: ignore[reportUnknownMemberType]
    @app.durable_client_input(client_name="client")
    async def on_message(message: func.QueueMessage, client: df.DurableOrchestrationClient) -> None: ...

    @app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")  # pyright: ignore[reportUnknownMemberType]
    @app.durable_client_input(client_name="client")
    def on_timer(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None: ...

    assert on_message and on_timer
    functions = {each.get_function_name(): each.get_user_function() for each in app.get_functions()}
    assert list(inspect.signature(functions["on_message"]).parameters) == ["message"]
    plain = inspect.signature(functions["on_timer"]).parameters
    assert list(plain) == ["timer", "context"]
    assert plain["context"].default is None
    assert typing.get_type_hints(functions["on_timer"])["context"] is func.Context


async def test_orchestrators_of_both_apis_call_each_other() -> None:
    app = make_app()

    @orchestrator
    def ours(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
        return (yield from ctx.call_sub_orchestrator("greet", "Joe"))

    app.registry.add(ours)
    async with served(app) as host:
        client = await host.durable.client()
        instance = await client.start_new("ours")
        await host.drain()
        assert (await client.get_status(instance)).output == "Hello Joe"


def test_the_worker_does_not_see_the_client_and_return_annotations_are_not_enforced() -> None:
    app = df.DFApp()

    @app.route(route="x/{id}")
    @app.durable_client_input(client_name="client")
    async def start(req: func.HttpRequest, client: "Unknown", context: func.Context) -> "Unknown": ...  # type: ignore[name-defined]  # noqa: F821, UP037

    function = start.build().get_user_function()
    assert inspect.iscoroutinefunction(function)
    signature = inspect.signature(function)
    assert list(signature.parameters) == ["req", "context"]
    assert signature.return_annotation is inspect.Signature.empty
    assert typing.get_type_hints(function) == {"req": func.HttpRequest, "context": func.Context}


def test_the_order_of_decorators_does_not_matter() -> None:
    app = df.DFApp()

    @app.durable_client_input(client_name="client")
    @app.route(route="below")
    async def below(req: func.HttpRequest, client: Any) -> None: ...

    @app.function_name("Above")
    @app.activity_trigger(input_name="x")
    def above(x: int) -> None: ...

    @app.orchestration_trigger(context_name="c")
    @app.function_name("Under")
    def under(c: Any) -> None: ...

    assert below and above and under
    assert "below" in names(app)
    assert (app.registry.activity_names, app.registry.orchestrator_names) == (["Above"], ["Under"])


async def refuse(make: Any) -> str:
    with pytest.raises((ConfigurationError, ValueError)) as caught:
        app = df.DFApp(settings=SETTINGS)
        make(app)
        app.get_functions()
    return str(caught.value)


async def test_what_does_not_fit_is_refused_with_what_to_do() -> None:
    def asynchronous(app: df.DFApp) -> None:
        @app.orchestration_trigger(context_name="c")
        async def orchestrate(c: Any) -> None: ...

        assert orchestrate

    def other_parameter(app: df.DFApp) -> None:
        @app.activity_trigger(input_name="value")
        def act(number: int) -> None: ...

        assert act

    def needs_more(app: df.DFApp) -> None:
        @app.activity_trigger(input_name="value")
        def act(value: int, more: int) -> None: ...

        assert act

    def with_binding(app: df.DFApp) -> None:
        @app.blob_input(  # pyright: ignore[reportUnknownMemberType]
            arg_name="blob", path="x", connection="AzureWebJobsStorage"
        )
        @app.activity_trigger(input_name="value")
        def act(value: int, blob: Any = None) -> None: ...

        assert act

    def yielding_activity(app: df.DFApp) -> None:
        @app.activity_trigger(input_name="value")
        def act(value: int) -> Generator[int, None, None]:
            yield value

        assert act

    def twins(app: df.DFApp) -> None:
        for _ in range(2):

            @app.activity_trigger(input_name="value", activity="same")
            def act(value: int) -> None: ...

            assert act

    def other_hub(app: df.DFApp) -> None:
        @app.route(route="x")
        @app.durable_client_input(client_name="client", task_hub="elsewhere")
        async def start(req: func.HttpRequest, client: Any) -> None: ...

        assert start

    def no_client(app: df.DFApp) -> None:
        @app.route(route="x")
        @app.durable_client_input(client_name="klient")
        async def start(req: func.HttpRequest, client: Any) -> None: ...

        assert start

    def reserved(app: df.DFApp) -> None:
        @app.orchestration_trigger(context_name="c", orchestration="durable.own")
        def orchestrate(c: Any) -> None: ...

        assert orchestrate

    expected = {
        asynchronous: "an orchestrator is a plain generator function; remove 'async'",
        other_parameter: "has no parameter 'value', which its decorator names",
        needs_more: "no binding provides the parameter 'more' of the activity 'act'",
        with_binding: "has a binding of type 'blob', which durable_core does not serve",
        yielding_activity: "an activity returns its result; it does not yield",
        twins: "two activities are named 'same'",
        other_hub: "durable_core reaches no other one, such as 'elsewhere'",
        no_client: "has no parameter 'klient', which durable_client_input names as client_name",
        reserved: "names that begin with 'durable.' are reserved",
    }
    for make, text in expected.items():
        told = await refuse(make)
        assert text in told, (make.__name__, told)


async def test_a_client_function_of_a_blueprint_that_no_app_has_says_so() -> None:
    blueprint = greeter("x")
    function = next(f for f in blueprint._builders.indexed if f._function.get_function_name() == "start_x")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(ConfigurationError, match="not registered"):
        await function.build().get_user_function()(req=None)


def test_a_durable_function_in_a_plain_function_app_is_refused_when_it_is_indexed() -> None:
    """``FunctionApp.orchestration_trigger`` finds ``azure.durable_functions``, which may be this package."""
    app, blueprint = func.FunctionApp(), df.Blueprint()

    @blueprint.orchestration_trigger(context_name="context")
    def orchestrate(context: Any) -> None: ...

    app._function_builders.append(orchestrate)  # pyright: ignore[reportPrivateUsage]  what that decorator does
    with pytest.raises(RegistrationError, match=r"use durable_core\.df\.DFApp"):
        app.get_functions()


UNCHANGED = """
import azure.functions as func
import azure.durable_functions as df
app = df.DFApp()
"""
ORCHESTRATOR = """
@app.orchestration_trigger(context_name="context")
def orchestrate(context):
    yield context.call_activity("act")
"""
CLIENT = """
@app.route(route="start")
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client): ...
"""


@needs_it
@pytest.mark.parametrize("code", [ORCHESTRATOR, CLIENT])
def test_the_local_host_says_which_line_of_an_unchanged_app_to_change(
    tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "function_app", ModuleType("function_app"))  # put back after the test
    (tmp_path / "function_app.py").write_text(UNCHANGED + code)
    with pytest.raises(ConfigurationError, match=r"write 'import durable_core\.df as df' in the place of"):
        load_functions(tmp_path, {})


def test_an_activity_may_take_the_context_of_its_invocation() -> None:
    app = df.DFApp()

    @app.activity_trigger(input_name="value")
    def act(value: int, context: Any) -> list[Any]:
        return [value, context.function_name]

    @app.orchestration_trigger(context_name="c")
    def orchestrate(c: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        return (yield c.call_activity(act, 3))

    assert orchestrate
    with TestEnvironment(app.registry) as env:
        assert env.result(env.start("orchestrate")) == [3, "act"]
