"""Every queue is purged in the middle of a busy hub of real hosts; ``recover`` rebuilds it all, and all completes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from durable_core.runtime.app import DurableApp
from durable_core.storage.open import open_storage
from tests.support.busy_hub import BusyHub, completed
from tests.support.hosts import PROJECT
from tests.support.http_client import BASE

INSTANCES = 300 if "DURABLE_SOAK" in os.environ else 40


async def purge(hub: BusyHub) -> int:
    """Every message of the hub, in flight or not; returns how many there were."""
    storage = open_storage(hub.settings)
    try:
        async with hub.app() as app:
            names = [*app.hub.names.queues, *app.hub.names.poison_queues]
        there = sum([await storage.queue(name).count() for name in names])
        for name in names:
            await storage.queue(name).clear()
        return there
    finally:
        await storage.close()


async def recover(hub: BusyHub, app: DurableApp, how: str) -> None:
    """By one of its doors."""
    match how:
        case "client":
            report = await app.client.recover()
            assert report.woken_up >= report.open_instances > 0
        case "http":
            async with (
                aiohttp.ClientSession() as session,
                session.post(f"{hub.hosts[1].url}{BASE}/recover") as response,
            ):
                assert response.status == 200
                assert (await response.json())["woken_up"] > 0
        case _:
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "durable_core", "recover", "--store", hub.settings.store],
                env={**os.environ, "PYTHONPATH": str(PROJECT), "DURABLE_HUB": hub.hub},
                capture_output=True,
                text=True,
                timeout=300,
                check=True,
            )
            assert "woken_up: 0" not in done.stdout, done.stdout


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["client", "http", "command line"])
async def test_everything_completes_after_every_queue_was_purged(how: str, tmp_path: Path) -> None:
    hub = BusyHub(tmp_path, ("", ""))
    names = [f"busy-{n}" for n in range(INSTANCES)]
    try:
        hub.start()
        async with hub.app() as app, aiohttp.ClientSession() as session:
            starting = asyncio.gather(*(hub.start_instance(session, "busy", name, n) for n, name in enumerate(names)))
            purged = 0
            for share in (2, 4):  # in the middle of the chains, and again when the children are at work
                await hub.until(lambda share=share: len(hub.runs) > INSTANCES * share)
                purged += await purge(hub)
                await recover(hub, app, how)
            await starting
            purged += await purge(hub)
            await recover(hub, app, how)
            assert purged > 0
            ended = completed(await hub.until_all_ended(app.client))
            assert ended.keys() >= set(names)
            for n, name in enumerate(names):
                assert (await app.client.get_status(name)).output == n + 7
            print(f"{how}: {INSTANCES} instances, {purged} messages purged, {len(hub.runs)} runs of {7 * INSTANCES}")
    finally:
        hub.stop()
