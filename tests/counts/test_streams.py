"""What streams cost: one insert for a batch, no read in the process that writes, one poller for all readers."""

from __future__ import annotations

import asyncio
from typing import Any

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    StreamChunk,
    activity,
    orchestrator,
)
from durable_core.models import Operations
from durable_core.runtime.client import DurableClient
from durable_core.testing.simulation import World

from .test_operations_of_instances import in_classes


@activity
async def speak(ctx: ActivityContext, words: int) -> None:
    """20 words a second."""
    stream = ctx.stream("words")
    for number in range(words):
        await stream.write(number)
        await asyncio.sleep(0.05)


@activity
async def is_silent(ctx: ActivityContext, words: int) -> None:
    await asyncio.sleep(0.05 * words)


@orchestrator
def speaking(ctx: OrchestrationContext, words: int) -> Orchestration[None]:
    yield from ctx.call_activity(speak, words)


@orchestrator
def silent(ctx: OrchestrationContext, words: int) -> Orchestration[None]:
    yield from ctx.call_activity(is_silent, words)


async def _read(client: DurableClient, seen: list[Any]) -> None:
    async for event in client.stream("one", "words"):
        seen.append(event)


def counted(program: Any, words: int, *, here: int = 0, elsewhere: int = 0) -> tuple[Operations, Operations]:
    """The operations of an instance, from its start to rest, and what its row says of them.

    here, elsewhere: readers in the process that writes, and in another one."""

    async def drive(world: World) -> tuple[Operations, Operations]:
        await asyncio.sleep(60)
        before = world.counted.counts
        await world.client.start_new(program.__name__, "one", words)
        seen: list[list[Any]] = [[] for _ in range(here + elsewhere)]
        clients = [*(world.hosts[0].app.client for _ in range(here)), *(world.client for _ in range(elsewhere))]
        readers = [asyncio.create_task(_read(*each)) for each in zip(clients, seen, strict=True)]
        await asyncio.sleep(words * 0.05 + 30)
        for read in seen:
            assert [event.data for event in read if isinstance(event, StreamChunk)] == list(range(words))
        assert all(reader.done() for reader in readers)
        after = in_classes(world.counted.counts - before)
        status = await world.client.get_status("one")
        assert status.is_terminal and status.operations is not None
        return after, status.operations

    world = World(Registry().add(speak, speaking, is_silent, silent), counting=True)
    return world.run(drive)


def test_a_batch_costs_one_insert_and_the_row_of_the_instance_counts_it() -> None:
    quiet, _ = counted(silent, 100)
    counts, said = counted(speaking, 100)
    seconds = 100 * 0.05
    assert 10 * seconds * 0.9 <= counts.writes - quiet.writes <= 10 * seconds + 2  # ten batches a second, and the end
    assert (counts.reads, counts.messages) == (quiet.reads, quiet.messages)
    assert (said.reads, said.writes) == (counts.reads, counts.writes)


def test_readers_in_the_process_that_writes_read_next_to_nothing() -> None:
    alone, _ = counted(speaking, 100)
    counts, _ = counted(speaking, 100, here=20)
    assert (counts.writes, counts.messages) == (alone.writes, alone.messages)
    assert counts.reads - alone.reads <= 2 * 20 + 3  # each: the instance, and the stream from its beginning


def test_twenty_readers_of_another_process_poll_as_one_does() -> None:
    by_one, _ = counted(speaking, 100, elsewhere=1)
    by_twenty, _ = counted(speaking, 100, elsewhere=20)
    assert by_twenty.reads - by_one.reads <= 2 * 19
