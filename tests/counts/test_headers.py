"""What interceptors and headers cost: no storage operation; and without those that are used, not a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import durable_core
from durable_core import (
    ActivityContext,
    Interceptor,
    Orchestration,
    OrchestrationContext,
    OutgoingCall,
    Registry,
)
from durable_core.testing.simulation import World
from tests.support.programs import make_registry

from .python_calls import counting

PRODUCT = str(Path(durable_core.__file__).parent)
STEPS = 20
MOST_CALLS_OF_A_STEP = 60  # that three methods which are used, and a header for each call, add


class Nothing(Interceptor):
    """Overrides nothing."""


class Something(Interceptor):
    def around_orchestrator(
        self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
    ) -> Orchestration[Any]:
        return (yield from proceed())

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        call.headers["by"] = ctx.name

    async def around_activity(self, ctx: ActivityContext, proceed: Callable[[], Awaitable[Any]]) -> Any:
        return await proceed()


def run(registry: Registry, **options: Any) -> tuple[dict[str, int], int, int]:
    """The storage operations of a chain by kind, the bytes that it writes, and the calls of the product's functions."""
    world = World(registry, counting=True)

    async def drive(world: World) -> None:
        for program in ("chain", "queued_chain"):
            await world.client.start_new(program, program, STEPS, **options)
            assert (await world.client.wait_for_completion(program, 600)).output == STEPS

    with counting(PRODUCT) as calls:
        world.run(drive)
    counts = world.counted.counts
    return dict(counts.by_kind), counts.bytes_written, calls.number


def test_headers_and_interceptors_cost_no_storage_operation() -> None:
    plain, written, calls = run(make_registry())
    operations, headed, _ = run(make_registry(), headers={"tenant": "acme"})
    assert operations == plain and headed > written
    operations, _, more = run(make_registry().intercept(Something()), headers={"tenant": "acme"})
    assert operations == plain
    assert (more - calls) / (2 * STEPS) <= MOST_CALLS_OF_A_STEP


def test_an_interceptor_that_overrides_nothing_costs_no_call_of_a_step() -> None:
    run(make_registry())  # what is made at the first use is not counted
    plain, written, calls = run(make_registry())
    same, same_bytes, with_it = run(make_registry().intercept(Nothing()))
    assert (same, same_bytes) == (plain, written)
    assert with_it - calls < STEPS, "registering it is all"
