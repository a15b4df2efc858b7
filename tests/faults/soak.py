"""A seeded run: which hosts there are, what happens to them, how their operations interleave. A run is its seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from durable_core import Registry
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import LEASE, HostShape, World

from .more_scenarios import full_registry
from .oracle import run_judged
from .scenarios import Effects, Scenario

SPAN = 60  # host operations among which faults strike
ROLES = [[(True, True)], [(True, True)] * 2, [(True, True)] * 3, [(True, False), (False, True)]]


@dataclass(frozen=True)
class Outcome:
    """What a run came to, and how much happened in it."""

    value: Any
    operations: int
    faults: int


class Chaos:
    """Everything random of one run, drawn from its seed in the order in which it is asked for."""

    def __init__(self, seed: int, *, calm: bool) -> None:
        self._random = random.Random(seed)
        self.calm = calm
        draw = self._random
        self.roles = draw.choice(ROLES)
        self.settings = replace(
            Settings(),
            warm_cache=draw.choice([0, Settings().warm_cache, 20_000]),
            inline_default=draw.random() < 0.7,
            partitions=draw.choice([1, 1, 3]),
        )
        self._skew = draw.choice([0.0, 0.0, 240.0])
        self._pace = draw.choice([0.0, 0.01, 0.3])
        self._stalls = not calm and draw.random() < 0.4
        self._twice = 0.0 if calm or draw.random() < 0.6 else 0.1
        self._late = 0.0 if calm or draw.random() < 0.6 else draw.choice([1.0, 20.0, 400.0])
        self.purged_at = draw.uniform(0.0, 60.0) if not calm and draw.random() < 0.15 else None

    def shape(self, number: int) -> HostShape:
        """A host; the first ones have faults, those that replace the dead have fewer."""
        draw = self._random
        plan = FaultPlan(pause=self.pause, twice=lambda: draw.random() < self._twice, late=self.late)
        if not self.calm and number < 2 * len(self.roles):
            strikes = draw.randrange(4) if number < len(self.roles) else draw.randrange(2)
            plan.strikes = {draw.randrange(SPAN): draw.choice(list(Fault)) for _ in range(strikes)}
        control, work = self.roles[number % len(self.roles)]
        return HostShape(plan, control, work, draw.uniform(-self._skew, self._skew))

    def late(self) -> float:
        """By how much a message comes later than it was sent for: now and then, so that others overtake it."""
        return self._random.random() * self._late if self._late and self._random.random() < 0.2 else 0.0

    def pause(self) -> float:
        """Usually short; now and then longer than a lease."""
        draw = self._random
        if self._stalls and draw.random() < 0.01:
            return draw.uniform(0.5, 2.0) * LEASE
        return 0.0 if draw.random() < 0.3 else draw.random() * self._pace


async def _purge_and_recover(world: World, after: float) -> None:
    """At that time every message is lost, and somebody recovers (invariant 5)."""
    await asyncio.sleep(after)
    for name in world.outside.hub.names.queues:
        await world.storage.queue(name).clear()
    await world.outside.recover(full=True)


def run_seed(
    scenario: Scenario,
    seed: int,
    *,
    calm: bool = False,
    make_registry: Callable[[Effects], Registry] = full_registry,
) -> Outcome:
    """Run to rest and ask the oracle. ``calm``: hosts interleave, but nothing goes wrong."""
    effects, chaos = Effects(), Chaos(seed, calm=calm)
    world = World(
        make_registry(effects),
        hosts=len(chaos.roles),
        seed=seed,
        settings=chaos.settings,
        shape=chaos.shape,
        outside=FaultPlan(pause=chaos.pause),
    )

    async def drive(world: World) -> Any:
        async with asyncio.TaskGroup() as group:
            if chaos.purged_at is not None:
                group.create_task(_purge_and_recover(world, chaos.purged_at))
            return await scenario.drive(world)

    once = calm and "retries" not in scenario.name and "recovered" not in scenario.name
    value = run_judged(world, effects, drive, exactly_once=once)
    assert value == scenario.expected, f"{value!r} instead of {scenario.expected!r}"
    if calm:
        assert not world.failures, world.failures
    operations = sum(len(plan.operations) for plan in world.plans)
    return Outcome(value, operations, sum(len(plan.struck) for plan in world.plans))
