"""Activities in real threads: timeouts, places, heartbeats; every step waits for an event, none for a time to pass."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core import ActivityContext, Registry, TaskTimeoutError, activity
from durable_core.converter import Converter
from durable_core.errors import SerializationError
from durable_core.hub.instance_row import Instance
from durable_core.hub.messages import Call, TaskOutcome
from durable_core.hub.taskhub import TaskHub
from durable_core.models import RuntimeStatus
from durable_core.runtime.activities.runner import ActivityRunner
from durable_core.runtime.clock import SystemClock
from durable_core.runtime.stream_feeds import StreamFeeds
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage

BLINK = timedelta(milliseconds=20)
PATIENCE = 30.0  # seconds until a test that hangs fails
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def runner_of(*functions: Callable[..., Any], threads: int = 2) -> AsyncGenerator[tuple[ActivityRunner, TaskHub]]:
    storage, registry = SqliteStorage(":memory:"), Registry().add(*functions)
    hub = TaskHub(storage, Settings(store=":memory:"))
    await hub.create()
    await hub.instances.create(instance())
    with ThreadPoolExecutor(threads) as executor:
        feeds = StreamFeeds(hub, Converter(), storage, "hub")
        yield ActivityRunner(hub, registry, Converter(), SystemClock(), executor, threads, host="h0", feeds=feeds), hub
    await storage.close()


def instance(status: RuntimeStatus = RuntimeStatus.RUNNING) -> Instance:
    return Instance(
        instance_id="one", execution_id="e", name="main", version="", status=status, created=NOW, updated=NOW,
        input="null",
    )  # fmt: skip


async def run(runner: ActivityRunner, name: str, number: int = 1, **more: Any) -> TaskOutcome | None:
    ran = await asyncio.wait_for(runner.run("one", "e", Call(0, 1, number, name), **more), PATIENCE)
    return ran[0] if isinstance(ran, tuple) else None


def in_time(event: threading.Event) -> None:
    assert event.wait(PATIENCE)


async def test_a_thread_that_overruns_is_reported_and_its_late_result_is_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    may_end, told = threading.Event(), threading.Event()

    @activity(timeout=BLINK, max_concurrency=1)
    def stubborn(ctx: ActivityContext) -> str:
        in_time(may_end)
        if ctx.is_cancelled:
            told.set()
        return "late"

    caplog.set_level(logging.INFO, "durable_core.activity")
    async with runner_of(stubborn) as (runner, _):
        outcome = await run(runner, "stubborn")
        assert outcome is not None
        assert outcome.failure is not None
        assert outcome.failure.is_caused_by(TaskTimeoutError)
        assert outcome.failure.retriable
        assert outcome.result is None
        assert "attempt 1) exceeded its time limit; its thread cannot be stopped" in caplog.text

        loop = asyncio.get_running_loop()
        assert await run(runner, "stubborn", until=loop.time()) is None  # its place stays taken
        may_end.set()
        assert await run(runner, "stubborn") is not None  # until the thread has ended
        assert told.is_set()
    assert "ended after it had timed out" in caplog.text


async def test_threads_that_hang_are_not_waited_for_longer_than_asked() -> None:
    may_end = threading.Event()

    @activity(timeout=BLINK)
    def stubborn() -> None:
        in_time(may_end)

    @activity
    def quick() -> str:
        return "done"

    @activity
    async def light() -> str:
        return "done"

    async with runner_of(stubborn, quick, light, threads=2) as (runner, _):
        await asyncio.gather(*(run(runner, "stubborn") for _ in range(2)))
        loop = asyncio.get_running_loop()
        assert await run(runner, "quick", until=loop.time()) is None  # it may run elsewhere, or later
        done = await run(runner, "light", until=loop.time())  # needs no thread
        assert done is not None
        assert done.result == "done"
        may_end.set()
        done = await run(runner, "quick")
        assert done is not None
        assert done.result == "done"


async def test_an_attempt_whose_deadline_passes_while_it_waits_for_a_place_has_timed_out() -> None:
    began, may_end = threading.Event(), threading.Event()

    @activity(max_concurrency=1)
    def only_one() -> None:
        began.set()
        in_time(may_end)

    async with runner_of(only_one) as (runner, _):
        first = asyncio.create_task(run(runner, "only_one"))
        await asyncio.to_thread(in_time, began)
        call = Call(0, 2, 1, "only_one", None, {"deadline": datetime.now(UTC).timestamp() + 0.02})
        ran = await runner.run("one", "e", call)
        assert isinstance(ran, tuple)
        assert ran[0].failure is not None
        assert ran[0].failure.is_caused_by(TaskTimeoutError)
        assert not ran[0].failure.retriable
        may_end.set()
        assert (await first) is not None


async def test_heartbeats_of_a_thread_reach_the_next_attempt() -> None:
    @activity
    def work(ctx: ActivityContext) -> Any:
        if ctx.attempt == 2:
            return ctx.last_heartbeat
        for n in range(1000):
            ctx.heartbeat({"done": n})
        raise ValueError("and out")

    async with runner_of(work) as (runner, hub):
        await run(runner, "work")
        assert await hub.heartbeats.read("one", "e", 0, 1) == {"done": 999}
        second = await run(runner, "work", 2)
        assert second is not None
        assert second.result == {"done": 999}


async def test_details_that_are_not_json_fail_the_activity_that_gives_them() -> None:
    @activity
    def work(ctx: ActivityContext) -> None:
        ctx.heartbeat(object())

    async with runner_of(work) as (runner, _):
        outcome = await run(runner, "work")
        assert outcome is not None
        assert outcome.failure is not None
        assert outcome.failure.is_caused_by(SerializationError)


async def test_an_activity_learns_at_once_of_an_end_in_its_own_process() -> None:
    began = threading.Event()

    @activity
    def work(ctx: ActivityContext) -> str:
        began.set()
        while not ctx.is_cancelled:
            threading.Event().wait(0.001)
        return "stopped"

    async with runner_of(work) as (runner, _):
        running = asyncio.create_task(run(runner, "work"))
        await asyncio.to_thread(in_time, began)
        runner.instance_moved(instance(RuntimeStatus.TERMINATED))
        outcome = await running
        assert outcome is not None
        assert outcome.result == "stopped"


async def test_a_stop_iteration_is_a_failure_like_any_other() -> None:
    @activity
    def careless() -> int:
        return next(iter(()))

    async with runner_of(careless) as (runner, _):
        outcome = await run(runner, "careless")
        assert outcome is not None
        assert outcome.failure is not None
        assert outcome.failure.is_caused_by(StopIteration)


@pytest.mark.parametrize("is_async", [False, True], ids=["thread", "loop"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, StopAsyncIteration, BaseException])
async def test_whatever_an_activity_raises_is_its_failure(kind: type[BaseException], is_async: bool) -> None:
    def raises() -> None:
        raise kind("x")

    async def raises_on_the_loop() -> None:
        raise kind("x")

    async with runner_of(activity(name="raises")(raises_on_the_loop if is_async else raises)) as (runner, _):
        outcome = await run(runner, "raises")
        assert outcome is not None
        assert outcome.failure is not None
        assert (outcome.failure.type, outcome.failure.message) == (kind.__name__, "x")


async def test_an_async_activity_that_cancels_itself_has_failed() -> None:
    @activity
    async def gives_up() -> None:
        raise asyncio.CancelledError

    async with runner_of(gives_up) as (runner, _):
        outcome = await run(runner, "gives_up")
        assert outcome is not None
        assert outcome.failure is not None
        assert "CancelledError" in outcome.failure.type


def test_a_context_made_by_a_test_hears_heartbeats_and_is_never_cancelled() -> None:
    ctx = ActivityContext(instance_id="i", execution_id="e", task_id=1, attempt=1, idempotency_key="k")
    ctx.heartbeat({"done": 1})
    assert not ctx.is_cancelled
