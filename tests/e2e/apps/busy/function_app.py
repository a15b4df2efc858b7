"""Orchestrations whose activities leave a line in a file at each run, so that a test can count what really happened.

The file is named by SIDE_EFFECTS. A line is one ``write`` to a file opened for appending: hosts that are killed leave
whole lines. A file of the name in BOMBS takes the hosts down that touch it, for as long as it is there. SECOND_CHANCE:
seconds over which recovery spreads what was set aside.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from datetime import timedelta
from typing import Any

import azure.functions as func

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable
from durable_core.runtime import recovery

recovery.SECOND_CHANCE = float(os.environ.get("SECOND_CHANCE", recovery.SECOND_CHANCE))


def record(ctx: ActivityContext, event: str) -> None:
    line = json.dumps([event, ctx.idempotency_key, ctx.instance_id, ctx.task_id, os.getpid()]) + "\n"
    log = os.open(os.environ["SIDE_EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(log, line.encode())
    finally:
        os.close(log)


def is_there(name: str) -> bool:
    return os.path.exists(os.path.join(os.environ.get("BOMBS", "."), name))


def explode_if(name: str) -> None:
    if is_there(name):
        os.kill(os.getpid(), signal.SIGKILL)


@activity
def add_one(ctx: ActivityContext, number: int) -> int:
    record(ctx, "run")
    return number + 1


@activity(inline=False)
async def slow(ctx: ActivityContext, seconds: float) -> int:
    """Until so many seconds are over, or a file "open" is among the bombs."""
    record(ctx, "begin")
    until = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < until and not is_there("open"):  # noqa: ASYNC110  a file is no event
        await asyncio.sleep(0.1)
    record(ctx, "end")
    return 1


@activity(short=True)
def may_explode(ctx: ActivityContext, name: str) -> str:
    record(ctx, "run")
    explode_if(name)
    return name


@orchestrator
def leaf(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(add_one, number))


@orchestrator
def busy(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    """Adds seven: a chain, a fan-out, a timer, a sub-orchestration."""
    for _ in range(2):
        number = yield from ctx.call_activity(add_one, number)
    parts = yield from ctx.task_all([ctx.call_activity(add_one, number * (k == 0)) for k in range(3)])
    yield ctx.create_timer(timedelta(seconds=1))
    number = yield from ctx.call_sub_orchestrator(leaf, sum(parts))
    return (yield from ctx.call_activity(add_one, number, inline=False))


@orchestrator
def patient(ctx: OrchestrationContext, seconds: float) -> Orchestration[int]:
    return (yield from ctx.call_activity(slow, seconds))


@orchestrator
def doomed(ctx: OrchestrationContext, name: str) -> Orchestration[str]:
    """Takes its host down when it has been told to go."""
    yield ctx.wait_for_external_event("go")
    explode_if(name)
    return name


@orchestrator
def pack(ctx: OrchestrationContext, names: list[str]) -> Orchestration[list[Any]]:
    """Activities that travel in one message, one of which may take its host down."""
    return (yield from ctx.task_all([ctx.call_activity(may_explode, name) for name in names]))


@orchestrator
def inbox(ctx: OrchestrationContext, count: int) -> Orchestration[list[Any]]:
    got: list[Any] = []
    for _ in range(count):
        got.append((yield ctx.wait_for_external_event("item")))
    return got


WINDOW = 8


@orchestrator
def lazy_window(ctx: OrchestrationContext, calls: int) -> Orchestration[int]:
    done = yield from ctx.task_all((ctx.call_activity(add_one, n) for n in range(calls)), max_concurrency=WINDOW)
    return len(done)


@orchestrator
def window_by_hand(ctx: OrchestrationContext, calls: int) -> Orchestration[int]:
    left = iter(range(calls))
    pending = [ctx.call_activity(add_one, next(left)) for _ in range(WINDOW)]
    done = 0
    while pending:
        ended = yield from ctx.task_any(pending)
        pending.remove(ended)
        done += 1
        pending.extend(ctx.call_activity(add_one, number) for number in [next(left, None)] if number is not None)
    return done


@orchestrator
def window_in_batches(ctx: OrchestrationContext, calls: int) -> Orchestration[int]:
    done = 0
    for first in range(0, calls, WINDOW):
        batch = yield from ctx.gather(*[ctx.call_activity(add_one, n) for n in range(first, first + WINDOW)])
        done += len(batch)
    return done


registry = Registry().add(
    add_one, slow, may_explode, leaf, busy, patient, doomed, pack, inbox, lazy_window, window_by_hand, window_in_batches
)
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(Durable(registry).blueprint())
