"""The simulation: the product's own runtime over accounts that refuse what is beyond their limits, in virtual time.

A fixed number of instances is in flight: for each that ends another is started. Limits and instances are divided by a
factor, and what comes out is multiplied by it, so that a second of an account is not twenty thousand real operations.
That is sound where machines are enough: limits are rates, and so is throughput; how long an operation takes stays.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from durable_core.hub.names import shard_of
from durable_core.testing.virtual_time import VirtualTimeLoop, run_virtual

from .deployment import Hub, Shape, Tally
from .footprint import Workload
from .metered_storage import Rates

MOST_DIVIDED = 200.0
WARM_UP = 6.0  # virtual seconds, in which full buckets empty
WINDOW = 15.0  # virtual seconds that are measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """in_flight and steps_per_s: scaled up. refused: share of operations that were answered with 503."""

    in_flight: float
    steps_per_s: float
    refused: float


def _ids(prefix: str, place: int, partitions: int) -> Iterator[str]:
    """Instance ids of one partition: few instances are dealt out as evenly as the hash deals out many."""
    for count in itertools.count():
        instance_id = f"{prefix}x{count}"
        if shard_of(instance_id, partitions) == place:
            yield instance_id


def simulate(
    workload: Workload,
    shape: Shape,
    rates: Rates,
    in_flight: int,
    *,
    factor: float = MOST_DIVIDED,
    warm_up: float = WARM_UP,
    window: float = WINDOW,
) -> Outcome:
    """in_flight: instances at a time, as scaled down, over all hubs."""
    loop, tally = VirtualTimeLoop(), Tally()
    settings = replace(shape.settings, inline_default=workload.inline)
    shape = replace(shape, rates=rates.scaled(factor), settings=settings)
    hubs = [Hub(shape, number, loop, tally) for number in range(shape.accounts)]

    async def main() -> int:
        for hub in hubs:
            await hub.open()

        async def starter(number: int) -> None:
            hub, place = hubs[number % len(hubs)], number // len(hubs) % shape.partitions
            for instance_id in _ids(f"i{number}", place, shape.partitions):
                await hub.run(workload.orchestrator, instance_id, workload.data)

        starters = [loop.create_task(starter(number)) for number in range(in_flight)]
        await asyncio.sleep(warm_up)
        before = tally.activities
        await asyncio.sleep(window)
        ran = tally.activities - before
        for starter_task in starters:
            starter_task.cancel()
        await asyncio.gather(*starters, return_exceptions=True)
        for hub in hubs:
            await hub.abandon()
        return ran

    ran = run_virtual(main(), loop)
    refused = sum(hub.account.refused for hub in hubs)
    served = sum(len(hub.account.ledger) for hub in hubs)
    return Outcome(
        in_flight=in_flight * factor,
        steps_per_s=ran / window * factor,
        refused=refused / (refused + served),
    )
