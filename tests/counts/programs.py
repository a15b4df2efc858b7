"""Orchestrators whose storage operations are counted, and one run of one of them in a simulated world."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from durable_core.models import JSON
from durable_core.registry import Registry
from durable_core.settings import Settings
from durable_core.storage.counting import Counts
from durable_core.testing.simulation import Role, World
from tests.support.programs import make_registry

REST = 60.0  # virtual seconds, after which everything that has no reason to wait is done


@dataclass(frozen=True)
class Run:
    """What it took. ``start``: by the client alone; ``all``: by everybody, from the start to the end and at rest."""

    start: Counts
    all: Counts
    outputs: list[JSON]
    conflicts: int

    def __str__(self) -> str:
        return f"{self.all}; {self.conflicts} conflicts"


def count(
    orchestrator_name: str,
    data: int,
    *,
    instances: int = 1,
    hosts: int | Sequence[Role] = 1,
    settings: Settings | None = None,
    registry: Registry | None = None,
) -> Run:
    """Run so many instances at once, to the end; idle polls and the look at the results are left out."""

    async def drive(world: World) -> Run:
        counted = world.counted
        await asyncio.sleep(REST)
        before = counted.counts
        for number in range(instances):
            await world.client.start_new(orchestrator_name, f"i{number}", data)
        start = counted.counts - before
        await asyncio.sleep(REST)
        everything = counted.counts - before
        statuses = [await world.client.get_status(f"i{number}") for number in range(instances)]
        assert all(status.is_terminal for status in statuses), "not at rest"
        conflicts = sum(host.app.instance_cache.conflicts for host in world.hosts)
        return Run(start, everything, [status.output for status in statuses], conflicts)

    world = World(registry or make_registry(), hosts=hosts, settings=settings, counting=True)
    run = world.run(drive)
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    return run
