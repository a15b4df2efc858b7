"""The app under measurement: activities that return at once, and the orchestrators of the workloads."""

from __future__ import annotations

import os
import time
from datetime import timedelta

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


@activity
async def note(line: tuple[str, str]) -> None:
    """Append a line to a file: an effect that can be counted after a crash. Not flushed: only the process is killed."""
    path, text = line
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{text}\n".encode())
    finally:
        os.close(file)


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


@orchestrator
def sleeper(ctx: OrchestrationContext, seconds: float) -> Orchestration[float]:
    yield from ctx.create_timer(timedelta(seconds=seconds))
    return seconds


@orchestrator
def waiter(ctx: OrchestrationContext) -> Orchestration[int]:
    number: int = yield from ctx.wait_for_external_event("go")
    return number


@orchestrator
def noting_chain(ctx: OrchestrationContext, data: tuple[str, str, int]) -> Orchestration[int]:
    """A chain whose activities leave lines in a file: the file's path, this chain's name, how many steps."""
    path, name, steps = data
    for number in range(steps):
        yield from ctx.call_activity(note, (path, f"{name}.{number}"))
    return steps


registry = Registry().add(
    echo, short_echo, stamp, note, one, chain, fan, short_fan, long, sleeper, waiter, noting_chain
)
durable = Durable(registry)

app = func.FunctionApp()
app.register_functions(durable.blueprint())
