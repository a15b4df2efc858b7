"""Short instances without end: what is kept of them is bounded, in memory and in the file, as retention deletes them.

``DURABLE_SOAK=1`` runs 100,000 of them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.retention_setting import read_retention
from durable_core.runtime.app import DurableApp
from durable_core.runtime.clock import SystemClock
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from tests.support.live_app import serving

ROUNDS, EACH = (20, 5_000) if "DURABLE_SOAK" in os.environ else (4, 300)
AT_ONCE = 64
SLACK = 64 * 1024  # bytes
SETTLED = 2  # rounds after which caches are as large as they get


@activity
async def echo(number: int) -> int:
    return number


@orchestrator
def short(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(echo, number))


class Ahead(SystemClock):
    """A clock that the test sets ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.mark.timeout(1800)
async def test_instances_that_end_and_are_deleted_leave_nothing_in_memory_nor_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    storage, clock = SqliteStorage(str(path)), Ahead()
    settings = Settings(store=str(path), retention=read_retention("Completed=1h"))
    app = DurableApp(Registry().add(echo, short), settings, storage, clock=clock)
    await app.hub.create()
    gate = asyncio.Semaphore(AT_ONCE)

    async def run_one(number: int) -> None:
        async with gate:
            instance_id = await app.client.start_new("short", None, number)
            status = await app.client.wait_for_completion(instance_id, 120)
            assert status.output == number

    files: list[int] = []
    objects: list[int] = []
    async with serving(app, storage):
        for _ in range(ROUNDS):
            await asyncio.gather(*(run_one(number) for number in range(EACH)))
            clock.ahead += timedelta(hours=2)
            for _ in range(EACH):
                await app.recover()
                if not (await app.hub.catalog.count(EACH)).statuses.total():
                    break
            gc.collect()
            with closing(sqlite3.connect(path)) as con:
                con.execute("PRAGMA wal_checkpoint")
            files.append(path.stat().st_size)
            objects.append(len(gc.get_objects()))
    await app.close()
    await storage.close()
    assert max(files[SETTLED:]) <= 1.5 * max(files[:SETTLED]) + SLACK, files
    assert max(objects[SETTLED:]) <= 1.1 * max(objects[:SETTLED]) + EACH, objects
