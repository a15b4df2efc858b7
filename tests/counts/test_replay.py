"""What it costs to bring an instance back from its history, in Python calls per event. They may only go down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from durable_core.converter import Converter
from durable_core.runtime.turn.cached import definition_for, info_of, replayed
from durable_core.testing.simulation import World
from tests.support.programs import make_registry

from .programs import REST
from .python_calls import counting


@dataclass(frozen=True)
class Cold:
    """One instance of so many events, brought back: calls to read its history, and calls to replay it."""

    events: int
    read: int
    replay: int

    def __str__(self) -> str:
        return (
            f"{self.events} events: {self.read / self.events:.2f} calls per event to read, "
            f"{self.replay / self.events:.2f} to replay"
        )


def bring_back(program: str, size: int) -> Cold:
    """Run it to its end, then read and replay it as a host does to which it is new."""

    async def drive(world: World) -> Cold:
        await world.client.start_new(program, "one", size)
        await asyncio.sleep(REST)
        assert (await world.client.get_status("one")).is_terminal, "not at rest"
        instances, registry = world.hosts[0].app.hub.instances, world.hosts[0].app.registry
        with counting() as read:
            instance = (await instances.load("one")).instance
            assert instance is not None
            segments = await instances.history(instance)
        definition = definition_for(registry, instance.name, instance.version)
        with counting() as replay:
            live = replayed(definition, info_of(instance, ""), Converter(), segments)
        assert live.completion is not None
        live.close()
        return Cold(sum(len(segment.events) for segment in segments), read.number, replay.number)

    world = World(make_registry())
    cold = world.run(drive)
    assert not world.errors, world.errors
    assert cold.events >= 2 * size, cold  # a call and its result
    return cold


@pytest.mark.parametrize(
    ("program", "size", "read", "replay"),
    [("chain", 600, 2.8, 12.6), ("fan", 600, 1.25, 10.1)],
)
def test_an_event_is_read_and_replayed_in_so_many_calls(program: str, size: int, read: float, replay: float) -> None:
    bring_back(program, 1)  # what is made at its first use
    cold = bring_back(program, size)
    assert cold.read <= read * cold.events, cold
    assert cold.replay <= replay * cold.events, cold


@pytest.mark.parametrize("program", ["chain", "fan"])
def test_the_calls_grow_with_the_events_and_no_faster(program: str) -> None:
    few, many = bring_back(program, 300), bring_back(program, 1200)
    more = many.events - few.events
    assert many.read - few.read <= 1.05 * more * few.read / few.events, f"{few}\n{many}"
    assert many.replay - few.replay <= 1.05 * more * few.replay / few.events, f"{few}\n{many}"
