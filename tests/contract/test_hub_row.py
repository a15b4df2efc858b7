"""What is fixed for a hub's life is kept with it, on every store: nobody opens it with another number of partitions."""

from __future__ import annotations

import asyncio

import pytest

from durable_core.errors import ConfigurationError, NewerFormatError
from durable_core.hub.hub_row import KEY, PARTITION
from durable_core.hub.taskhub import TaskHub
from durable_core.settings import Settings
from durable_core.storage.ports import Storage
from durable_core.storage.read_only import ReadOnlyStorage


@pytest.fixture
def name(prefix: str) -> str:
    return prefix


def hub(storage: Storage, name: str, partitions: int) -> TaskHub:
    return TaskHub(storage, Settings(hub=name, partitions=partitions))


@pytest.mark.parametrize(("first", "then"), [(1, 4), (4, 1), (4, 8)])
async def test_a_hub_is_not_opened_with_another_number_of_partitions(
    storage: Storage, name: str, first: int, then: int
) -> None:
    await hub(storage, name, first).create()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=f"Set DURABLE_PARTITIONS={first};"):
            await hub(storage, name, then).create()
        with pytest.raises(ConfigurationError, match=f"DURABLE_PARTITIONS is {then}:"):
            await hub(ReadOnlyStorage(storage), name, then).check()
    await hub(storage, name, first).create()
    await hub(ReadOnlyStorage(storage), name, first).check()
    assert await storage.table(f"{name}Catalog").get("00", KEY) is None  # no shard has it


async def test_of_two_hosts_that_begin_a_hub_at_once_one_decides(storage: Storage, name: str) -> None:
    opened = await asyncio.gather(
        *(hub(storage, name, partitions).create() for partitions in (1, 2, 1, 2)), return_exceptions=True
    )
    refused = [error for error in opened if error is not None]
    assert len(refused) == 2
    assert all(isinstance(error, ConfigurationError) for error in refused), refused


async def test_a_hub_that_is_not_there_or_was_made_before_it_had_a_row_can_be_read(storage: Storage, name: str) -> None:
    await hub(ReadOnlyStorage(storage), name, 4).check()
    await storage.create([f"{name}Catalog"], [])
    await hub(ReadOnlyStorage(storage), name, 4).check()
    await hub(storage, name, 4).create()
    with pytest.raises(ConfigurationError):
        await hub(storage, name, 1).create()


async def test_a_hub_of_a_newer_format_is_left_alone(storage: Storage, name: str) -> None:
    await hub(storage, name, 1).create()
    await storage.table(f"{name}Catalog").merge(PARTITION, KEY, {"fmt": 2})
    with pytest.raises(NewerFormatError, match="format 2"):
        await hub(storage, name, 1).create()


async def test_a_hub_of_durable_functions_is_not_taken_for_a_new_hub(storage: Storage, name: str) -> None:
    await storage.create([], [f"{name.lower()}-workitems"])
    with pytest.raises(ConfigurationError, match=f"a task hub '{name}' of Durable Functions"):
        await hub(storage, name, 1).create()
    assert not await hub(storage, name, 1).check()


async def test_a_hub_that_exists_is_not_asked_for_one_of_durable_functions(storage: Storage, name: str) -> None:
    await hub(storage, name, 1).create()
    await storage.create([], [f"{name.lower()}-workitems"])
    await hub(storage, name, 1).create()
