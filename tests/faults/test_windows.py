"""Windows of work under faults: nothing is lost, and few calls run twice.

In a window some call is open at any time: a redispatch that asked for all that is open would never end. A fault may
cost two windows of doubled runs: the calls that were in flight, and those that followed. A run is its seed;
``DURABLE_SOAK=N`` runs N times as many.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import HostShape, World
from tests.support.totals import Totals

from .oracle import run_judged
from .scenarios import Effects, result

TIMES = int(os.environ.get("DURABLE_SOAK", "1"))
FIRST = int(os.environ.get("DURABLE_SOAK_FIRST", "0"))
CALLS, WINDOW = 48, 6
ROLES = {
    "1 host": [(True, True)],
    "2 hosts": [(True, True)] * 2,
    "3 hosts": [(True, True)] * 3,
    "control and work apart": [(True, False), (True, False), (False, True)],
}
KINDS = {
    "crashes": [Fault.CRASH_BEFORE, Fault.CRASH_AFTER],
    "stalls": [Fault.STALL],
    "all faults": list(Fault),
}


def windows(effects: Effects, pace: Callable[[int], float]) -> Registry:
    @activity
    async def work(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        await asyncio.sleep(pace(number))
        return number

    @orchestrator
    def lazy(ctx: OrchestrationContext, calls: int) -> Orchestration[int]:
        done = yield from ctx.task_all((ctx.call_activity(work, n) for n in range(calls)), max_concurrency=WINDOW)
        return sum(done)

    @orchestrator
    def by_hand(ctx: OrchestrationContext, calls: int) -> Orchestration[int]:
        left: Iterator[int] = iter(range(calls))
        pending = [ctx.call_activity(work, next(left)) for _ in range(WINDOW)]
        total = 0
        while pending:
            ended = yield from ctx.task_any(pending)
            pending.remove(ended)
            total += ended.result
            pending.extend(ctx.call_activity(work, number) for number in [next(left, None)] if number is not None)
        return total

    @orchestrator
    def in_batches(ctx: OrchestrationContext, calls: int) -> Orchestration[int]:
        total = 0
        for first in range(0, calls, WINDOW):
            done = yield from ctx.gather(*[ctx.call_activity(work, n) for n in range(first, first + WINDOW)])
            total += sum(done)
        return total

    return Registry().add(work, lazy, by_hand, in_batches)


@dataclass(frozen=True)
class Window:
    """One run: its faults, and by how much more often than once activities ran."""

    struck: int
    doubles: int
    operations: int


def run_window(
    seed: int, orchestration: str, roles: list[tuple[bool, bool]], kinds: list[Fault], faults: int
) -> Window:
    draw = random.Random(f"{seed} {orchestration} {len(roles)} {kinds} {faults}")
    span, slow = draw.choice([0.0, 0.05, 0.5, 2.0]), draw.choice([1, 6])
    pace = draw.choice([0.0, 0.01, 0.05])
    is_purged = draw.random() < 0.2
    effects = Effects()
    strikes = [
        (draw.randrange(len(roles)), draw.randrange(5, max(12, CALLS * 7 // len(roles))), draw.choice(kinds))
        for _ in range(faults)
    ]

    def shape(number: int) -> HostShape:
        own = random.Random(f"{seed} {number}")
        plan = FaultPlan(pause=lambda: own.random() * pace)
        plan.strikes = {at: fault for host, at, fault in strikes if host == number}
        control, work = roles[number % len(roles)]
        return HostShape(plan, control, work)

    settings = replace(
        Settings(), warm_cache=draw.choice([0, Settings().warm_cache]), inline_default=draw.random() < 0.7
    )
    world = World(
        windows(effects, lambda number: draw.uniform(0, span) * (slow if number % 20 == 0 else 1)),
        hosts=len(roles),
        seed=seed,
        shape=shape,
        settings=settings,
    )

    async def purge(world: World) -> None:
        await asyncio.sleep(draw.uniform(0.05, 8.0))
        for name in world.outside.hub.names.queues:
            await world.storage.queue(name).clear()
        await world.outside.recover(full=True)

    async def drive(world: World) -> Any:
        async with asyncio.TaskGroup() as group:
            await world.client.start_new(orchestration, "one", CALLS)
            if is_purged:
                group.create_task(purge(world))
            return await result(world, "one")

    assert run_judged(world, effects, drive) == sum(range(CALLS))
    struck = sum(len(plan.struck) for plan in world.plans) + is_purged
    operations = sum(len(plan.operations) for plan in world.plans)
    return Window(struck, sum(effects.runs.values()) - CALLS, operations)


@pytest.mark.timeout(300 * TIMES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("roles", ROLES)
@pytest.mark.parametrize("orchestration", ["lazy", "by_hand", "in_batches"])
def test_a_fault_makes_no_more_of_a_window_run_twice_than_a_few_times_its_width(
    orchestration: str, roles: str, kind: str, totals: Totals
) -> None:
    for seed in range(FIRST, FIRST + 3 * TIMES):
        faults = 1 + seed % 2
        found = run_window(seed, orchestration, ROLES[roles], KINDS[kind], faults)
        widths = 3 if orchestration == "in_batches" else 2  # the next batch begins with the last result of one
        assert found.doubles <= widths * WINDOW * found.struck, f"seed {seed}: {found}"
        totals.add(
            "windows", seeds=1, faults=found.struck, run_twice=found.doubles, storage_operations=found.operations
        )
