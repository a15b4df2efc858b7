"""A bulk operation whose host is killed with kill -9, again and again: it ends, and each instance was changed once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import STORES, settings_of
from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient

APP = Path(__file__).parent / "apps" / "oncall"
COUNT = 60
KILLS = 3
PATIENCE = 240.0  # seconds; a message of a host that was killed is hidden for up to 30


@pytest.mark.parametrize("store", STORES)
async def test_it_goes_on_and_each_instance_gets_its_event_once(
    request: pytest.FixtureRequest, tmp_path: Path, store: str
) -> None:
    host = HostProcess(tmp_path / "host", env={**settings_of(request, store), "ONCALL_SMALL_PARTS": "1"}, app=APP)
    with host:
        async with HttpClient(host.url) as http:
            for number in range(COUNT):
                await http.start("collect", instance_id=f"c-{number:03}")
            chosen = {"instanceIdPrefix": "c-"}
            asked = {"action": "raiseEvent", "eventName": "Word", "data": "hello", "filter": chosen}
            begun = await http.call("POST", "/bulk", json=asked)
            assert begun.status == 202, begun
            for _ in range(KILLS):
                host.kill9()
                host.start()
                host.wait_ready()
            done = await _ended(http, begun.body["id"])
            assert done["runtimeStatus"] == "Completed", done
            assert (done["output"]["failed"], done["output"]["isComplete"]) == (0, True)
            for number in range(COUNT):
                await http.call("POST", f"/instances/c-{number:03}/raiseEvent/Word", json="end")
            for number in range(COUNT):
                assert (await _ended(http, f"c-{number:03}"))["output"] == ["hello"], number


async def _ended(http: HttpClient, instance_id: str) -> Any:
    give_up_at = time.monotonic() + PATIENCE
    while True:
        status = await http.call("GET", f"/instances/{instance_id}?timeout=20")
        if status.status == 200:
            return status.body
        assert time.monotonic() < give_up_at, status
