"""A journaled activity under the local host, which is killed in each of its steps, and while it waits; and one that
takes longer than the host lets a function run."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.hosts import PROJECT, HostProcess

APP = PROJECT / "tests" / "e2e" / "apps" / "journaled"


async def test_a_killed_host_repeats_at_most_the_step_that_it_was_in(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.touch()
    host = HostProcess(tmp_path, app=APP)
    kills = 0
    try:
        host.start().wait_ready()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            api = f"{host.url}/api/durabletask"
            async with session.post(f"{api}/orchestrators/writing/one", json=str(file)) as answer:
                assert answer.status == 202
            for number in (1, 3, 5):
                await asyncio.to_thread(_until, file, number)
                host.kill9()
                kills += 1
                host.start().wait_ready()
            await _until_it_waits(session, api)
            host.kill9()
            host.start().wait_ready()
            async with session.post(f"{api}/instances/one/raiseEvent/Last", json=99) as answer:
                assert answer.status == 202
            shown = await _state(session, api, lambda shown: shown["runtimeStatus"] == "Completed")
            assert shown["output"] == [0, 1, 2, 3, 4, 5, 99]
        runs = Counter(int(line) for line in file.read_text().split())
        assert set(runs) == set(range(7))
        assert runs.total() <= 7 + kills + 1, f"a recorded step ran again: {runs}"
        assert max(runs.values()) <= 2, f"a recorded step ran again: {runs}"
    finally:
        host.kill9()


async def test_what_takes_longer_than_the_function_timeout_goes_on_in_another_invocation(tmp_path: Path) -> None:
    file, begins = tmp_path / "lines", tmp_path / "lines.begun"
    env = {
        "AzureFunctionsJobHost__functionTimeout": "00:00:05",
        "JOURNALED_STEPS": "10",
        "JOURNALED_SECONDS": "0.8",
        "DURABLE_MESSAGE_LEASE": "600",
    }
    with HostProcess(tmp_path, app=APP, env=env, options=["--azure-like"]) as host:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            api = f"{host.url}/api/durabletask"
            async with session.post(f"{api}/orchestrators/writing/one", json=str(file)) as answer:
                assert answer.status == 202
            await _until_it_waits(session, api)
            async with session.post(f"{api}/instances/one/raiseEvent/Last", json=99) as answer:
                assert answer.status == 202
            await _state(session, api, lambda shown: shown["runtimeStatus"] == "Completed")
        assert "functionTimeout" not in host.log, "the worker process was ended"
    assert file.read_text().split() == [str(number) for number in range(11)], "a step ran again"
    begun = Counter(begins.read_text().split())
    assert max(begun.values()) >= 2, f"no invocation was left before the wait: {begun}"


def _until(file: Path, lines: int) -> None:
    end = time.monotonic() + 60
    while _lines(file) < lines:
        assert time.monotonic() < end, f"no line {lines}"
        time.sleep(0.02)


def _lines(file: Path) -> int:
    return len(file.read_text().split())


async def _until_it_waits(session: aiohttp.ClientSession, api: str) -> None:
    async with asyncio.timeout(60):
        while True:
            async with session.get(f"{api}/instances/one/timeline") as answer:
                if "Last" in await answer.text():
                    return
            await asyncio.sleep(0.05)


async def _state(session: aiohttp.ClientSession, api: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            async with session.get(f"{api}/instances/one") as answer:
                shown = await answer.json()
            if wanted(shown):
                return shown
            await asyncio.sleep(0.1)
