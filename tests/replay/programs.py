"""Orchestrators to check a deployment with: as they are deployed, and as a release would change them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator


@activity
def echo(value: Any) -> Any:
    return value


@activity
def shout(value: Any) -> Any:
    return value


@orchestrator
def count(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
    """So many steps, and then a wait."""
    for number in range(steps):
        yield from ctx.call_activity(echo, number)
    yield from ctx.wait_for_external_event("go")
    return steps


@orchestrator(name="count")
def count_changed(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
    for number in range(steps):
        yield from ctx.call_activity(shout, number)
    yield from ctx.wait_for_external_event("go")
    return steps


@orchestrator
def collect(ctx: OrchestrationContext, upto: int) -> Orchestration[int]:
    """Rounds of so many events each: each round is a generation."""
    for _ in range(upto):
        yield from ctx.wait_for_external_event("item")
        yield from ctx.create_timer(timedelta(seconds=1))
    ctx.continue_as_new(upto)
    return 0


@orchestrator(name="collect")
def collect_changed(ctx: OrchestrationContext, upto: int) -> Orchestration[int]:
    yield from ctx.call_activity(echo, upto)
    return 0


@orchestrator
def parent(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
    return (yield from ctx.call_sub_orchestrator(count, steps))


@orchestrator(version="1", name="pinned")
def pinned_1(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(echo)
    yield from ctx.wait_for_external_event("go")


@orchestrator(version="2", name="pinned")
def pinned_2(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.wait_for_external_event("go")


ACTIVITIES = (echo, shout)
DEPLOYED = Registry().add(*ACTIVITIES, count, collect, parent, pinned_1)
KEPT = Registry().add(*ACTIVITIES, count, collect, parent, pinned_1, pinned_2)
CHANGED = Registry().add(*ACTIVITIES, count_changed, collect, parent, pinned_2)
