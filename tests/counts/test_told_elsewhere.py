"""Processes of one embedded store tell each other which instances have ended, what was written to streams, and which
updates are answered: who waits hardly has to look.

No poll can find it in time here: what is not told makes a test fail."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    StreamChunk,
    activity,
    orchestrator,
)
from durable_core.models import RuntimeStatus
from durable_core.runtime import client as client_module
from durable_core.runtime import stream_feeds, updates
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage
from durable_core.storage.sqlite import SqliteStorage
from tests.support.live_app import running
from tests.support.programs import make_registry

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets on Windows")

PATIENCE = 60.0
WAITERS = 400


@pytest.fixture
def store() -> Generator[str]:
    """A path that is short enough for sockets beside it, which pytest's own folders may not be."""
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as folder:
        yield str(Path(folder, "hub.db"))


@asynccontextmanager
async def two_processes(
    store: str, registry: Registry
) -> AsyncGenerator[tuple[DurableApp, DurableApp, CountingStorage]]:
    """An app that only asks, the app of a host that has opened the store for itself, as another process does, and the
    storage of the first."""
    outside, elsewhere = CountingStorage(SqliteStorage(store)), SqliteStorage(store)
    asking = await DurableApp.open(registry, Settings(), outside)
    async with running(registry, Settings(), elsewhere) as host:
        yield asking, host, outside
    await asking.close()
    await outside.close()
    await elsewhere.close()


@activity
async def speak(ctx: ActivityContext, words: int) -> None:
    stream = ctx.stream("words \n of\x00 it")
    for number in range(words):
        await stream.write(number)
        await asyncio.sleep(0.2)


@orchestrator
def speaking(ctx: OrchestrationContext, words: int) -> Orchestration[None]:
    yield from ctx.wait_for_external_event("go")
    yield from ctx.call_activity(speak, words)


@orchestrator
def counter(ctx: OrchestrationContext) -> Orchestration[int]:
    total = 0

    def add(number: int) -> int:
        nonlocal total
        total += number
        return total

    ctx.set_update_handler("add", add)
    yield from ctx.wait_for_external_event("Enough")
    return total


async def test_a_waiter_reads_an_instance_that_ends_elsewhere_at_most_twice(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "FIRST_POLL", 10 * PATIENCE)
    monkeypatch.setattr(client_module, "LONGEST_POLL_IF_TOLD", 10 * PATIENCE)
    monkeypatch.setattr(client_module, "LONGEST_POLL_OF_MANY", 10 * PATIENCE)
    async with two_processes(store, make_registry()) as (client_app, app, outside):
        ids = [await app.client.start_new("waiter", None, 0) for _ in range(WAITERS)]
        outside.reset()
        waiting = [asyncio.create_task(client_app.client.wait_for_completion(each, PATIENCE)) for each in ids]
        while client_app.instance_cache.ends.waiting < WAITERS:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.gather(*(app.client.raise_event(each, "go", 1) for each in ids))
        statuses = await asyncio.gather(*waiting)
    assert [status.runtime_status for status in statuses] == [RuntimeStatus.COMPLETED] * WAITERS
    assert outside.counts["table.get"] <= 2 * WAITERS, outside.counts


async def test_an_end_that_came_before_this_process_heard_is_read(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_POLL", 10 * PATIENCE)
    monkeypatch.setattr(client_module, "LONGEST_POLL_IF_TOLD", 10 * PATIENCE)
    async with two_processes(store, make_registry()) as (client_app, app, _):
        started = await client_app.client.start_new("chain", None, 1)  # remembered as open by the process that waits
        await app.client.wait_for_completion(started, PATIENCE)
        status = await client_app.client.wait_for_completion(started, PATIENCE)
    assert status.output == 1


async def test_a_reader_elsewhere_gets_each_chunk_when_it_is_stored(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_feeds, "FIRST_POLL", 10 * PATIENCE)
    monkeypatch.setattr(stream_feeds, "LONGEST_POLL", 10 * PATIENCE)
    words = 5
    apps = two_processes(store, Registry().add(speak, speaking))
    async with apps as (client_app, app, outside), asyncio.timeout(PATIENCE):
        started = await app.client.start_new("speaking", None, words)
        reader = client_app.client.stream(started, "words \n of\x00 it")
        await reader.open()
        first = asyncio.create_task(anext(reader))
        while not outside.counts["table.read_range"]:  # noqa: ASYNC110 - until the reader is at the end of what is stored
            await asyncio.sleep(0.01)
        await app.client.raise_event(started, "go")
        outside.reset()
        events = [await first] + [event async for event in reader]
    assert [event.data for event in events if isinstance(event, StreamChunk)] == list(range(words))
    assert outside.counts["table.read_range"] <= words + 3, outside.counts


async def test_an_update_that_is_answered_elsewhere_returns_at_once(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "FIRST_POLL", 10 * PATIENCE)
    apps = two_processes(store, Registry().add(counter))
    async with apps as (client_app, app, outside), asyncio.timeout(PATIENCE):
        client_app.client.longest_poll = 10 * PATIENCE
        started = await app.client.start_new("counter")
        while (await app.client.get_status(started)).runtime_status is not RuntimeStatus.RUNNING:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        outside.reset()
        for number in range(1, 4):
            assert await client_app.client.update(started, "add", 1) == number
        assert outside.counts["table.get"] <= 3 * 2, outside.counts
        several = await asyncio.gather(*(client_app.client.update(started, "add", 10) for _ in range(4)))
        assert sorted(several) == [13, 23, 33, 43]
