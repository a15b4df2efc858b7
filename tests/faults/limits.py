"""What tests of limits share: who is inside at a time, which gates are in use, and runs that are watched so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from durable_core import Registry
from durable_core.limits import GATE
from durable_core.testing.faults import FaultPlan
from durable_core.testing.simulation import World


class Floor:
    """Who is inside at a time, over all hosts. most: the highest number of each key."""

    def __init__(self) -> None:
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.order: list[Any] = []

    def enter(self, key: str, who: Any) -> None:
        self.inside[key] += 1
        self.most[key] = max(self.most[key], self.inside[key])
        self.order.append(who)

    def leave(self, key: str) -> None:
        self.inside[key] -= 1


def on_a_floor(
    make_registry: Callable[[Floor], Registry],
    drive: Callable[[World, Floor], Any],
    *plans: FaultPlan,
    floor: Floor | None = None,
    **options: Any,
) -> tuple[Any, World]:
    """The outcome of the run, and its world. floor: where it takes place, for who looks there afterwards."""
    place = floor or Floor()
    world = World(make_registry(place), **options)
    outcome = world.run(lambda world: drive(world, place), *plans)
    assert not world.errors, world.errors
    return outcome, world


async def gates(world: World) -> dict[str, Any]:
    """The state of each gate that is in use."""
    page = await world.client.list_entities(GATE)
    return {each.entity_id.key: each.state for each in page.entities if each.exists}


async def all_given_back(world: World) -> None:
    """After a fault a message comes again when its lease is over."""
    for _ in range(60):
        await asyncio.sleep(60)
        if not await gates(world):
            return
    raise AssertionError(await gates(world))
