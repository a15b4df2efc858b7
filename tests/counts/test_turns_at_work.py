"""A lone activity from a queue: its host runs the next turn, too, and no message goes back to a control queue. It runs
the lone activities that follow as well, up to ``AT_WORK`` in a row, and these take no message at all."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence

import pytest

from durable_core.runtime.turn.inline_activity import AT_WORK, SHORT
from durable_core.settings import Settings
from durable_core.storage.counting import Counts
from durable_core.testing.faults import FaultPlan
from durable_core.testing.simulation import HostShape, Role, World
from tests.support.programs import make_registry

from .programs import REST

STEPS = 10
APART: tuple[Role, ...] = ("control", "work")


def count(
    steps: int,
    *,
    program: str = "queued_chain",
    roles: Sequence[Role] = APART,
    settings: Settings | None = None,
    builds: Sequence[str] = (),
    varied: bool = False,
) -> Counts:
    """Of one instance, with hosts of these roles and builds; it has completed. varied: operations take time, other
    times at each host, so that the hosts take turns."""
    source = random.Random(1)

    def shape(number: int) -> HostShape:
        host = HostShape.of(roles[number])
        if varied:
            host.plan = FaultPlan(pause=lambda: source.uniform(0.002, 0.010))
        if builds:
            host.build = builds[number]
        return host

    async def drive(world: World) -> Counts:
        await asyncio.sleep(REST)
        before = world.counted.counts
        await world.client.start_new(program, "i", steps)
        await asyncio.sleep(2 * REST)
        status = await world.client.get_status("i")
        assert status.is_terminal and status.failure is None, status
        return world.counted.counts - before

    world = World(make_registry(), hosts=len(roles), shape=shape, settings=settings, counting=True)
    counts = world.run(drive)
    assert not world.errors and not world.failures
    return counts


def test_four_steps_through_the_queue_take_one_message_and_a_write_each() -> None:
    counts, messages = count(STEPS), math.ceil(STEPS / AT_WORK)
    assert counts["queue.send"] == messages + 1, counts  # and the start
    assert counts["queue.delete"] == messages + 1, counts
    assert counts["table.read_range"] <= 2, "each host reads the instance once"
    assert counts["table.merge"] <= STEPS + 2, counts


@pytest.mark.parametrize(
    ("settings", "builds"),
    [(Settings(turns_at_work=False), ()), (None, ("new", "old"))],
    ids=["it is turned off", "the hosts have other code"],
)
def test_else_a_result_goes_to_the_control_queue(settings: Settings | None, builds: Sequence[str]) -> None:
    counts = count(STEPS, settings=settings, builds=builds)
    assert counts["queue.send"] == 2 * STEPS + 1, counts


def test_a_long_instance_is_read_by_its_control_host_alone() -> None:
    """Several hosts of work would each read and replay a long history at each step."""
    steps = 300
    counts = count(steps, roles=("control", "work", "work", "work"), varied=True)
    # While it is short, each step is read once at most; afterwards the host of control is warm, and reads nothing.
    assert counts["table.read_range"] <= SHORT + 8, counts
    assert counts["queue.send"] >= 2 * (steps - SHORT) + SHORT // AT_WORK, counts


def test_the_results_of_a_fan_out_go_to_the_control_queue() -> None:
    """Its other calls are under way: several hosts that ran turns would meet."""
    counts = count(8, program="fan", roles=("control", "work", "work"))
    assert counts["table.read_range"] == 1, counts
