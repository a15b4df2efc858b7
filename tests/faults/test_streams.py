"""Streams under faults: what any reader puts together is what one run has written, whatever was struck."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_core import StreamEnded
from durable_core.errors import ExecutionGoneError
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import run_judged
from .scenarios import Effects, result
from .streams import WORDS, Reader, events_of, make_stream_registry, read_all


async def _tell(world: World, *, inline: bool) -> Any:
    """A reader of another process reads from the beginning on, and reconnects behind each event."""
    await world.client.start_new("tell", "one", inline)
    reading = asyncio.create_task(_reconnecting(world))
    said = await result(world, "one")
    live = await reading
    live.check(WORDS)
    await events_of(world.client)
    later = await read_all(world.client)
    later.check(WORDS)
    assert live.data == later.data
    assert later.end is not None
    return said


async def _reconnecting(world: World) -> Reader:
    reader = Reader()
    while reader.end is None:
        async for event in world.client.stream("one", "words", from_=reader.last):
            reader.take(event)
            break
        reader.check(WORDS)
    return reader


@pytest.mark.parametrize("inline", [False, True], ids=["by_message", "inline"])
@pytest.mark.parametrize("fault", list(Fault))
def test_no_reader_gets_a_mixture_whatever_operation_is_struck(fault: Fault, inline: bool, totals: Totals) -> None:
    def run(plan: FaultPlan) -> tuple[Any, World]:
        effects = Effects()
        world = World(make_stream_registry(effects), settings=None)

        async def drive(world: World) -> Any:
            return await _tell(world, inline=inline)

        return run_judged(world, effects, drive, plan), world

    strike_each(run, fault, len(WORDS), totals, at_most=8)


def test_purge_and_restart_take_the_stream_along() -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("tell", "one", False)
        await result(world, "one")
        old = await events_of(world.client)
        await world.client.restart("one", restart_with_new_instance_id=False)
        await result(world, "one")
        new = await read_all(world.client)
        new.check(WORDS)
        assert old[0].offset[:8] != new.kept[0].offset[:8]  # type: ignore[attr-defined]
        with pytest.raises(ExecutionGoneError):
            await anext(world.client.stream("one", "words", from_=old[0].offset))  # type: ignore[attr-defined]
        table = world.storage.table(world.outside.hub.names.instances)
        executions = {row.key[1:17] for row in (await table.read_range("one", "f", "g")).rows}
        assert len(executions) == 1, "the rows of the old execution are left"
        assert await world.client.purge_instance_history("one") == 1
        assert not (await table.read_range("one")).rows

    World(make_stream_registry(Effects())).run(drive)


def test_a_stream_that_nobody_writes_ends_with_its_instance() -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("tell", "one", False)
        told = [event async for event in world.client.stream("one", "another name")]
        assert [(type(event), event.is_complete) for event in told] == [(StreamEnded, False)]  # type: ignore[union-attr]
        assert (await world.client.get_status("one")).is_terminal
        assert [event async for event in world.client.stream("one", "another name", from_=told[0].offset)] == []

    World(make_stream_registry(Effects())).run(drive)
