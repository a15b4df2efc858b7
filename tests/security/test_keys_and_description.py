"""Which routes need a function key, in Azure and on the local host; and that the API's description is true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

import function_app
from durable_core import Registry
from durable_core.hosting.functions import Durable
from durable_core.hosting.http_routes import OPERATIONS, Endpoint
from durable_core.hosting.openapi import openapi_description
from durable_core.settings import Settings
from tests.support.function_host import FunctionHost, function_host
from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient

PROJECT = Path(__file__).resolve().parents[2]
SETTINGS = Settings(store=":memory:", signing_keys=("the key of these tests",))
CONCRETE = {
    "name": "order",
    "instanceId": "o-1",
    "eventName": "Go",
    "operation": "terminate",
    "queryName": "q",
    "updateName": "u",
    "streamName": "s",
    "scheduleId": "s",
    "entityName": "counter",
    "entityKey": "a",
}


def levels(app: func.FunctionApp) -> dict[str, str]:
    """The access level of every HTTP trigger, as Azure indexes it."""
    found: dict[str, str] = {}
    for function in app.get_functions():
        for binding in map(json.loads, function.get_raw_bindings()):
            if binding["type"] == "httpTrigger":
                found[str(function.get_function_name())] = binding["authLevel"]
    return found


KEYLESS = (Endpoint.CAPABILITY, Endpoint.UI)
EXPECTED = {
    f"durable_{endpoint.name.lower()}": "ANONYMOUS" if endpoint in KEYLESS else "FUNCTION" for endpoint in Endpoint
}


def test_the_app_asks_a_key_for_every_route_but_the_capability_urls_and_the_dashboards_files() -> None:
    assert levels(function_app.app) == EXPECTED


@pytest.mark.parametrize("own", list(func.AuthLevel))
def test_so_does_every_app_with_the_blueprint_whatever_its_own_level_is(own: func.AuthLevel) -> None:
    app = func.FunctionApp(http_auth_level=own)
    app.register_functions(Durable(Registry(), settings=SETTINGS).blueprint())

    @app.route(route="mine")
    def mine(req: func.HttpRequest) -> str:
        return "mine"

    found = levels(app)
    assert found.pop("mine") == own.value.upper()
    assert found == EXPECTED


def test_another_level_must_be_asked_for() -> None:
    app = func.FunctionApp()
    app.register_functions(Durable(Registry(), settings=SETTINGS, auth_level=func.AuthLevel.ADMIN).blueprint())
    assert set(levels(app).values()) == {"ADMIN", "ANONYMOUS"}


async def test_the_local_host_with_keys_refuses_every_route_without_one_but_the_signed_urls(tmp_path: Path) -> None:
    with HostProcess(tmp_path / "host", options=["--require-keys", "the-key"]) as running:
        async with HttpClient(running.url) as http:
            start = await http.call("POST", "/orchestrators/approval?code=the-key", json={"request": {}})
            assert start.status == 202
            for path, operations in described()["paths"].items():
                if path.startswith(("/c/", "/ui")):
                    continue
                for method in operations:
                    concrete = re.sub(r"\{(\w+)\}", lambda found: CONCRETE[found[1]], path)
                    for key in ("", "?code=", "?code=another", "?code=the-key%00"):
                        assert (await http.call(method.upper(), concrete + key)).status == 401, (method, concrete, key)
            assert (await http.call("GET", start.body["statusQueryGetUri"])).status == 202
            assert (await http.call("GET", "/c/forged")).status == 401
        assert "the-key" not in running.log


def described() -> Any:
    return openapi_description("https://orders.example/api/durabletask")


def test_every_route_and_method_is_described() -> None:
    routes = {
        (template.replace("?", ""), method)
        for endpoint in Endpoint
        for template in (endpoint.value.template, re.sub(r"/\{\w+\?\}", "", endpoint.value.template))
        for method in endpoint.value.methods
    }
    shown = {(path[1:], method.upper()) for path, found in described()["paths"].items() for method in found}
    assert shown == routes


def test_what_needs_no_key_is_described_so() -> None:
    for path, operations in described()["paths"].items():
        for operation in operations.values():
            assert (operation["security"] == []) is path.startswith(("/c/", "/ui")), path


def test_names_of_operations_differ_and_every_variable_of_a_path_is_described() -> None:
    ids: list[str] = []
    for path, operations in described()["paths"].items():
        for operation in operations.values():
            ids.append(operation["operationId"])
            described_here = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert described_here == set(re.findall(r"\{(\w+)\}", path))
    assert len(set(ids)) == len(ids)


def test_every_query_parameter_that_the_code_reads_is_described_and_explained() -> None:
    shown = {
        parameter["name"]
        for operations in described()["paths"].values()
        for operation in operations.values()
        for parameter in operation["parameters"]
        if parameter["in"] == "query"
    }
    code = (PROJECT / "durable_core/hosting/http_api.py").read_text("utf-8")
    read = set(re.findall(r'request\.(?:text|flag|seconds|count|moment|several)\("(\w+)"', code))
    assert read and read <= shown
    page = (PROJECT / "docs/http-api.md").read_text("utf-8")
    assert not [name for name in shown if name not in page]


def test_every_operation_is_described() -> None:
    found = described()["paths"]["/instances/{instanceId}/{operation}"]["post"]["parameters"]
    assert next(p for p in found if p["name"] == "operation")["schema"]["enum"] == list(OPERATIONS)


async def test_the_description_is_served_with_the_address_it_was_asked_at() -> None:
    async with function_host(Registry(), SETTINGS) as host:
        answer = await _get(host, "https://orders.example/api/durabletask/openapi.json")
    assert answer["openapi"] == "3.1.0"
    assert answer["servers"] == [{"url": "https://orders.example/api/durabletask"}]


async def _get(host: FunctionHost, url: str) -> Any:
    answer = await host.call("GET", url)
    assert answer.status == 200
    return answer.json()
