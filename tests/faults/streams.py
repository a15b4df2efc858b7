"""Orchestrators whose activities write streams, and a reader that judges what it reads.

A stream that a reader of any kind puts together must be the one that the last run has written, from its beginning:
never parts of two runs (``Reader``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from durable_core import (
    ActivityContext,
    ActivityFailedError,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    StreamChunk,
    StreamEnded,
    StreamRestarted,
    activity,
    orchestrator,
)
from durable_core.runtime.client import DurableClient

from .scenarios import Effects
from .stage import Stage

WORDS = ["to", "be", "or", "not"]


def make_stream_registry(effects: Effects) -> Registry:
    """For hosts that run by themselves: a stream by a message, one by an inline activity, and one by two calls."""
    runs = 0

    @activity
    async def speak(ctx: ActivityContext, words: list[str]) -> int:
        nonlocal runs
        runs += 1
        run = runs
        effects.runs[ctx.idempotency_key] += 1
        writer = ctx.stream("words")
        for word in words:
            await writer.write([run, word])
            await asyncio.sleep(0.06)
        if ctx.attempt == 1:
            raise ValueError("the first attempt fails")
        return len(words)

    @orchestrator
    def tell(ctx: OrchestrationContext, inline: bool) -> Orchestration[int]:
        policy = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=20))
        said = yield from ctx.call_activity(speak, WORDS, inline=inline, retry=policy)
        return said

    return Registry().add(speak, tell)


def stream_registry(stage: Callable[[], Stage], effects: Effects) -> Registry:
    """For plays: ``one`` calls ``speak`` by a message. Each run marks its chunks with a number of its own."""
    runs = 0

    @activity
    async def speak(ctx: ActivityContext, words: list[str]) -> str:
        nonlocal runs
        runs += 1
        run = runs
        effects.runs[ctx.idempotency_key] += 1
        writer = ctx.stream("words")
        for word in words:
            await stage().during(f"{word}-{run}")
            await writer.write([run, word])
            await writer_is_idle(writer)
        await stage().during(f"return-{run}")
        if effects.broken and ctx.attempt == 1 and "fail" in words:
            raise ValueError("the first attempt fails")
        return f"run {run}"

    @orchestrator
    def tell(ctx: OrchestrationContext, words: list[str]) -> Orchestration[str]:
        policy = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=20))
        said = yield from ctx.call_activity(speak, words, inline=False, retry=policy)
        return said

    @orchestrator
    def tell_once(ctx: OrchestrationContext, words: list[str]) -> Orchestration[str]:
        said = yield from ctx.call_activity(speak, words, inline=False)
        return said

    @activity
    async def check(ctx: ActivityContext) -> None:
        effects.runs[ctx.idempotency_key] += 1
        if effects.broken:
            raise ValueError("not yet")

    @orchestrator
    def apologize(ctx: OrchestrationContext, words: list[str]) -> Orchestration[str]:
        """Whether the check fails or not, it is said in the same stream."""
        try:
            yield from ctx.call_activity(check, inline=False)
        except ActivityFailedError:
            yield from ctx.call_activity(speak, words, inline=False)
            raise
        said = yield from ctx.call_activity(speak, words, inline=False)
        return said

    return Registry().add(speak, check, tell, tell_once, apologize)


async def writer_is_idle(writer: object) -> None:
    """Wait until all that was written is stored; a test's own way, which users do not have."""
    drained = getattr(writer, "_drained", None)
    if drained is not None:
        await drained()


@dataclass
class Reader:
    """What a consumer keeps that obeys the events: chunks so far, cut where they are superseded."""

    kept: list[StreamChunk] = field(default_factory=list[StreamChunk])
    last: str | None = None
    end: StreamEnded | None = None

    def take(self, event: object) -> None:
        match event:
            case StreamChunk():
                assert event.offset not in {chunk.offset for chunk in self.kept}, "a chunk was told twice"
                self.kept.append(event)
                self.last = event.offset
            case StreamRestarted():
                self.kept = [chunk for chunk in self.kept if place(chunk.offset) < place(event.superseded_from)]
                self.last = event.offset
            case StreamEnded():
                self.end, self.last = event, event.offset
            case _:
                raise AssertionError(event)

    @property
    def data(self) -> list[Any]:
        return [chunk.data for chunk in self.kept]

    def check(self, words: list[str]) -> None:
        """AssertionError if the chunks are of several runs, or are not the beginning of what a run writes."""
        assert len({run for run, _ in self.data}) <= 1, f"a mixture of runs: {self.data}"
        told = [word for _, word in self.data]
        assert told == words[: len(told)], f"chunks are missing or doubled: {self.data}"
        if self.end is not None and self.end.is_complete:
            assert told == words, f"a complete stream is not complete: {self.data}"


def place(offset: str) -> tuple[int, int]:
    _, number, index = offset.rstrip("e").split(".")
    return int(number), int(index)


async def read_all(client: DurableClient, instance_id: str = "one", name: str = "words") -> Reader:
    """A reader that has read until the end."""
    reader = Reader()
    async for event in client.stream(instance_id, name):
        reader.take(event)
    return reader


async def events_of(client: DurableClient, instance_id: str = "one", name: str = "words") -> list[object]:
    """All events; AssertionError if a reader that begins behind any of them gets others than those that follow."""
    whole: list[object] = [event async for event in client.stream(instance_id, name)]
    for at, event in enumerate(whole):
        offset: str = getattr(event, "offset")  # noqa: B009
        rest = [each async for each in client.stream(instance_id, name, from_=offset)]
        assert rest == whole[at + 1 :], f"from {offset}"
    return whole
