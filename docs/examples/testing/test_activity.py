"""Tests of single activities, as a user writes them: no store, no orchestrator."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock

import pytest

from durable_core import ActivityContext, activity
from durable_core.testing import ActivityEnvironment


@activity
def copy_pages(ctx: ActivityContext, pages: int) -> int:
    for page in range(ctx.last_heartbeat or 0, pages):
        if ctx.is_cancelled:
            return page
        ctx.heartbeat(page + 1)
    return pages


@activity
async def announce(ctx: ActivityContext, target: str) -> None:
    await ctx.client.raise_event(target, "Arrived", event_id=ctx.idempotency_key)


def test_a_second_attempt_goes_on_after_the_last_heartbeat() -> None:
    env = ActivityEnvironment(attempt=2, last_heartbeat=7)
    assert env.run(copy_pages, 10) == 10
    assert env.heartbeats == [8, 9, 10]


def test_a_cancelled_attempt_stops() -> None:
    env = ActivityEnvironment(on_heartbeat=lambda page: env.cancel() if page == 3 else None)
    assert env.run(copy_pages, 10) == 3


def test_an_event_is_raised_once_however_often_the_activity_runs() -> None:
    client = AsyncMock()
    env = ActivityEnvironment(idempotency_key="key-1", client=client)
    asyncio.run(env.run(announce, "c-1"))
    client.raise_event.assert_awaited_once_with("c-1", "Arrived", event_id="key-1")


def test_a_result_that_cannot_be_stored_fails_here() -> None:
    @activity
    def wrong() -> object:
        return object()

    with pytest.raises(Exception, match="the result of activity 'wrong'"):
        ActivityEnvironment().run(wrong)
