"""How cost grows with size: operations, bytes and Python calls of ever larger runs, and the exponent of each.

Nothing here is timed. The runs take place in a simulated world, where the same seed does the same things: what is
counted says the same on any machine, however busy. An exponent of 1 is cost in proportion to size.
"""

from __future__ import annotations

import asyncio
import cProfile
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from durable_core.testing.simulation import World
from tests.support.programs import make_registry

Cost = Literal["operations", "written", "calls"]
COSTS: tuple[Cost, ...] = get_args(Cost)

REST = 60.0  # virtual seconds, after which everything that has no reason to wait is done
STEPS = 5  # of each chain, where their number grows

_SEVERAL = 2  # sizes, at least, for a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What grows. ``title``: of its curve; ``sizes``: what the benchmark runs; ``fewer``: what a test has time for.

    Instances begin at a number that fills the places for inline activities: below it a few are cheaper than many.
    """

    name: str
    title: str
    orchestrator: str
    sizes: Sequence[int]
    fewer: Sequence[int]
    instances_grow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a run of one size took, from its first start until all is at rest.

    operations: at the storage ports, idle polls left out. written: bytes, there. calls: of Python and C functions, by
    everybody, the store in memory and the counting included.
    """

    size: int
    operations: int
    written: int
    calls: int

    def of(self, cost: Cost) -> int:
        match cost:
            case "operations":
                return self.operations
            case "written":
                return self.written
            case "calls":
                return self.calls


GROWTHS = (
    Growth(
        name="length",
        title="length of a chain",
        orchestrator="chain",
        sizes=(30, 100, 300, 1000, 3000),
        fewer=(50, 100, 200, 400),
    ),
    Growth(
        name="width",
        title="width of a fan-out",
        orchestrator="fan",
        sizes=(30, 100, 300, 1000, 3000),
        fewer=(50, 100, 200, 400),
    ),
    Growth(
        name="shortwidth",
        title="width of a fan-out, short=True",
        orchestrator="short_fan",
        sizes=(30, 100, 300, 1000, 3000),
        fewer=(50, 100, 200, 400),
    ),
    Growth(
        name="instances",
        title=f"number of chains of {STEPS}",
        orchestrator="chain",
        sizes=(40, 100, 250, 600, 1500),
        fewer=(40, 80, 160, 320),
        instances_grow=True,
    ),
    Growth(
        name="waiting",
        title="number of waiting instances that each get an event",
        orchestrator="waiter",
        sizes=(40, 100, 250, 600, 1500),
        fewer=(20, 40, 80, 160),
        instances_grow=True,
    ),
)


def measure(growth: Growth, size: int) -> Point:
    """Run one size in a world of its own. RuntimeError if it does not end as it should.

    In a process that has done none of this before the first run counts a little more: what is made once is made then.
    """

    async def begin(world: World) -> list[str]:
        if not growth.instances_grow:
            return [await world.client.start_new(growth.orchestrator, "alone", size)]
        ids = [await world.client.start_new(growth.orchestrator, f"i{number}", STEPS) for number in range(size)]
        if growth.orchestrator == "waiter":
            await asyncio.sleep(REST)
            for instance_id in ids:
                await world.client.raise_event(instance_id, "go", 1)
        return ids

    return _counted(size, _nothing, begin)


def measure_event(waiting: int) -> Point:
    """What one event to one of so many waiting instances takes. RuntimeError as above."""

    async def before(world: World) -> None:
        for number in range(waiting):
            await world.client.start_new("waiter", f"i{number}", 0)

    async def begin(world: World) -> list[str]:
        chosen = f"i{waiting // 2}"
        await world.client.raise_event(chosen, "go", 1)
        return [chosen]

    return _counted(waiting, before, begin)


async def _nothing(_: World) -> None:
    pass


def _counted(
    size: int, before: Callable[[World], Awaitable[None]], begin: Callable[[World], Awaitable[list[str]]]
) -> Point:
    """What it takes from ``begin`` until all is at rest; it returns the instances that must have completed by then."""
    world = World(make_registry(), counting=True)
    profile = cProfile.Profile()

    async def drive(world: World) -> Point:
        await before(world)
        await asyncio.sleep(REST)
        earlier = world.counted.counts
        profile.enable()
        try:
            ids = await begin(world)
            await asyncio.sleep(REST)
        finally:
            profile.disable()
        counts = world.counted.counts - earlier
        for instance_id in ids:
            if not (status := await world.client.get_status(instance_id)).is_terminal or status.failure is not None:
                raise RuntimeError(f"with {size}: {status}")
        calls = sum(entry.callcount for entry in profile.getstats())
        return Point(size=size, operations=counts.total, written=counts.bytes_written, calls=calls)

    point = world.run(drive)
    for error in (*world.errors, *world.failures):
        raise RuntimeError(f"with {size} it did not go as it should") from error
    return point


def curve(points: Sequence[Point], cost: Cost) -> list[tuple[int, int]]:
    """(size, cost) by size."""
    return sorted((point.size, point.of(cost)) for point in points)


def exponent(values: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line through (size, cost) with both axes logarithmic, by least squares.

    1 is linear, 2 quadratic. A cost that is there whatever the size makes it smaller. ValueError for fewer than two
    sizes, or for one that is not above 0.
    """
    if len({size for size, _ in values}) < _SEVERAL or any(value <= 0 for pair in values for value in pair):
        raise ValueError(f"no line goes through {values}: it takes two sizes, and all above 0")
    logs = [(math.log(size), math.log(cost)) for size, cost in values]
    mean_x, mean_y = (sum(each) / len(logs) for each in zip(*logs, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def per_unit(points: Sequence[Point], cost: Cost) -> tuple[float, float]:
    """What one more unit of size costs at first and at last: between the two smallest sizes, and the two largest."""
    values = curve(points, cost)
    (a, at_a), (b, at_b), *_ = values
    *_, (c, at_c), (d, at_d) = values
    return (at_b - at_a) / (b - a), (at_d - at_c) / (d - c)
