"""An app of Durable Functions, and how a test serves one: by URL and queue, without sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import azure.functions as func

import durable_core.df as df
from durable_core.settings import Settings
from tests.support.function_host import FunctionHost, host_of

SETTINGS = Settings(store=":memory:", signing_keys=("a key of these tests",), hub="dfhub")


@asynccontextmanager
async def served(app: df.DFApp) -> AsyncGenerator[FunctionHost]:
    functions = app.get_functions()
    async with host_of(app.durable, functions) as host:
        yield host


def make_app() -> df.DFApp:
    """An app with a starter, and orchestrators that greet, wait for an event, fail, and take long."""
    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS, settings=SETTINGS)

    @app.route(route="start/{name}/{id?}", methods=["POST"])
    @app.durable_client_input(client_name="client")
    async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
        data = req.get_json() if req.get_body() else None
        instance_id = await client.start_new(req.route_params["name"], req.route_params.get("id"), data)
        return client.create_check_status_response(req, instance_id)

    @app.orchestration_trigger(context_name="context")
    def greet(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        return (yield context.call_activity("hello", context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def wait(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        return (yield context.wait_for_external_event("go"))

    @app.orchestration_trigger(context_name="context")
    def fail(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
        yield context.call_activity("hello", None)

    @app.activity_trigger(input_name="name")
    def hello(name: str | None) -> str:
        if name is None:
            raise ValueError("no name")
        return f"Hello {name}"

    assert start and greet and wait and fail and hello
    return app
