"""How many transactions the embedded store's file sees for the benchmark's W2 and W3, in small.

A flush is a transaction's, so there are no more flushes than that. How writes come together depends on their timing;
the bounds are those of writes that hardly do.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from tests.support.live_app import running

from .programs import make_registry

PATIENCE = 60.0


async def _transactions(path: Path, orchestrator: str, data: int, output: int, instances: int) -> int:
    storage = SqliteStorage(str(path))
    async with running(make_registry(), Settings(), storage) as app:
        before = storage.commits
        ids = await asyncio.gather(*[app.client.start_new(orchestrator, None, data) for _ in range(instances)])
        statuses = await asyncio.gather(*[app.client.wait_for_completion(each, PATIENCE) for each in ids])
        assert [status.output for status in statuses] == [output] * instances
        transactions = storage.commits - before
    await storage.close()
    return transactions


async def test_chains_that_run_together_share_transactions(tmp_path: Path) -> None:
    transactions = await _transactions(tmp_path / "a.db", "chain", 10, 10, instances=20)
    assert 0 < transactions <= 512 / 4  # 512 operations, see test_workloads.py


async def test_a_fan_out_takes_fewer_transactions_than_activities(tmp_path: Path) -> None:
    transactions = await _transactions(tmp_path / "a.db", "fan", 100, 5050, instances=1)
    assert 0 < transactions <= 50
