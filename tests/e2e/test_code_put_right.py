"""Real local hosts on the embedded store: wrong code parks an instance, HTTP shows why, the right code completes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.hosts import PROJECT, HostProcess
from tests.support.http_client import HttpClient

APP = PROJECT / "tests" / "e2e" / "apps" / "changing"
FILE_LINE = next(
    number
    for number, line in enumerate((APP / "function_app.py").read_text().splitlines(), 1)
    if "the status must name" in line
)


def host_of(folder: Path, code: str, env: Mapping[str, str]) -> HostProcess:
    """A host of one build of the app; all builds say that they are the same one, as a developer's do."""
    settings = {"ORDER_CODE": code, "RAN": str(folder / "ran"), "DURABLE_APP_BUILD": "one", **env}
    return HostProcess(folder, app=APP, env=settings, name=code)


def recover(folder: Path) -> None:
    """What the hosts' recovery timer does every five minutes."""
    command = [sys.executable, "-m", "durable_core", "recover", "--timer", "--store", str(folder / "durable.db")]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)


@pytest.mark.parametrize("cache", ["67108864", "0"], ids=["warm", "cold"])
async def test_an_instance_that_uses_a_file_is_stuck_and_completes_with_the_right_code(
    tmp_path: Path, cache: str
) -> None:
    env = {"DURABLE_WARM_CACHE": cache}
    with host_of(tmp_path, "uses_a_file", env) as host:
        async with HttpClient(host.url) as http:
            await http.start("order", None, "one")
            await http.raise_event("one", "go", 7)
            status = await http.wait_until("one", lambda shown: "stuckReason" in shown)
            assert status["runtimeStatus"] == "Running"
            assert f"changing/function_app.py:{FILE_LINE}" in status["stuckReason"]
            assert "ctx.call_activity" in status["stuckReason"]
    await goes_on(tmp_path, env)


@pytest.mark.parametrize("cache", ["67108864", "0"], ids=["warm", "cold"])
async def test_an_instance_whose_history_does_not_fit_is_stuck_and_completes_with_the_right_code(
    tmp_path: Path, cache: str
) -> None:
    env = {"DURABLE_WARM_CACHE": cache}
    with host_of(tmp_path, "right", env) as host:
        async with HttpClient(host.url) as http:
            await http.start("order", None, "one")
            await http.wait_until("one", lambda _: (tmp_path / "ran").exists())
            await http.wait_until(
                "one",
                lambda shown: any(event["EventType"] == "TaskCompleted" for event in shown["historyEvents"]),
                history=True,
            )
    with host_of(tmp_path, "calls_another", env) as host:
        async with HttpClient(host.url) as http:
            await http.raise_event("one", "go", 7)
            status = await http.wait_until("one", lambda shown: "stuckReason" in shown)
            assert status["runtimeStatus"] == "Running"
            for text in ("name='act'", "name='other'", "changing/function_app.py:", "likely cause:", "what to do:"):
                assert text in status["stuckReason"]
    await goes_on(tmp_path, env)


async def test_an_edited_orchestrator_is_stuck_at_once_by_a_host_that_is_alone_and_shown_by_one_that_is_not(
    tmp_path: Path,
) -> None:
    """What a developer does: start, edit, start again; each edit is another build."""
    log = "no longer matches the history"
    with host_of(tmp_path, "right", {}) as host:
        async with HttpClient(host.url) as http:
            await http.start("order", None, "one")
            await http.wait_until(
                "one",
                lambda shown: any(event["EventType"] == "TaskCompleted" for event in shown["historyEvents"]),
                history=True,
            )
    with host_of(tmp_path, "calls_another", {"DURABLE_APP_BUILD": "two"}) as host:
        async with HttpClient(host.url) as http:
            await http.raise_event("one", "go", 7)
            status = await http.wait_until("one", lambda shown: "stuckReason" in shown)
            assert status["stuckReason"].startswith("orchestrator 'order' no longer matches the history")
            assert log in host.log
            answer = await http.call("GET", "/instances/one/query/anything")
            assert (answer.status, answer.body["error"]["code"]) == (409, "NonDeterminism")
            assert log in answer.body["error"]["message"]
            with host_of(tmp_path, "right", {"DURABLE_APP_BUILD": "three"}) as other:
                async with HttpClient(other.url) as http:
                    await http.raise_event("one", "more", 8)
                    assert await http.output_of("one") == ["first", 7, "second"]


async def goes_on(folder: Path, env: Mapping[str, str]) -> None:
    """A host with the right code completes it; each activity has run once."""
    with host_of(folder, "right", env) as host:
        recover(folder)
        async with HttpClient(host.url) as http:
            assert await http.output_of("one") == ["first", 7, "second"]
            assert "stuckReason" not in await http.status("one")
    assert (folder / "ran").read_text().split() == ["first", "second"]


async def test_the_guard_can_be_turned_off(tmp_path: Path) -> None:
    with host_of(tmp_path, "uses_a_file", {"DURABLE_GUARD": "false"}) as host:
        async with HttpClient(host.url) as http:
            await http.start("order", None, "one")
            await http.raise_event("one", "go", 7)
            assert await http.output_of("one") == ["first", 7, "second"]
