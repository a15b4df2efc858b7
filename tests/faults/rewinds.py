"""Orchestrations that fail until something is mended, and are rewound then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    orchestrator,
)
from durable_core.errors import DurableError, InstanceCompletedError, InstanceNotFoundError, TaskFailedError
from durable_core.testing.faults import FaultPlan, HostCrashError
from durable_core.testing.simulation import World
from tests.support.worlds import stop_all_hosts

from .oracle import check, come_to_rest, watched
from .scenarios import Effects


@dataclass
class Mending(Effects):
    """keys: of the activities that fail, by what they were called with."""

    keys: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def fail(self) -> None:
        if self.broken:
            raise ValueError("it is broken")


def make_registry(effects: Mending) -> Registry:
    @activity
    async def double(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        return number * 2

    @activity
    async def brittle(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        effects.keys.setdefault(f"brittle {number}", set()).add(ctx.idempotency_key)
        effects.fail()
        return number + 100

    @orchestrator
    def chain(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        one = yield from ctx.call_activity(double, 1)
        two = yield from ctx.call_activity(brittle, one)
        three = yield from ctx.call_activity(double, two)
        return [one, two, three]

    @orchestrator
    def queued(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        policy = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=20))
        one = yield from ctx.call_activity(double, 1, inline=False)
        two = yield from ctx.call_activity(brittle, one, inline=False, retry=policy)
        three = yield from ctx.call_activity(double, two, inline=False)
        return [one, two, three]

    @orchestrator
    def fan(ctx: OrchestrationContext) -> Orchestration[int]:
        doubled = yield from ctx.task_all(
            [ctx.call_activity(brittle if number == 2 else double, number) for number in range(5)]
        )
        last = yield from ctx.call_activity(double, sum(doubled))
        return last

    @orchestrator
    def steps(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        async def fine() -> int:
            await asyncio.sleep(0.5)
            return 1

        def bad() -> int:
            effects.fail()
            return 2

        found = yield from ctx.task_all([ctx.run("fine", fine), ctx.run("bad", bad)])
        last = yield from ctx.call_activity(double, sum(found))
        return [*found, last]

    @orchestrator
    def at_once(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        """Fails in its first commit, by a fault of its own code."""
        effects.fail()
        doubled = yield from ctx.call_activity(double, number)
        return doubled

    @orchestrator
    def waits(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """The events come in the commits that become void."""
        first, second = ctx.wait_for_external_event("First", str), ctx.wait_for_external_event("Second", str)
        one = yield from first
        yield from ctx.call_activity(brittle, 1)
        two = yield from second
        return [one, two]

    @orchestrator
    def timed(ctx: OrchestrationContext) -> Orchestration[bool]:
        """Whether a timer that was open while a call failed ran on for its last hour, as far as a fault lets it."""
        timer = ctx.create_timer(timedelta(hours=2))
        yield from ctx.create_timer(timedelta(hours=1))
        yield from ctx.call_activity(brittle, 1)
        before = ctx.current_utc_datetime
        yield from timer
        return timedelta(minutes=45) < ctx.current_utc_datetime - before < timedelta(minutes=90)

    @orchestrator
    def parent(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        found = yield from ctx.task_all(
            [ctx.call_sub_orchestrator(middle), ctx.call_sub_orchestrator(chain), ctx.call_activity(double, 3)]
        )
        return list(found)

    @orchestrator
    def middle(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        found = yield from ctx.call_sub_orchestrator(chain)
        more = yield from ctx.call_activity(double, sum(found))
        return [*found, more]

    @orchestrator
    def retried_child(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        policy = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=20))
        found = yield from ctx.call_sub_orchestrator(chain, retry=policy)
        return found

    @orchestrator
    def anew(ctx: OrchestrationContext, generation: int) -> Orchestration[list[int]]:
        one = yield from ctx.call_activity(double, generation)
        if generation < 2:
            ctx.continue_as_new(generation + 1)
            return []
        two = yield from ctx.call_activity(brittle, one)
        return [one, two]

    @orchestrator
    def compensates(ctx: OrchestrationContext) -> Orchestration[int]:
        try:
            number = yield from ctx.call_activity(brittle, 1)
        except TaskFailedError:
            yield from ctx.call_activity(double, 7)
            ctx.send_event("listener", "Refunded", 1)
            raise
        return number

    @orchestrator
    def listener(ctx: OrchestrationContext) -> Orchestration[int]:
        number = yield from ctx.wait_for_external_event("Refunded", int)
        return number

    @orchestrator
    def patient(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        """Ends by a request, or by its time limit, while it waits for a child and an event."""
        child = ctx.call_sub_orchestrator(listener, instance_id="listener")
        done = yield from ctx.task_all([child, ctx.wait_for_external_event("Go", str)])
        return list(done)

    @orchestrator
    def falls_back(ctx: OrchestrationContext) -> Orchestration[int]:
        """Calls a child once the failure has happened."""
        try:
            number = yield from ctx.call_activity(brittle, 1)
        except TaskFailedError:
            yield from ctx.call_sub_orchestrator(at_once_fine)
            raise
        return number

    @orchestrator
    def at_once_fine(ctx: OrchestrationContext) -> Orchestration[int]:
        doubled = yield from ctx.call_activity(double, 1)
        return doubled

    return Registry().add(
        double, brittle, chain, queued, fan, steps, at_once, waits, timed, parent, middle, retried_child, anew,
        compensates, listener, patient, falls_back, at_once_fine,
    )  # fmt: skip


@dataclass(frozen=True)
class Rewound:
    """``before``: what happens until the instance ends. ``after``: what its callers do once it is rewound.

    same_key: what was done again must have the key of before.
    """

    name: str
    orchestrator: str
    expected: Any
    data: Any = None
    before: Callable[[World], Awaitable[None]] | None = None
    after: Callable[[World], Awaitable[None]] | None = None
    force: bool = False
    timeout: timedelta | None = None


async def _two_events(world: World) -> None:
    await world.client.raise_event("one", "First", "a")
    await world.client.raise_event("one", "Second", "b")


async def terminate_soon(world: World) -> None:
    await asyncio.sleep(30)
    await world.client.terminate("one", "by mistake")


async def cancel_soon(world: World) -> None:
    await asyncio.sleep(30)
    await world.client.cancel("one", "by mistake")


async def _answer(world: World) -> None:
    for name, event, data in (("listener", "Refunded", 5), ("one", "Go", "now")):
        for _ in range(60):
            with suppress(InstanceCompletedError, InstanceNotFoundError):  # the child is rewound, or made, later
                await world.client.raise_event(name, event, data)
                break
            await asyncio.sleep(20)


SCENARIOS = [
    Rewound("chain", "chain", [2, 102, 204]),
    Rewound("queued chain", "queued", [2, 102, 204]),
    Rewound("fan-out", "fan", 2 * (0 + 2 + 102 + 6 + 8)),
    Rewound("steps", "steps", [1, 2, 6]),
    Rewound("first commit", "at_once", 14, data=7),
    Rewound("events", "waits", ["a", "b"], before=_two_events),
    Rewound("timer", "timed", True),
    Rewound("children", "parent", [[2, 102, 204, 616], [2, 102, 204], 6]),
    Rewound("child with retries", "retried_child", [2, 102, 204]),
    Rewound("continued as new", "anew", [4, 104], data=0),
    Rewound("forced", "compensates", 101, force=True),
    Rewound("terminated", "patient", [5, "now"], before=terminate_soon, after=_answer),
    Rewound("canceled", "patient", [5, "now"], before=cancel_soon, after=_answer),
    Rewound("timed out", "patient", [5, "now"], timeout=timedelta(hours=1), after=_answer),
]

ENDED_FOR = 4 * 3600.0
"""Seconds for which the instance stays ended until it is rewound."""


async def until_ended(world: World) -> None:
    while not (await world.client.get_status("one")).is_terminal:  # noqa: ASYNC110  in virtual time
        await asyncio.sleep(20)


def run(
    scenario: Rewound, plan: FaultPlan, *, make: Callable[[Mending], Registry] = make_registry, **options: Any
) -> tuple[Any, World]:
    """The instance ends in one host, and is rewound by another one, to which ``plan`` happens and which goes on with
    it. If the host dies, the caller tries again."""
    effects = Mending()
    world = World(make(effects), **options)
    oracle = watched(world)

    async def drive(world: World) -> Any:
        client = world.client
        await client.start_new(scenario.orchestrator, "one", scenario.data, timeout=scenario.timeout)
        if scenario.before is not None:
            await scenario.before(world)
        await until_ended(world)
        await asyncio.sleep(ENDED_FOR)
        effects.broken = False
        await stop_all_hosts(world)
        host = world.add_host(plan=plan)
        with suppress(HostCrashError, DurableError):
            await host.app.client.rewind("one", "mended", force=scenario.force, request_id="again")
        with suppress(DurableError):  # it runs, or has completed
            await client.rewind("one", "mended", force=scenario.force, request_id="again")
        if scenario.after is not None:
            await scenario.after(world)
        await come_to_rest(world)
        await asyncio.sleep(1800)
        await check(world, effects, oracle=oracle)
        keys = [len(found) for name, found in effects.keys.items() if name != "brittle 2"]
        assert set(keys) <= {1}, f"done again with another key: {effects.keys}"
        status = await client.get_status("one")
        return status.output if status.runtime_status == "Completed" else (status.runtime_status, status.failure)

    outcome = world.run(drive)
    assert not world.errors, world.errors
    world.plans[:] = [plan]
    return outcome, world
