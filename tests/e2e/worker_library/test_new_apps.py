"""Apps as ``durable_core init`` makes them, under the library that runs Python functions in Azure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from durable_core.cli.new_app.rendering import TEMPLATES, NewApp
from tests.support.worker_venv import run_in_worker

ORDER = json.dumps({"order_id": "o-1", "cents": 4200})
JSON = {"content-type": "application/json", "content-length": str(len(ORDER))}
STARTS: dict[str, dict[str, Any]] = {
    "package": {
        "http": "durable_start",
        "url": "http://localhost:7071/api/durabletask/orchestrators/order/o-1",
        "params": {"functionName": "order", "name": "order", "orchestratorName": "order", "instanceId": "o-1"},
    },
    "durable-functions": {"http": "start_order", "url": "http://localhost:7071/api/orders"},
    "fastapi": {"http": "web", "url": "http://localhost:7071/api/orders", "params": {"path": "orders"}},
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_azure_would_index_a_new_app_and_run_an_order_up_to_its_wait(
    python: str, template: str, tmp_path: Path
) -> None:
    app = tmp_path / "app"
    for name, content in NewApp(name="order-service", template=template, wheel="none").files().items():
        path = app / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    steps = [STARTS[template] | {"method": "POST", "headers": JSON, "body": ORDER}, {"deliver": 60}]
    env = {"DURABLE_STORE": str(tmp_path / "store.db"), "DURABLE_SIGNING_KEYS": "a key of these tests"}
    outcome = run_in_worker(python, app, steps, env)
    assert outcome["indexing_error"] == ""
    assert {"durable_control", "durable_work", "durable_recovery"} <= outcome["functions"].keys()
    started, delivered = outcome["results"]
    assert started["ok"], started["error"]
    assert str(started["value"]["status"]) == "202", started
    assert delivered["ok"], delivered["error"]
    assert any("charging 4200 cents for o-1" in line["text"] for line in outcome["lines"])
