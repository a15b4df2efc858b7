"""Unit tests of existing apps run unchanged: they reach the user's functions and mock the context."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock, patch

import azure.functions as func
import pytest

import durable_core.df as df
from durable_core.df.testing import orchestrator_generator_wrapper
from durable_core.errors import ConfigurationError

app = df.DFApp()


@app.route(route="start/{name}")
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new(req.route_params["name"])
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def hello_cities(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    one = yield context.call_activity("say_hello", "Tokyo")
    try:
        two = yield context.call_activity("say_hello", "Seattle")
    except ValueError as error:
        two = f"not {error}"
    return [one, two]


@app.activity_trigger(input_name="city")
def say_hello(city: str) -> str:
    return f"Hello {city}!"


def task(result: Any = None, error: Exception | None = None) -> Any:
    class Task(MagicMock):
        @property
        def result(self) -> Any:
            if error is not None:
                raise error
            return result

    return Task()


def test_an_orchestrator_with_a_mocked_context() -> None:
    with patch("durable_core.df.DurableOrchestrationContext") as context:
        built: Any = hello_cities.build().get_user_function()
        function = built.orchestrator_function
        context.call_activity = Mock(side_effect=[task("hi"), task(error=ValueError("today"))])
        values = list(orchestrator_generator_wrapper(function(context)))
    assert len(values) == 3
    assert values[-1] == ["hi", "not today"]
    assert [call.args for call in context.call_activity.call_args_list] == [
        ("say_hello", "Tokyo"),
        ("say_hello", "Seattle"),
    ]


def test_an_orchestrator_that_ends_at_once() -> None:
    def nothing() -> Generator[Any, Any, str]:
        if task() is None:
            yield
        return "done"

    assert list(orchestrator_generator_wrapper(nothing())) == ["done"]


async def test_a_client_function_with_a_mocked_client() -> None:
    function = http_start.build().get_user_function().client_function
    client = AsyncMock(df.DurableOrchestrationClient)
    client.start_new.return_value = "an-id"
    client.create_check_status_response = Mock(return_value=func.HttpResponse("ok", status_code=202))
    request = func.HttpRequest("GET", "http://localhost/api/start/x", body=b"", route_params={"name": "hello_cities"})
    response = await function(request, client)
    assert response.status_code == 202
    client.start_new.assert_awaited_once_with("hello_cities")
    client.create_check_status_response.assert_called_once_with(request, "an-id")


def test_an_activity_is_the_function_itself() -> None:
    assert say_hello.build().get_user_function()("Tokyo") == "Hello Tokyo!"
    assert say_hello("Seattle") == "Hello Seattle!"


def test_an_orchestrator_cannot_be_called_with_the_json_of_the_extension() -> None:
    with pytest.raises(ConfigurationError, match=r"hello_cities\.build\(\)\.get_user_function\(\)"):
        hello_cities.build().get_user_function()("{}")
