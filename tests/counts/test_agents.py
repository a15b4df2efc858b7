"""What a run of an agent costs: each model request and each tool call is one write."""

from __future__ import annotations

from durable_core.models import Operations
from durable_core.testing.simulation import World
from tests.agents.scripted import Said, tool
from tests.agents.test_turns import Office, ended

LOOK = [tool("look", item="mug")]


def operations_of(*said: Said, stream: str | None = None) -> Operations:
    """The operations of an instance with one run in which the model says these things."""
    office = Office(*said, stream=stream)

    async def drive(world: World) -> Operations:
        await world.client.start_new("office", "one", "look")
        return (await ended(world)).operations

    return World(office.registry).run(drive)


def test_each_model_request_and_each_tool_call_is_one_write() -> None:
    short, long = operations_of("3"), operations_of(*[LOOK] * 9, "3")
    assert short == Operations(1, 6, 3)
    assert long == Operations(short.reads, short.writes + 18, short.messages)


def test_a_stream_adds_its_batches_and_nothing_else() -> None:
    without, streamed = operations_of(LOOK, "3"), operations_of(LOOK, "3", stream="answer")
    assert (streamed.reads, streamed.messages) == (without.reads, without.messages)
    assert without.writes < streamed.writes <= without.writes + 4
