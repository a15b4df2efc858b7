"""Apps in the style of Durable Functions under the library that runs Python functions in Azure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.hosts import PROJECT
from tests.support.worker_venv import run_in_worker

SAMPLES = PROJECT / "samples" / "durable_functions"
APPS = sorted(path.parent for path in SAMPLES.glob("*/function_app.py"))

PLAIN = """
from __future__ import annotations

import asyncio
import logging

import azure.functions as func

import durable_core.df as df

app = df.DFApp()


@app.route(route="plain")
@app.durable_client_input(client_name="client")
def plain(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> dict:
    instance_id = asyncio.run(client.start_new("main", "one"))
    logging.info("started %s", instance_id)
    return client.create_check_status_response(req, instance_id)


@app.route(route="status")
@app.durable_client_input(client_name="client")
async def status(req: func.HttpRequest, client) -> str:
    return str((await client.get_status("one")).output)


@app.orchestration_trigger(context_name="context")
def main(context):
    return (yield context.call_activity(twice, 21))


@app.activity_trigger(input_name="value")
def twice(value: int) -> int:
    return 2 * value
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"DURABLE_STORE": str(tmp_path / "store.db"), "DURABLE_SIGNING_KEYS": "a key of these tests"}


@pytest.mark.parametrize("app", [SAMPLES / "blueprint", SAMPLES / "chaining"], ids=lambda app: app.name)
def test_azure_would_index_a_sample_and_see_no_binding_of_durable_functions(
    python: str, app: Path, env: dict[str, str]
) -> None:
    outcome = run_in_worker(python, app, [], env)
    assert outcome["indexing_error"] == ""
    types = {binding["type"] for bindings in outcome["functions"].values() for binding in bindings}
    assert types == {"httpTrigger", "http", "queueTrigger", "timerTrigger"}


def test_an_orchestration_runs_to_its_end(python: str, env: dict[str, str]) -> None:
    start = {"http": "http_start", "method": "POST", "params": {"functionName": "hello_cities"}, "body": '["Oslo"]'}
    listing = {"http": "durable_instances"}
    started, delivered, listed = run_in_worker(python, SAMPLES / "chaining", [start, {"deliver": 60}, listing], env)[
        "results"
    ]
    assert started["ok"], started["error"]
    assert (started["value"]["status"], started["value"]["headers"]["Retry-After"]) == (202, "10")
    assert delivered["ok"], delivered["error"]
    (instance,) = json.loads(listed["value"]["body"])
    assert (instance["name"], instance["runtimeStatus"]) == ("hello_cities", "Completed")


def test_a_plain_client_function_runs_in_a_thread_and_its_lines_belong_to_its_invocation(
    python: str, env: dict[str, str], tmp_path: Path
) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "function_app.py").write_text(PLAIN)
    outcome = run_in_worker(python, app, [{"http": "plain"}, {"deliver": 60}, {"http": "status"}], env)
    assert outcome["indexing_error"] == ""
    started, delivered, status = outcome["results"]
    assert started["ok"], started["error"]
    assert json.loads(started["value"]["body"])["id"] == "one"
    assert delivered["ok"], delivered["error"]
    assert status["value"] == "42"
    (line,) = (each for each in outcome["lines"] if each["text"].startswith("started"))
    assert line["thread"] != "MainThread"
    assert line["local"] or line["variable"]
