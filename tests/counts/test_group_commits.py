"""How often the embedded store must flush its file for the benchmark's W2 and W3, in small: work shares flushes.

How writes come together depends on their timing; the bounds are above twice what was ever seen.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from tests.support.live_app import running
from tests.support.programs import make_registry

PATIENCE = 60.0


async def _flushes(path: Path, orchestrator: str, data: int, output: int, instances: int) -> int:
    storage = SqliteStorage(str(path))
    async with running(make_registry(), Settings(), storage) as app:
        before = storage.flushes
        ids = await asyncio.gather(*[app.client.start_new(orchestrator, None, data) for _ in range(instances)])
        statuses = await asyncio.gather(*[app.client.wait_for_completion(each, PATIENCE) for each in ids])
        assert [status.output for status in statuses] == [output] * instances
        flushes = storage.flushes - before
    await storage.close()
    return flushes


async def test_chains_that_run_together_share_flushes(tmp_path: Path) -> None:
    flushes = await _flushes(tmp_path / "a.db", "chain", 10, 10, instances=20)
    assert 0 < flushes <= 20 * 10 / 2, "half a flush for each activity"


async def test_a_fan_out_takes_fewer_flushes_than_activities(tmp_path: Path) -> None:
    flushes = await _flushes(tmp_path / "a.db", "fan", 100, 5050, instances=1)
    assert 0 < flushes <= 100 / 4, "a quarter of a flush for each activity"
