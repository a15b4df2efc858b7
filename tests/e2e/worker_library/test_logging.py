"""What is logged under the library that runs Python functions in Azure: each line with its invocation, and no noise."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

from durable_core.testing.azurite import Azurite
from tests.support.azurite import azurite
from tests.support.worker_venv import run_in_worker

__all__ = ["azurite"]

CALLS = 20
APP = f"""
import logging
import azure.functions as func
from durable_core import OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable

log = logging.getLogger("shop")


@activity
def plain(number: int) -> int:
    log.info("plain")
    return number


@activity
async def on_the_loop(number: int) -> int:
    log.info("async")
    return number


def step() -> None:
    log.info("step")


@orchestrator
def shop(ctx: OrchestrationContext, _: int):
    yield from ctx.call_activity(plain, 1)
    yield from ctx.run("step", step)
    fan = [ctx.call_activity(fn, n, inline=False) for n in range({CALLS}) for fn in (plain, on_the_loop)]
    return sum((yield from ctx.task_all(fan)))


durable = Durable(Registry().add(shop, plain, on_the_loop))
app = func.FunctionApp()
app.register_functions(durable.blueprint())
"""
START = {
    "http": "durable_start",
    "method": "POST",
    "url": "http://localhost:7071/api/durabletask/orchestrators/shop/one",
    "params": {"name": "shop", "instanceId": "one"},
    "body": "0",
}
STATUS = {
    "http": "durable_instance",
    "url": "http://localhost:7071/api/durabletask/instances/one",
    "params": {"instanceId": "one"},
}


def run_the_shop(python: str, folder: Path, env: dict[str, str]) -> list[dict[str, Any]]:
    """Everything that is logged while one instance runs to its end."""
    app = folder / "app"
    app.mkdir()
    (app / "function_app.py").write_text(APP)
    outcome = run_in_worker(python, app, [START, {"deliver": 100}, STATUS], env)
    assert outcome["indexing_error"] == ""
    started, delivered, status = outcome["results"]
    assert started["ok"], started["error"]
    assert delivered["ok"], delivered["error"]
    assert json.loads(status["value"]["body"])["output"] == sum(range(CALLS)) * 2
    return outcome["lines"]


def test_every_line_that_code_of_the_users_logs_in_a_thread_carries_its_invocation(python: str, tmp_path: Path) -> None:
    lines = run_the_shop(python, tmp_path, {"DURABLE_STORE": str(tmp_path / "store.db")})
    ours = [line for line in lines if line["logger"] == "shop"]
    assert Counter(line["text"] for line in ours) == {"plain": CALLS + 1, "async": CALLS, "step": 1}
    in_threads = [line for line in ours if line["thread"].startswith("activity")]
    assert len(in_threads) == CALLS + 2
    for line in in_threads:
        assert line["local"] is not None, line
        assert line["variable"] == line["local"], "workers for Python 3.13 look at one, those before at the other"
    assert len({line["local"] for line in in_threads}) > 1, "each invocation has an id of its own"


def test_no_request_to_storage_is_a_line_of_the_users_log(python: str, tmp_path: Path, azurite: Azurite) -> None:
    env = {
        "AzureWebJobsStorage": azurite.connection_string,
        "DURABLE_HUB": f"t{uuid4().hex[:12]}",
        "DURABLE_SIGNING_KEYS": "a key for this test alone",
    }
    lines = run_the_shop(python, tmp_path, env)
    of_storage = [line for line in lines if line["logger"].startswith(("azure.core", "azure.data", "azure.storage"))]
    assert not of_storage
    assert not [line for line in lines if line["logger"] == "durable_core.storage.requests"]
