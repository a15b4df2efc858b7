"""One trace through three host processes, two of which are killed: no span twice, and none without its parent."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.hosts import PROJECT, HostProcess
from tests.support.http_client import HttpClient
from tests.support.otlp import Collector

from .conftest import STORES, settings_of

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra 'otel' is not installed")

APP = PROJECT / "tests" / "e2e" / "apps" / "traced"
THEIRS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATIENCE = 120.0  # seconds; no test asserts a duration


def wait_until(holds: Callable[[], object], host: HostProcess) -> None:
    give_up_at = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up_at, host.log
        time.sleep(0.05)


@pytest.mark.parametrize("store", STORES)
async def test_a_trace_is_whole_though_two_of_its_three_hosts_are_killed(
    request: pytest.FixtureRequest, tmp_path: Path, store: str
) -> None:
    with Collector() as collector:
        env = {
            **settings_of(request, store),
            "DURABLE_MESSAGE_LEASE": "3",
            "DURABLE_METRICS": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "TRACED_FOLDER": str(tmp_path),
        }

        def host(name: str) -> HostProcess:
            return HostProcess(tmp_path / "hosts", env=env, app=APP, name=name)

        one = host("one")
        with one:
            async with HttpClient(one.url) as http:
                started = await http.call("POST", "/orchestrators/order/o-1", headers={"traceparent": THEIRS})
                assert started.status == 202, started
            wait_until((tmp_path / "holding").exists, one)
            one.kill9()
        (tmp_path / "go").touch()
        two = host("two")
        with two:
            async with HttpClient(two.url) as http:
                await http.wait_until("o-1", lambda found: found["customStatus"] == "waiting", within=PATIENCE)
            two.kill9()
        three = host("three")
        with three:
            async with HttpClient(three.url) as http:
                await http.raise_event("o-1", "Go")
                done = await http.wait_until(
                    "o-1", lambda found: found["runtimeStatus"] == "Completed", within=PATIENCE
                )
                async with asyncio.timeout(PATIENCE):  # the list and the numbers follow the end
                    metrics = await http.call("GET", "/metrics")
                    while "durable_instances_open 0\n" not in metrics.body:
                        await asyncio.sleep(0.05)
                        metrics = await http.call("GET", "/metrics")
            assert metrics.status == 200 and metrics.headers["Content-Type"].startswith("application/openmetrics-text")
            assert 'durable_orchestration_completed_total{name="order",status="Completed"} 1\n' in metrics.body
            assert "o-1" not in metrics.body
            assert len(set(done["output"])) == 3, "each activity ended in another process"
        check(collector.spans)


def check(spans: list[Any]) -> None:
    trace_id, caller = bytes.fromhex(THEIRS[3:35]), bytes.fromhex(THEIRS[36:52])
    assert {span.trace_id for span in spans} == {trace_id}
    twice = {key: count for key, count in Counter((s.name, s.span_id) for s in spans).items() if count > 1}
    assert not twice, f"exported twice: {twice}"
    known = {span.span_id for span in spans} | {caller}
    orphans = [span.name for span in spans if span.parent_span_id not in known]
    assert not orphans, f"without their parent: {orphans}"
    names = Counter(span.name for span in spans)
    for name, count in {
        "create_orchestration:order": 1,
        "orchestration:order": 1,
        "orchestration:child": 2,  # the call, and the child
        "activity:first": 2,  # the call, and its attempt
        "activity:hold": 2,
        "activity:last": 2,
        "inside first": 1,
        "inside hold": 1,
        "orchestration_event:Go": 1,
    }.items():
        assert names[name] == count, names
