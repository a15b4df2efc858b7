"""The app under measurement: activities that return at once, and the orchestrators of the workloads."""

from __future__ import annotations

import time

import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable


@activity
async def echo(number: int) -> int:
    return number


@activity(short=True)
async def short_echo(number: int) -> int:
    return number


@activity
async def stamp(number: int) -> float:
    return time.time()


@orchestrator
def one(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    result = yield from ctx.call_activity(echo, number)
    return result


@orchestrator
def chain(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
    for number in range(steps):
        yield from ctx.call_activity(echo, number)
    return steps


@orchestrator
def fan(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
    results = yield from ctx.task_all([ctx.call_activity(echo, number) for number in range(width)])
    return sum(results)


@orchestrator
def short_fan(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
    results = yield from ctx.task_all([ctx.call_activity(short_echo, number) for number in range(width)])
    return sum(results)


@orchestrator
def long(ctx: OrchestrationContext, steps: int) -> Orchestration[list[float]]:
    """When the first, the middle and the last activity ran, in seconds since 1970."""
    kept: list[float] = []
    for number in range(steps):
        moment = yield from ctx.call_activity(stamp, number)
        if number in (0, steps // 2, steps - 1):
            kept.append(moment)
    return kept


durable = Durable(Registry().add(echo, short_echo, stamp, one, chain, fan, short_fan, long))

app = func.FunctionApp()
app.register_functions(durable.blueprint())
