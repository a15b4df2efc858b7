"""Orchestrators whose cost is counted, not timed: by tests, and by the benchmarks of scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator


def make_registry() -> Registry:
    @activity
    def add_one(number: int) -> int:
        return number + 1

    @activity(short=True)
    def add_one_soon(number: int) -> int:
        return number + 1

    return registry_of(add_one, add_one_soon)


def registry_of(add_one: Callable[[int], Any], add_one_soon: Callable[[int], Any]) -> Registry:
    """The orchestrators with these activities, which return their input plus one."""

    @orchestrator
    def chain(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
        value = 0
        for _ in range(steps):
            value = yield from ctx.call_activity(add_one, value)
        return value

    @orchestrator
    def queued_chain(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
        value = 0
        for _ in range(steps):
            value = yield from ctx.call_activity(add_one, value, inline=False)
        return value

    @orchestrator
    def fan(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
        results = yield from ctx.task_all([ctx.call_activity(add_one, number) for number in range(width)])
        return sum(results)

    @orchestrator
    def short_fan(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
        results = yield from ctx.task_all([ctx.call_activity(add_one_soon, number) for number in range(width)])
        return sum(results)

    @orchestrator
    def waiter(ctx: OrchestrationContext, _: int) -> Orchestration[int]:
        number: int = yield from ctx.wait_for_external_event("go")
        return number

    return Registry().add(add_one, add_one_soon, chain, queued_chain, fan, short_fan, waiter)
