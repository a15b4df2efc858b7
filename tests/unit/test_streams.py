"""What an activity may write to a stream, what is refused with which words, and what becomes of streams later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

import durable_core
from durable_core import (
    ActivityContext,
    DurableClient,
    Orchestration,
    OrchestrationContext,
    PayloadTooLargeError,
    Registry,
    RuntimeStatus,
    SerializationError,
    StreamChunk,
    StreamEnded,
    StreamError,
    StreamWriter,
    activity,
    orchestrator,
)
from durable_core.errors import ExecutionGoneError, InstanceNotFoundError, InvalidInputError
from durable_core.hub.keys import CHUNK_END, LIVE_RANGE, stream_key
from durable_core.runtime.activities import stream_lane
from durable_core.testing.simulation import World

Write = Callable[[ActivityContext], Awaitable[Any]]


class Backwards:
    """A codec of tests."""

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


def run(*writers: Write, then: Callable[[World], Awaitable[None]] | None = None, codec: Any = None) -> list[Any]:
    """Activities called one after the other; what the last stream ``output`` of instance ``one`` holds."""
    results: list[Any] = []

    @activity
    async def write(ctx: ActivityContext, number: int) -> None:
        results.append(await writers[number](ctx))

    @orchestrator
    def calls(ctx: OrchestrationContext) -> Orchestration[None]:
        for number in range(len(writers)):
            yield from ctx.call_activity(write, number)

    async def drive(world: World) -> list[Any]:
        await world.client.start_new("calls", "one")
        status = await world.client.wait_for_completion("one", 3600)
        assert status.runtime_status is RuntimeStatus.COMPLETED, status.failure
        if then is not None:
            await then(world)
            return []
        return [event async for event in world.client.stream("one")]

    return World(Registry().add(write, calls), codec=codec).run(drive)


def data_of(events: list[Any]) -> list[Any]:
    return [event.data for event in events if isinstance(event, StreamChunk)]


@pytest.mark.parametrize(
    ("chunk", "read"),
    [
        ("", ""),
        ("text\r\n\0 ü 🎉", "text\r\n\0 ü 🎉"),
        (None, None),
        (False, False),
        (0, 0),
        ({"a": [1, None]}, {"a": [1, None]}),
        (b"\0\xff", "AP8="),
        (timedelta(seconds=90), "PT1M30S"),
        ("x" * 200_000, "x" * 200_000),
    ],
)
@pytest.mark.parametrize("codec", [None, Backwards()], ids=["plain", "encoded"])
def test_a_chunk_is_any_json_value(chunk: object, read: object, codec: Any) -> None:
    async def write(ctx: ActivityContext) -> None:
        await ctx.stream().write(chunk)

    events = run(write, codec=codec)
    assert data_of(events) == [read]
    assert isinstance(events[-1], StreamEnded) and events[-1].is_complete


@pytest.mark.parametrize(
    ("chunk", "error"),
    [(object(), SerializationError), ("\ud800", SerializationError), ("x" * 300_000, PayloadTooLargeError)],
)
def test_a_chunk_that_cannot_be_written_is_refused_where_it_is_written(chunk: object, error: type[Exception]) -> None:
    async def write(ctx: ActivityContext) -> None:
        stream = ctx.stream()
        with pytest.raises(error, match="a chunk of the stream 'output'"):
            await stream.write(chunk)
        await stream.write("goes on")

    assert data_of(run(write)) == ["goes on"]


def test_nothing_follows_the_end_and_the_end_may_be_written_by_hand() -> None:
    async def write(ctx: ActivityContext) -> None:
        stream = ctx.stream()
        assert ctx.stream() is stream
        await stream.write(1)
        await stream.end()
        with pytest.raises(StreamError, match="has ended"):
            stream.write(2)
        with pytest.raises(StreamError, match="has ended"):
            stream.end()

    assert data_of(run(write)) == [1]


def test_a_stream_that_is_opened_and_not_written_ends_complete() -> None:
    async def write(ctx: ActivityContext) -> None:
        ctx.stream()

    (end,) = run(write)
    assert isinstance(end, StreamEnded) and end.is_complete


def test_another_call_is_refused_with_what_to_do() -> None:
    async def first(ctx: ActivityContext) -> None:
        await ctx.stream().write("first")

    async def second(ctx: ActivityContext) -> None:
        stream = ctx.stream()
        await stream.write("second")
        with pytest.raises(StreamError, match=r"task 1 of generation 0.*shared=True"):
            await stream.end()

    assert data_of(run(first, second)) == ["first"]


def test_calls_that_share_a_stream_append_to_it_and_it_ends_with_the_instance() -> None:
    async def shares(ctx: ActivityContext) -> None:
        stream = ctx.stream(shared=True)
        await stream.write(ctx.task_id)
        await stream.write("more")

    async def does_not(ctx: ActivityContext) -> None:
        with pytest.raises(
            StreamError, match="opened with shared=True" if ctx.task_id == 1 else "begun with shared=True"
        ):
            await ctx.stream().end()

    events = run(shares, shares, does_not)
    assert data_of(events) == [1, "more", 2, "more"]
    assert [event.task_id for event in events[:-1]] == [1, 1, 2, 2]
    assert not events[-1].is_complete


@pytest.mark.parametrize("limit", [{"MAX_BYTES": 100}, {"MAX_ROWS": 3}])
def test_a_stream_that_is_full_says_so(limit: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in limit.items():
        monkeypatch.setattr(stream_lane, name, value)

    async def write(ctx: ActivityContext) -> None:
        stream = ctx.stream()
        with pytest.raises(StreamError, match="is full: a stream has at most"):
            for number in range(1000):
                await stream.write(f"{number:020}")
                await asyncio.sleep(0.2)

    events = run(write)
    assert data_of(events) == [f"{number:020}" for number in range(len(data_of(events)))]
    assert not events[-1].is_complete


@pytest.mark.parametrize("name", ["", "x" * 257, "\ud800", None, 5])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    async def write(ctx: ActivityContext) -> None:
        with pytest.raises(InvalidInputError, match="stream's name"):
            ctx.stream(name)

    async def then(world: World) -> None:
        with pytest.raises(InvalidInputError, match="stream's name"):
            world.client.stream("one", name)

    run(write, then=then)


def test_a_reader_is_refused_with_a_reason() -> None:
    async def write(ctx: ActivityContext) -> None:
        await ctx.stream().write(1)

    async def then(world: World) -> None:
        client: DurableClient = world.client
        with pytest.raises(InstanceNotFoundError):
            await anext(client.stream("two"))
        for offset in ("", "x", "12345678.1", "12345678.1.1x", "12345678.-1.1", "12345678.1.99999999999"):
            with pytest.raises(InvalidInputError, match="not an offset"):
                await anext(client.stream("one", from_=offset))
        with pytest.raises(ExecutionGoneError):
            await anext(client.stream("one", from_="12345678.1.1"))

    run(write, then=then)


def test_a_direct_call_of_an_activity_in_a_test_writes_nothing() -> None:
    ctx = ActivityContext(instance_id="i", execution_id="e", task_id=1, attempt=1, idempotency_key="k")
    assert type(ctx.stream("words")) is StreamWriter

    async def write() -> None:
        await ctx.stream("words").write("x")
        await ctx.stream("words").end()

    asyncio.run(write())


def test_a_codec_hides_the_chunks_and_the_name() -> None:
    async def write(ctx: ActivityContext) -> None:
        await ctx.stream("a secret name").write("a secret word")

    async def then(world: World) -> None:
        assert await world.client.list_streams("one") == ["a secret name"]
        table = world.storage.table(world.outside.hub.names.instances)
        assert "secret" not in str((await table.read_range("one")).rows)

    run(write, then=then, codec=Backwards())


def test_a_host_that_knows_no_streams_collects_their_rows() -> None:
    """It reads from ``LIVE_RANGE`` on, and deletes what lies below ``CHUNK_END`` at a restart."""
    key = stream_key("e" * 16, "0" * 16, 7)
    assert key < CHUNK_END <= LIVE_RANGE
    assert key[1:].startswith("e" * 16), "as it asks of the rows of the execution that stays"


def test_a_stream_outlives_its_generation_and_a_fork_has_none() -> None:
    @activity
    async def write(ctx: ActivityContext, number: int) -> None:
        await ctx.stream(f"stream-{number}").write(number)

    @orchestrator
    def again(ctx: OrchestrationContext, left: int = 2) -> Orchestration[None]:
        yield from ctx.call_activity(write, left)
        if left:
            ctx.continue_as_new(left - 1)

    async def drive(world: World) -> None:
        await world.client.start_new("again", "one")
        await world.client.wait_for_completion("one", 3600)
        assert await world.client.list_streams("one") == ["stream-0", "stream-1", "stream-2"]
        events = [event async for event in world.client.stream("one", "stream-2")]
        assert data_of(events) == [2]
        await world.client.fork("one", until_task=1, new_instance_id="two", suspended=True)
        assert await world.client.list_streams("two") == []

    World(Registry().add(write, again)).run(drive)


async def test_a_plain_function_writes_in_its_thread_and_is_stopped_when_its_time_is_over() -> None:
    stopped: list[str] = []

    @activity(timeout=timedelta(seconds=0.3))
    def write(ctx: ActivityContext) -> None:
        stream = ctx.stream()
        try:
            while True:
                stream.write("x" * 1000)
                time.sleep(0.01)
        except StreamError as error:
            stopped.append(str(error))

    @orchestrator
    def calls(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(write)

    async with durable_core.running(Registry().add(write, calls), store=":memory:") as client:
        await client.start_new(calls, "one")
        events = [event async for event in client.stream("one")]
        assert len(data_of(events)) > 3
        assert events[-1] == StreamEnded(offset=events[-1].offset, is_complete=False)
        async with asyncio.timeout(20):
            while not stopped:  # noqa: ASYNC110  a thread tells of it
                await asyncio.sleep(0.01)
        assert "timed out" in stopped[0]
