"""A fault at each storage operation of a host: one trace holds all spans, and none is exported twice.

But for an attempt that two hosts have run and reported, which its activity allows for: both were there.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World

from .spans_seen import Exported, provider_of, spans_of


@activity
def step(number: int) -> int:
    return number


@orchestrator
def child(ctx: OrchestrationContext) -> Orchestration[int]:
    return (yield from ctx.call_activity(step, 7))


@orchestrator
def order(ctx: OrchestrationContext) -> Orchestration[int]:
    yield from ctx.call_activity(step, 1)
    yield from ctx.task_all([ctx.call_activity(step, n) for n in range(3)])
    yield ctx.create_timer(timedelta(seconds=5))
    return (yield from ctx.call_sub_orchestrator(child))


REGISTRY = Registry().add(step, child, order)


def run(plan: FaultPlan) -> Exported:
    exported = Exported()

    async def scenario(world: World) -> None:
        await world.client.start_new(order, "o")
        status = await world.client.wait_for_completion("o", 7 * 24 * 3600)
        assert status.output == 7, status

    World(REGISTRY, observe=spans_of(provider_of(exported))).run(scenario, plan)
    return exported


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOSE_ANSWER, Fault.RETRY])
def test_a_fault_makes_no_span_twice(fault: Fault) -> None:
    calm = FaultPlan()
    whole = run(calm)
    whole.check_whole()
    for number in range(len(calm.operations)):
        plan = FaultPlan({number: fault})
        exported = run(plan)
        spans = [(s.name, s.kind, s.span_id) for s in exported.spans]
        twice = [key for key, count in Counter(spans).items() if count > 1]
        assert all(kind == "SERVER" and name == "activity:step" for name, kind, _ in twice), f"{plan.struck}: {twice}"
        assert len(twice) <= 3, f"{plan.struck}: no more than were in flight: {twice}"
        assert len({span.trace_id for span in exported.spans}) == 1
        if fault in (Fault.LOSE_ANSWER, Fault.RETRY):  # one host throughout; one that dies emits nothing of its commit
            exported.check_whole()
