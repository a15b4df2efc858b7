"""What a real host keeps of attempts is what the timeline shows, on the embedded file and on Azurite, warm and cold."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from durable_core import (
    ActivityContext,
    DurableClient,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    orchestrator,
)
from durable_core.hosting.http_api import Endpoint, HttpApi
from durable_core.hosting.http_types import HttpRequest
from durable_core.hosting.signed_urls import CapabilitySigner
from durable_core.operate.timeline import Timeline, TimelineRow
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from durable_core.storage.ports import Storage
from durable_core.testing.azurite import Azurite
from tests.support.live_app import running

OFTEN = RetryPolicy(max_attempts=9, first_interval=timedelta(milliseconds=20), backoff=1.0)
SECRET = "the patient's name"


@activity
def lucky(ctx: ActivityContext, at: int) -> int:
    if ctx.attempt < at:
        raise LookupError(f"no luck {ctx.attempt} for {SECRET}")
    return ctx.attempt


@activity(inline=False)
async def slow(ctx: ActivityContext, seconds: float) -> float:
    ctx.heartbeat("begun")
    await asyncio.sleep(seconds)
    return seconds


@orchestrator
def tries(ctx: OrchestrationContext) -> Orchestration[list[int]]:
    alone = yield from ctx.call_activity(lucky, 7, retry=OFTEN)
    both = yield from ctx.task_all([ctx.call_activity(lucky, n, retry=OFTEN) for n in (1, 3)])
    yield from ctx.call_activity(slow, 0.1)
    return [alone, *both]


@activity(inline=False)
def held(ctx: ActivityContext) -> None:
    """Runs until the test lets it go: a host that closes waits for what it runs."""
    ctx.heartbeat("begun")
    LET_GO.wait()


@orchestrator
def waits(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(held)


REGISTRY = Registry().add(lucky, slow, held, tries, waits)
LET_GO = threading.Event()


@pytest.fixture(params=["embedded", "azurite"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    hub = "t" + uuid4().hex[:12]
    if request.param == "azurite":
        server: Azurite = request.getfixturevalue("azurite")
        return Settings(connection={"": server.connection_string}, hub=hub)
    return Settings(store=str(tmp_path / "hub.db"), hub=hub)


@pytest.fixture
async def storage(settings: Settings) -> AsyncGenerator[Storage]:
    opened = open_storage(settings)
    yield opened
    await opened.close()


@pytest.mark.parametrize("cache", [0, 1_000_000], ids=["cold", "warm"])
async def test_attempts_are_kept_and_shown(settings: Settings, storage: Storage, cache: int) -> None:
    async with running(REGISTRY, replace(settings, warm_cache=cache), storage) as app:
        await app.client.start_new(tries, "one")
        status = await app.client.wait_for_completion("one", 60)
        assert status.output == [7, 1, 3]
        shown = await app.client.timeline("one")
        api = HttpApi(app.client, CapabilitySigner([b"k" * 32]), max_payload=1000)
        asked = HttpRequest.of("GET", "http://x/api/durabletask/instances/one/timeline", route={"instanceId": "one"})
        answer = await api.handle(Endpoint.TIMELINE, asked)
        assert answer.status == 200
        assert answer.json()["rows"] == [row.to_json() for row in shown.rows]
    first, second, third, fourth = shown.rows
    assert [attempt.number for attempt in first.attempts] == [1, 4, 5, 6, 7]
    assert [attempt.number for attempt in third.attempts] == [1, 2, 3]
    assert second.attempts == ()
    assert {row.host for row in shown.rows} == {app.host.id}
    assert [row.status for row in shown.rows] == ["Completed"] * 4
    assert fourth.run_ms is not None
    assert fourth.run_ms >= 90
    assert_in_order(shown)


def assert_in_order(shown: Timeline) -> None:
    """One machine, one clock: nothing starts before it was called, or ends before it was started."""
    for row in shown.rows:
        assert row.scheduled is not None
        assert row.started is not None
        assert row.ended is not None
        assert shown.created <= row.scheduled
        assert row.scheduled - timedelta(milliseconds=2) <= row.started <= row.ended <= shown.now
        starts = [attempt.started for attempt in row.attempts if attempt.started is not None]
        assert starts == sorted(starts)


async def test_an_activity_that_has_sent_a_heartbeat_runs(settings: Settings, storage: Storage) -> None:
    LET_GO.clear()
    async with running(REGISTRY, settings, storage) as app, asyncio.timeout(30):
        await app.client.start_new(waits, "one")
        row = await running_row(app.client)
        assert row.host == app.host.id
        assert row.started is not None
        await app.client.terminate("one")
        await app.client.wait_for_completion("one", 30)
        [call, request] = (await app.client.timeline("one")).rows
        assert (call.status, request.name) == ("Canceled", "terminate")
        LET_GO.set()


async def running_row(client: DurableClient) -> TimelineRow:
    """The first row that runs, as soon as there is one."""
    while True:
        for row in (await client.timeline("one")).rows:
            if row.status == "Running":
                return row
        await asyncio.sleep(0.05)
