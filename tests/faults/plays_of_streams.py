"""Interleavings about the streams that activities write (S1-S10)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_core.hub import streams as rows
from durable_core.runtime import stream_feeds
from durable_core.runtime.activities import stream_lane
from durable_core.runtime.activities.attempt import Attempt
from durable_core.runtime.activities.stream_lane import LaneWriter
from durable_core.testing.faults import Fault

from .plays import Play, always, replaced
from .stage import Stage, StagedHost
from .streams import WORDS, Reader, events_of, read_all, stream_registry
from .two_runs import begun, dies_at, overtaken

FAIL = [*WORDS, "fail"]
STORE = r"insert \w+ one f\w+-\w+-\d+"


async def _begun(stage: Stage, orchestrator: str = "tell", words: list[str] = WORDS) -> tuple[StagedHost, StagedHost]:
    return await begun(stage, orchestrator, words)


async def _told(stage: Stage, words: list[str] = WORDS, *, by: int | None = None) -> None:
    """The stream that is there at rest is that of one run, as it was written, to its end."""
    await events_of(stage.client)
    reader = await read_all(stage.client)
    reader.check(words)
    assert reader.end is not None
    assert reader.end.is_complete, "a stream without an end, though its activity has returned"
    if by is not None:
        assert reader.data[0] == [by, words[0]], f"the stream is that of another run: {reader.data}"


async def a_run_knows_what_a_dead_run_has_written(stage: Stage) -> None:
    """Host 1 writes two chunks and dies. Host 2 runs the activity again, and begins with its first chunk."""
    first, second = await _begun(stage)
    await dies_at(stage, first, STORE.replace(r"\d+", "0{9}1"), "after")
    await second.handle("work")
    await stage.ends_well()
    await _told(stage, by=2)


async def a_chunk_whose_answer_is_lost_is_written_once(stage: Stage) -> None:
    """The second chunk is stored, and its answer lost. The insert is tried again, and finds its own row."""
    first, _ = await _begun(stage)
    stored = first.hold(STORE.replace(r"\d+", "0{9}1"))
    run = await first.begin("work")
    await stored.reached()
    first.plan.strikes[len(first.plan.operations)] = Fault.LOSE_ANSWER
    stored.let_go()
    await asyncio.wait([run])
    assert first.plan.struck
    await stage.ends_well()
    await _told(stage)


async def a_run_that_wakes_up_behind_a_newer_one_writes_nothing_more(stage: Stage) -> None:
    """Host 1 writes a chunk and stalls. Host 2 gets the message, runs the activity, and writes two. Host 1 goes on."""
    first, second = await _begun(stage)
    await overtaken(stage, first, second, stage.hold_activity("be-1"), stage.hold_activity("or-2"))
    await stage.ends_well()
    await events_of(stage.client)
    reader = await read_all(stage.client)
    reader.check(WORDS)
    assert reader.data[0] == [2, "to"]


async def an_attempt_does_not_begin_behind_a_later_one(stage: Stage) -> None:
    """Host 1 begins attempt 1, and stalls before it has written. Host 2 gets the message; attempt 1 fails, and attempt
    2 writes a chunk. Host 1 goes on."""
    first, second = await _begun(stage, words=FAIL)
    await overtaken(stage, first, second, stage.hold_activity("to-1"), stage.hold_activity("be-3"), retried=True)
    await stage.ends_well()
    await _told(stage, FAIL, by=3)


async def a_stream_that_has_ended_stays_as_it_is(stage: Stage) -> None:
    """Host 1 ends the stream, and dies before it has reported the result. Host 2 runs the activity again."""
    first, second = await _begun(stage)
    await dies_at(stage, first, STORE.replace(r"\d+", "0{9}4"), "after")
    await second.handle("work")
    await stage.ends_well()
    await _told(stage, by=1)


async def a_result_is_reported_when_its_stream_has_ended(stage: Stage) -> None:
    """An activity returns at once after its last chunk."""
    first, _ = await _begun(stage)
    await first.handle("work")
    await stage.ends_well()
    await _told(stage)


async def _end_nothing(self: Attempt, *, is_success: bool) -> None: ...


async def a_reader_stops_where_rows_are_missing(stage: Stage) -> None:
    """A purge has deleted a row, and not yet those behind it."""
    first, _ = await _begun(stage)
    await first.handle("work")
    await stage.ends_well()
    table = stage.world.storage.table(stage.outside.app.hub.names.instances)
    found = await table.read_range("one", "f", "g")
    await table.delete("one", found.rows[1].key)
    reader = await read_all(stage.client)
    reader.check(WORDS)
    assert [chunk.data for chunk in reader.kept] == [[1, "to"]]


async def a_reader_gets_what_was_written_before_the_end(stage: Stage) -> None:
    """A reader in another process is about to look whether the instance lives. The activity writes, and fails for
    good, which ends the instance; then the reader looks."""
    first, _ = await _begun(stage, "tell_once", FAIL)
    writes = stage.hold_activity("to-1")
    run = await first.begin("work")
    await writes.reached()
    reader = Reader()

    async def read() -> None:
        async for event in stage.client.stream("one", "words"):
            reader.take(event)

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.5)  # it has begun, and found nothing
    looks = stage.outside.hold(r"get \w+ one z")
    await looks.reached()
    writes.let_go()
    await asyncio.wait([run])
    looks.let_go()
    await reading
    assert [word for _, word in reader.data] == FAIL, f"chunks are missing: {reader.data}"  # type: ignore[misc]
    assert reader.end is not None
    assert not reader.end.is_complete


def _read_before_the_look(patch: pytest.MonkeyPatch) -> None:
    feed: Any = stream_feeds._Feed  # pyright: ignore[reportPrivateUsage]

    async def look_and_read(self: Any, *, looks: bool) -> tuple[bool, bool]:
        found = await self._read()
        return looks and await self._is_over(), found

    patch.setattr(feed, "_look_and_read", look_and_read)


async def the_stream_of_a_void_call_is_written_anew(stage: Stage) -> None:
    """An activity fails, which another one tells in a stream; the instance fails. It is rewound to before the failure:
    the call that has written the stream is void, and another one writes the stream."""
    await stage.client.start_new("apologize", "one", WORDS)
    await stage.settle()
    stage.effects.broken = False
    await stage.client.rewind("one", force=True)
    await stage.ends_well()
    assert await stage.output() == "run 2", "the call could not write"
    await _told(stage, by=2)


async def _no_call_is_void(self: LaneWriter, lane: object) -> bool:
    return False


async def _learn_nothing(self: Any, found: list[rows.StreamRow]) -> None:
    """Try the next number, whatever is there."""
    self._number += 1


MIXED = "a mixture of runs"

_PLAYS = [
    Play("S1", a_run_knows_what_a_dead_run_has_written, replaced(LaneWriter, "_learn", _learn_nothing), MIXED),
    Play(
        "S2", a_chunk_whose_answer_is_lost_is_written_once, always(stream_lane, "is_own", False), "missing or doubled"
    ),
    Play("S3", a_run_knows_what_a_dead_run_has_written, always(stream_lane, "restart_at", None), MIXED),
    Play(
        "S4",
        a_run_that_wakes_up_behind_a_newer_one_writes_nothing_more,
        always(stream_lane, "is_by_a_newer_run", False),
        f"{MIXED}|from ",
    ),
    Play(
        "S5",
        an_attempt_does_not_begin_behind_a_later_one,
        always(stream_lane, "is_of_a_later_attempt", False),
        "without an end|another run",
    ),
    Play("S6", a_stream_that_has_ended_stays_as_it_is, always(stream_lane, "has_ended", False), "from "),
    Play(
        "S7",
        a_result_is_reported_when_its_stream_has_ended,
        replaced(Attempt, "end_streams", _end_nothing),
        "without an end",
    ),
    Play("S8", a_reader_stops_where_rows_are_missing, always(rows, "is_behind_a_gap", False), "missing or doubled"),
    Play("S9", a_reader_gets_what_was_written_before_the_end, _read_before_the_look, "chunks are missing"),
    Play(
        "S10",
        the_stream_of_a_void_call_is_written_anew,
        replaced(LaneWriter, "_is_void", _no_call_is_void),
        "the call could not write",
    ),
]
PLAYS = [Play(each.rule, each.perform, each.without, each.breaks, stream_registry) for each in _PLAYS]
