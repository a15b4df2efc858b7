"""Listing: newest first, every instance once, whatever the page size and however many shards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from durable_core.errors import InvalidInputError
from durable_core.hub.catalog import Entry
from durable_core.hub.taskhub import TaskHub
from durable_core.models import RuntimeStatus
from durable_core.runtime.listing import Listing, Query
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage

NOW = datetime(2030, 1, 1, tzinfo=UTC)
COUNT = 470  # more than two chunks of each stream


def entry(number: int, status: RuntimeStatus = RuntimeStatus.RUNNING) -> Entry:
    at = NOW + timedelta(seconds=number // 3)  # some were created at the same time
    return Entry(
        instance_id=f"i{number:04}",
        execution_id=f"x{number:04}",
        name="orch",
        version="",
        status=status,
        created=at,
        updated=at,
        tags={"parity": str(number % 2)},
    )


@pytest.fixture(params=[1, 4])
async def hub(request: pytest.FixtureRequest) -> AsyncIterator[TaskHub]:
    storage = SqliteStorage(":memory:")
    hub = TaskHub(storage, Settings(partitions=request.param), Random(1))
    await hub.create()
    for number in range(COUNT):
        await hub.catalog.open(entry(number))
        if number % 3 == 0:
            await hub.catalog.close(entry(number, RuntimeStatus.COMPLETED))
    yield hub
    await storage.close()


async def walk(hub: TaskHub, query: Query, size: int) -> list[str]:
    found: list[str] = []
    token: str | None = None
    while True:
        page = await Listing(hub).page(query, size, token)
        assert len(page.instances) <= size
        found.extend(status.instance_id for status in page.instances)
        token = page.continuation_token
        if token is None:
            return found


@pytest.mark.parametrize("size", [1000, 100, 7])
async def test_every_instance_is_listed_once_newest_first(hub: TaskHub, size: int) -> None:
    found = await walk(hub, Query(), size)
    assert sorted(found) == [f"i{number:04}" for number in range(COUNT)]
    created = [int(name[1:]) // 3 for name in found]
    assert created == sorted(created, reverse=True)


async def test_filters_hold_over_pages(hub: TaskHub) -> None:
    done = await walk(hub, Query(statuses=frozenset({RuntimeStatus.COMPLETED})), 50)
    assert sorted(done) == [f"i{number:04}" for number in range(0, COUNT, 3)]
    assert len(await walk(hub, Query(prefix="i00"), 9)) == 100
    odd = await walk(hub, Query(tags={"parity": "1"}), 30)
    assert sorted(odd) == [f"i{number:04}" for number in range(1, COUNT, 2)]


async def test_a_span_of_creation_times_is_listed_with_both_its_ends(hub: TaskHub) -> None:
    span = Query(created_from=NOW + timedelta(seconds=10), created_to=NOW + timedelta(seconds=20))
    assert sorted(await walk(hub, span, 8)) == [f"i{number:04}" for number in range(30, 63)]


async def test_an_instance_that_ends_during_the_walk_is_listed_once(hub: TaskHub) -> None:
    first = await Listing(hub).page(Query(), 100, None)
    for number in range(COUNT):
        if number % 3:
            await hub.catalog.close(entry(number, RuntimeStatus.COMPLETED))
    found = [status.instance_id for status in first.instances]
    token = first.continuation_token
    while token:
        page = await Listing(hub).page(Query(), 100, token)
        found.extend(status.instance_id for status in page.instances)
        token = page.continuation_token
    assert sorted(found) == [f"i{number:04}" for number in range(COUNT)]


@pytest.mark.parametrize("token", ["x", "!!", "bm8=", "WzIsICJhIl0="])
async def test_a_token_of_something_else_is_refused(hub: TaskHub, token: str) -> None:
    with pytest.raises(InvalidInputError):
        await Listing(hub).page(Query(), 10, token)


async def test_a_late_close_brings_nothing_back(hub: TaskHub) -> None:
    await hub.catalog.forget_closed(entry(0))
    assert not await hub.catalog.close(entry(0, RuntimeStatus.COMPLETED))
    assert "i0000" not in await walk(hub, Query(), 1000)


async def test_a_late_open_of_what_has_ended_is_taken_back_by_the_next_close(hub: TaskHub) -> None:
    await hub.catalog.open(entry(0))
    assert not await hub.catalog.close(entry(0, RuntimeStatus.COMPLETED))
    listed = await Listing(hub).page(Query(prefix="i0000"), 10, None)
    assert [status.runtime_status for status in listed.instances] == [RuntimeStatus.COMPLETED]
