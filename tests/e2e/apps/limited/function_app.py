"""Orchestrations with an activity of which two calls may run at a time, over all hosts. Each call takes one of as many
locks of the operating system, which a host that is killed gives back at once; a call that finds none free says so.

After a kill a call may have two attempts at a time, which share its slot: the second one finds the call's lock taken.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from pathlib import Path

import azure.functions as func

from durable_core import ActivityContext, Limit, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable

TWO = Limit(name="two", concurrency=2)
EFFECTS = Path(os.environ["SIDE_EFFECTS"])


@activity(limit=TWO, inline=False)
async def work(ctx: ActivityContext, number: int) -> int:
    call, *slots = (_open(name) for name in (f"call {ctx.idempotency_key}", "slot 0", "slot 1"))
    try:
        if not _take(call):
            _say("again", ctx)
        elif any(_take(slot) for slot in slots):
            _say("begin", ctx)
        else:
            _say("too many", ctx)
        await asyncio.sleep(0.05)
    finally:
        for file in (call, *slots):
            os.close(file)
    return number


@orchestrator
def fan(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
    return sum((yield from ctx.task_all([ctx.call_activity(work, number) for number in range(width)])))


def _open(name: str) -> int:
    return os.open(EFFECTS.with_name(name), os.O_CREAT | os.O_RDWR)


def _take(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _say(event: str, ctx: ActivityContext) -> None:
    line = json.dumps([event, ctx.idempotency_key, ctx.instance_id, 0, os.getpid()]) + "\n"
    with EFFECTS.open("a") as log:
        log.write(line)


registry = Registry().add(work, fan)
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(Durable(registry).blueprint())
