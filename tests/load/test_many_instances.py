"""As many instances as the store takes: none is lost, none is refused, and memory does not grow with their number.

``DURABLE_SOAK`` makes it ten thousand.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path

import aiohttp
import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.models import RuntimeStatus
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from tests.support.busy_hub import BusyHub, completed
from tests.support.http_client import BASE
from tests.support.live_app import running

COUNT = 10_000 if "DURABLE_SOAK" in os.environ else 400
PER_INSTANCE = 10 * 1024  # bytes of growth for each instance that has ended: far less than it takes while it runs
SLACK = 48 * 1024 * 1024


def resident(pid: int | str = "self") -> int:
    """Bytes of memory that a process holds."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@activity
def double(number: int) -> int:
    return 2 * number


@orchestrator
def twice(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(double, number))


@pytest.mark.timeout(1800)
async def test_instances_started_all_at_once_are_all_accepted_and_all_complete(tmp_path: Path) -> None:
    storage = SqliteStorage(str(tmp_path / "hub.db"))
    async with running(Registry().add(double, twice), Settings(), storage) as app:
        client = app.client

        async def burst(first: int, last: int) -> None:
            """All at once: who is too fast for the store waits, and is not refused."""
            await asyncio.gather(*(client.start_new(twice, f"i{n}", n) for n in range(first, last)))
            while True:
                page = await client.list_instances(
                    runtime_status=[RuntimeStatus.PENDING, RuntimeStatus.RUNNING], page_size=1
                )
                if not page.instances:
                    return
                await asyncio.sleep(0.2)

        await burst(0, COUNT // 5)
        gc.collect()
        before = resident()
        began = time.monotonic()
        await burst(COUNT // 5, COUNT)
        took = time.monotonic() - began
        gc.collect()
        growth = resident() - before
        found = completed(await client.get_status_all())
        assert len(found) == COUNT
        assert app.instance_cache.warm_instances == 0, "what has ended is not kept"
        for n in range(0, COUNT, max(COUNT // 200, 1)):
            assert (await client.get_status(f"i{n}")).output == 2 * n
        assert growth < PER_INSTANCE * COUNT * 4 // 5 + SLACK, f"{growth} bytes"
        print(f"client: {COUNT} instances, {COUNT * 0.8 / took:.0f}/s, growth {growth / 1e6:.1f} MB")
    await storage.close()


@pytest.mark.timeout(1800)
async def test_instances_started_over_http_are_all_accepted_and_all_complete(tmp_path: Path) -> None:
    hub = BusyHub(tmp_path, [""])
    try:
        hub.start()
        pid = hub.hosts[0].pid
        refused: list[tuple[int, str]] = []
        limit = asyncio.Semaphore(64)
        timeout = aiohttp.ClientTimeout(total=600)
        async with hub.app() as app, aiohttp.ClientSession(timeout=timeout) as session:

            async def start(number: int) -> None:
                async with (
                    limit,
                    session.post(f"{hub.hosts[0].url}{BASE}/orchestrators/leaf/i{number}", json=number) as r,
                ):
                    if r.status != 202:
                        refused.append((r.status, await r.text()))

            await asyncio.gather(*(start(n) for n in range(COUNT // 5)))
            await hub.until_all_ended(app.client)
            before = resident(pid)
            await asyncio.gather(*(start(n) for n in range(COUNT // 5, COUNT)))
            found = completed(await hub.until_all_ended(app.client))
            growth = resident(pid) - before
        assert not refused, refused[:3]
        assert len(found) == COUNT
        assert len(hub.runs) == COUNT
        assert growth < PER_INSTANCE * COUNT * 4 // 5 + SLACK, f"{growth} bytes"
        print(f"http: {COUNT} instances, growth of the host {growth / 1e6:.1f} MB")
    finally:
        hub.stop()
