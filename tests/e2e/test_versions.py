"""A second build is deployed, on real local hosts over the embedded store: in one go, and host by host."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient

APPS = Path(__file__).parent / "apps"
COLD = {"DURABLE_WARM_CACHE": "0"}


def host(folder: Path, release: int, name: str, env: dict[str, str] | None = None) -> HostProcess:
    return HostProcess(folder, app=APPS / f"release_{release}", name=name, env=env, options=["--verbose"])


async def until_it_waits_behind(http: HttpClient, instance_id: str, last: str) -> None:
    """The activity that was scheduled last, and all before it, have ended."""

    def waits(status: dict[str, Any]) -> bool:
        events = status["historyEvents"]
        calls = [event for event in events if event["EventType"] == "TaskScheduled"]
        ended = [event for event in events if event["EventType"] == "TaskCompleted"]
        return bool(calls) and calls[-1]["Input"] == last and len(ended) == len(calls)

    await http.wait_until(instance_id, waits, history=True)


def assert_recorded_once(status: dict[str, Any]) -> None:
    results = Counter(event["TaskId"] for event in status["historyEvents"] if event["EventType"] == "TaskCompleted")
    assert results
    assert set(results.values()) == {1}
    assert "stuckReason" not in status


async def finish(http: HttpClient, instance_id: str, *events: str) -> tuple[str, str]:
    """Version and output of an instance that must complete."""
    for event in events:
        await http.raise_event(instance_id, event)
    await http.output_of(instance_id)
    status = await http.status(instance_id, history=True)
    assert_recorded_once(status)
    return status.get("version", ""), status["output"]


@pytest.mark.parametrize("cache", ["warm", "cold"])
async def test_running_instances_finish_on_version_1_and_new_ones_run_version_2(tmp_path: Path, cache: str) -> None:
    env = COLD if cache == "cold" else {}
    with host(tmp_path, 1, "before", env) as before:
        async with HttpClient(before.url) as http:
            await http.start("order", instance_id="old")
            await http.start("changed", instance_id="past")
            await http.start("changed", instance_id="ahead")
            await http.raise_event("past", "on")
            await until_it_waits_behind(http, "old", "B")
            await until_it_waits_behind(http, "past", "B")
            await until_it_waits_behind(http, "ahead", "A")
            refused = await http.call("POST", "/orchestrators/order?version=2")
            assert refused.status == 400
            assert "registered: 'order' in version '1'" in refused.body["error"]["message"]
    with host(tmp_path, 2, "after", env) as after:
        async with HttpClient(after.url) as http:
            await http.start("order", instance_id="new")
            answer = await http.call("POST", "/orchestrators/order/asked?version=1")
            assert answer.status == 202
            await http.start("changed", instance_id="fresh")
            assert await finish(http, "old", "go") == ("1", "ABC")
            assert await finish(http, "new", "go") == ("2", "ABB2C")
            assert await finish(http, "asked", "go") == ("1", "ABC")
            assert await finish(http, "past", "go") == ("", "ABC")
            assert await finish(http, "ahead", "on", "go") == ("", "ABB2C")
            assert await finish(http, "fresh", "on", "go") == ("", "ABB2C")


async def test_hosts_of_two_builds_share_a_hub_and_are_swapped_one_by_one(tmp_path: Path) -> None:
    """Instances of both builds, events through either; then the last old host goes, and all have ended well."""
    async with AsyncExitStack() as stack:
        old, new = host(tmp_path, 1, "old"), host(tmp_path, 2, "new")
        stack.enter_context(old)
        by_old = await stack.enter_async_context(HttpClient(old.url))
        for number in range(4):
            await by_old.start("order", instance_id=f"order-{number}")
            await by_old.start("changed", instance_id=f"changed-{number}")
            await by_old.raise_event(f"changed-{number}", "on")
        stack.enter_context(new)
        by_new = await stack.enter_async_context(HttpClient(new.url))
        for number in range(4, 8):
            http = by_new if number % 2 else by_old
            await http.start("order", instance_id=f"order-{number}")
            await http.start("changed", instance_id=f"changed-{number}")
            await http.raise_event(f"changed-{number}", "on")
        for number in range(0, 8, 2):  # through the other host than the one that it was started by
            await (by_old if number % 4 else by_new).raise_event(f"order-{number}", "go")
            await (by_new if number % 4 else by_old).raise_event(f"changed-{number}", "go")
        assert old.stop() == 0
        ends: dict[str, tuple[str, str]] = {}
        for number in range(8):
            events = ["go"] if number % 2 else []
            ends[f"order-{number}"] = await finish(by_new, f"order-{number}", *events)
            ends[f"changed-{number}"] = await finish(by_new, f"changed-{number}", *events)
    for number in range(8):
        of_new_build = number in (5, 7)
        assert ends[f"order-{number}"] == (("2", "ABB2C") if of_new_build else ("1", "ABC"))
        version, output = ends[f"changed-{number}"]
        assert version == ""
        assert output in ("ABC", "ABB2C")
    for log in (old.log, new.log):  # a host may find that it is of the wrong build; no host gives an instance up
        assert "is stuck:" not in log
