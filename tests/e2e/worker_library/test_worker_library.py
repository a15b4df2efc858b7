"""Apps under the library that runs Python functions in Azure: they index there, and their triggers reach them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.tiny_host import PROJECT, TINY_APP
from tests.support.worker_venv import run_in_worker

APPS = [app for app in (TINY_APP, PROJECT) if (app / "function_app.py").exists()]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"TINY_LOG": str(tmp_path / "events.jsonl"), "DURABLE_STORE": str(tmp_path / "store.db")}


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_azure_would_index_the_app(python: str, app: Path, env: dict[str, str]) -> None:
    outcome = run_in_worker(python, app, [], env)
    assert outcome["indexing_error"] == ""
    triggers = [b["type"] for bindings in outcome["functions"].values() for b in bindings]
    assert {"httpTrigger", "queueTrigger", "timerTrigger"} <= set(triggers)


def test_an_app_that_azure_cannot_index_is_told_so(python: str, tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(
        "import azure.functions as func\n"
        "app = func.FunctionApp()\n"
        "@app.route('x')\n"
        "def f(request: func.HttpRequest): ...\n"
    )
    outcome = run_in_worker(python, tmp_path, [])
    assert "req" in outcome["indexing_error"]


STREAMING = """
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, StreamingResponse
from durable_core import Registry
from durable_core.hosting.functions import Durable

app = func.FunctionApp()
app.register_functions(Durable(Registry()).blueprint(http=HTTP))


@app.route("stream")
async def stream(req: Request) -> StreamingResponse:
    return StreamingResponse(iter(["a", "b"]))
"""


@pytest.mark.parametrize("http", [True, False])
def test_an_app_that_streams_has_functions_only_without_the_routes_of_the_management_api(
    python: str, tmp_path: Path, env: dict[str, str], http: bool
) -> None:
    (tmp_path / "function_app.py").write_text(STREAMING.replace("HTTP", str(http), 1))
    outcome = run_in_worker(python, tmp_path, [], env)
    expected = set[str]() if http else {"durable_control", "durable_work", "durable_recovery", "stream"}
    assert set(outcome["functions"]) == expected
    assert (outcome["indexing_error"] != "") is http


def test_an_http_request_runs_its_function(python: str, env: dict[str, str]) -> None:
    request = {"http": "echo", "method": "POST", "params": {"name": "bob"}, "query": {"a": "1"}, "body": "hällo"}
    failing = {"http": "broken"}
    answered, broken = run_in_worker(python, TINY_APP, [request, failing], env)["results"]
    assert answered["ok"], answered["error"]
    assert answered["value"]["status"] == 202
    assert answered["value"]["headers"]["X-Echo"] == "yes"
    seen = json.loads(answered["value"]["body"])
    assert (seen["route"], seen["query"], seen["body"]) == ({"name": "bob"}, {"a": "1"}, "hällo")
    assert not broken["ok"]
    assert "broken on purpose" in broken["error"]


def test_queue_messages_and_timers_run_their_functions(python: str, env: dict[str, str]) -> None:
    steps = [
        {"queue": "Control", "body": '{"m": 1}', "dequeue_count": 3},
        {"queue": "Work", "body": "plain"},
        {"queue": "failing", "body": "x"},
        {"timer": "tick", "past_due": True},
    ]
    results = run_in_worker(python, TINY_APP, steps, env)["results"]
    assert [each["ok"] for each in results] == [True, True, False, True], results
    events = [json.loads(line) for line in Path(env["TINY_LOG"]).read_text().splitlines()]
    assert [(e["event"], e.get("body"), e.get("count")) for e in events] == [
        ("control-begin", '{"m": 1}', 3),
        ("control", '{"m": 1}', 3),
        ("work-begin", "plain", 1),
        ("work", "plain", 1),
        ("failing", "x", 1),
        ("tick", None, None),
    ]
    assert events[-1]["past_due"] is True


def test_top_level_properties_of_a_message_overwrite_its_metadata(python: str, env: dict[str, str]) -> None:
    """Why our messages nest everything under one key: the driver shows the trap as the host has it."""
    (result,) = run_in_worker(python, TINY_APP, [{"queue": "Control", "body": '{"dequeueCount": 7}'}], env)["results"]
    assert result["ok"], result["error"]
    first = json.loads(Path(env["TINY_LOG"]).read_text().splitlines()[0])
    assert first["count"] == 7


def test_messages_in_the_store_are_delivered_until_none_is_left(python: str, env: dict[str, str]) -> None:
    send = {"http": "send", "method": "POST", "query": {"queue": "tiny-work"}, "body": "from the store"}
    make = {"http": "prepare", "method": "POST"}
    *_, delivered = run_in_worker(python, TINY_APP, [make, send, send, {"deliver": 60}], env)["results"]
    assert (delivered["ok"], delivered["value"]) == (True, 2), delivered["error"]
