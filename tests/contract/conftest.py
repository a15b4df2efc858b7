"""One ``storage`` fixture over every adapter, with tables and queues of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from durable_core.storage.ports import Queue, Storage, Table
from durable_core.storage.sqlite import SqliteStorage


@pytest.fixture(params=["memory", "file"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    found: Storage = SqliteStorage(":memory:" if request.param == "memory" else str(tmp_path / "store.db"))
    yield found
    await found.close()


@pytest.fixture
async def table(storage: Storage) -> Table:
    await storage.create(["Rows"], [])
    return storage.table("Rows")


@pytest.fixture
async def queue(storage: Storage) -> Queue:
    await storage.create([], ["messages"])
    return storage.queue("messages")
