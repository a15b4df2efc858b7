"""One ``storage`` fixture over every adapter, with tables and queues of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from durable_core.storage.ports import Queue, Storage, Table

from ..support.azurite import azurite

__all__ = ["azurite"]

ADAPTERS = [
    *("memory", "file"),
    pytest.param("azurite", marks=pytest.mark.azurite),
    pytest.param("azurite by the SDK", marks=pytest.mark.azurite),
]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def storage(adapter: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    match adapter:
        case "memory":
            settings = Settings(store=":memory:")
        case "file":
            settings = Settings(store=str(tmp_path / "new folder" / "store.db"))
        case _:
            connection = {"": request.getfixturevalue("azurite").connection_string}
            settings = Settings(connection=connection, azure_sdk=adapter == "azurite by the SDK")
    found = open_storage(settings)
    yield found
    await found.close()


@pytest.fixture
def prefix() -> str:
    """Begins the names of this test's tables and queues: the server is shared."""
    return "t" + uuid4().hex[:12]


@pytest.fixture
async def table(storage: Storage, prefix: str) -> Table:
    await storage.create([f"{prefix}Rows"], [])
    return storage.table(f"{prefix}Rows")


@pytest.fixture
async def queue(storage: Storage, prefix: str) -> Queue:
    await storage.create([], [f"{prefix}-messages"])
    return storage.queue(f"{prefix}-messages")
