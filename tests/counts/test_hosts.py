"""Several hosts on one store cost at most twice the operations of one, and seldom get into each other's way.

Hosts that share all queues, and hosts of control apart from hosts of work, as on Flex Consumption. They receive in
batches and their operations take time, other times at each: without that they would take turns and never meet.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import pytest

from durable_core.models import JSON
from durable_core.runtime.turn.inline_activity import AT_WORK
from durable_core.storage.counting import Counts
from durable_core.testing.faults import FaultPlan
from durable_core.testing.simulation import HostShape, Role, World
from tests.support.programs import make_registry

from .programs import REST

TWICE = 2.0
CONFLICTS = 0.08
"""Of the operations, at most; a conflict is a commit that meets another host's, and is made again."""

BATCH = 16
LATENCY = (0.002, 0.010)  # virtual seconds before an operation, and again after it

ALONE: tuple[Role | None, ...] = (None,)
GROUPS: dict[str, tuple[Role | None, ...]] = {
    "two": (None,) * 2,
    "four": (None,) * 4,
    "control apart from work": ("control", "work"),
    "two and two": ("control", "control", "work", "work"),
    "one and three": ("control", "work", "work", "work"),
}
PROGRAMS = [("chain", 10, 40), ("queued_chain", 10, 30), ("fan", 600, 1), ("short_fan", 600, 1), ("fan", 40, 15)]


@dataclass(frozen=True)
class Run:
    counts: Counts
    conflicts: int
    outputs: list[JSON]
    hosts_at_work: int

    def __str__(self) -> str:
        return f"{self.counts}; {self.conflicts} conflicts"


@cache
def run(program: str, size: int, instances: int, roles: Sequence[Role | None]) -> Run:
    source = random.Random(1)

    def shape(number: int) -> HostShape:
        host = HostShape.of(roles[number])
        host.batch, host.plan = BATCH, FaultPlan(pause=lambda: source.uniform(*LATENCY))
        return host

    async def drive(world: World) -> Run:
        await asyncio.sleep(REST)
        before, done_before = world.counted.counts, [len(plan.operations) for plan in world.plans]
        ids = [f"i{number}" for number in range(instances)]
        await asyncio.gather(*[world.client.start_new(program, each, size) for each in ids])
        await asyncio.sleep(2 * REST)
        counts = world.counted.counts - before
        statuses = [await world.client.get_status(each) for each in ids]
        assert all(status.is_terminal for status in statuses), "not at rest"
        return Run(
            counts,
            sum(host.app.instance_cache.conflicts for host in world.hosts),
            [status.output for status in statuses],
            sum(len(plan.operations) > done + 10 for plan, done in zip(world.plans, done_before, strict=True)),
        )

    world = World(make_registry(), hosts=len(roles), shape=shape, counting=True)
    found = world.run(drive)
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    return found


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(("program", "size", "instances"), PROGRAMS)
def test_more_hosts_need_at_most_twice_the_operations_of_one(
    program: str, size: int, instances: int, group: str
) -> None:
    alone, shared = run(program, size, instances, ALONE), run(program, size, instances, GROUPS[group])
    assert shared.outputs == alone.outputs
    assert shared.counts.total <= TWICE * alone.counts.total, f"alone: {alone}\ntogether: {shared}"
    assert shared.conflicts <= CONFLICTS * shared.counts.total, f"together: {shared}"
    assert alone.conflicts == 0


@pytest.mark.parametrize("group", GROUPS)
def test_steps_through_the_queue_cost_hardly_more_among_several_hosts(group: str) -> None:
    """The host that runs a step runs the next turn, and up to ``AT_WORK`` steps in a row: no result takes a message,
    few steps do, and hosts do not meet."""
    _, size, instances = chains = "queued_chain", 10, 30
    alone, shared = run(*chains, ALONE), run(*chains, GROUPS[group])
    assert shared.counts.total <= 1.2 * alone.counts.total, f"alone: {alone}\ntogether: {shared}"
    messages = math.ceil(size / AT_WORK)
    assert shared.counts["queue.send"] == instances * (messages + 1), "those of the steps, and one for the start"
    assert shared.conflicts == 0
    hosts_of_work = sum(role != "control" for role in GROUPS[group])
    reads = shared.counts["table.read_range"] / instances
    assert reads <= (2 if hosts_of_work == 1 else messages + 1), f"an instance was read and replayed {reads} times"


@pytest.mark.parametrize(("group", "more", "conflicts"), [("two", 1.2, 0.03), ("four", 1.4, 0.06)])
def test_hosts_that_have_met_on_an_instance_meet_seldom_again(group: str, more: float, conflicts: float) -> None:
    """Each runs calls of the same fan-outs, and records the results. A host that has met another one gathers more for
    its next commit, and reads what the other has committed first."""
    fans = "fan", 40, 15
    alone, shared = run(*fans, ALONE), run(*fans, GROUPS[group])
    assert shared.conflicts <= conflicts * shared.counts.total, f"together: {shared}"
    assert shared.counts.total <= more * alone.counts.total, f"alone: {alone}\ntogether: {shared}"


def test_hosts_that_share_everything_all_work_and_do_meet() -> None:
    """So that the bounds above bound something."""
    shared = run("fan", 40, 15, GROUPS["four"])
    assert shared.hosts_at_work == 4
    assert shared.conflicts > 0


def test_results_from_a_host_of_work_share_messages() -> None:
    """Before they did, a fan-out whose control lives elsewhere took a message for each that it was packed into."""
    apart, alone = run("fan", 600, 1, GROUPS["control apart from work"]), run("fan", 600, 1, ALONE)
    assert apart.counts["queue.send"] <= 1.3 * alone.counts["queue.send"], f"alone: {alone}\napart: {apart}"
