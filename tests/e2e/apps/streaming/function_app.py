"""An app whose activities write a stream for some seconds; the chunks name the process that wrote them."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import azure.functions as func

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, RetryPolicy, activity
from durable_core import orchestrator as orchestrator_
from durable_core.hosting.functions import Durable

GATE = Path(os.environ["GATE"]) if "GATE" in os.environ else None
"""A file of the test: without it the activity stops after a quarter of its chunks."""


@activity(inline=False, retry=RetryPolicy(max_attempts=3))
async def count(ctx: ActivityContext, until: int) -> int:
    stream = ctx.stream("numbers")
    for number in range(until):
        await stream.write([f"{os.getpid()}-{ctx.attempt}", number])
        await asyncio.sleep(0.05)
        while number == until // 4 and GATE and not GATE.exists():  # noqa: ASYNC110  it is to be killed while it writes
            await asyncio.sleep(0.02)
        if number == until // 2 and ctx.attempt == 1:
            raise OSError("the first attempt fails")
    return until


@activity
def count_in_a_thread(ctx: ActivityContext, until: int) -> int:
    stream = ctx.stream("numbers")
    for number in range(until):
        stream.write(number)
        time.sleep(0.01)
    stream.end()
    return until


@orchestrator_
def counting(ctx: OrchestrationContext, until: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(count, until))


@orchestrator_
def counting_in_a_thread(ctx: OrchestrationContext, until: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(count_in_a_thread, until))


durable = Durable(Registry().add(count, count_in_a_thread, counting, counting_in_a_thread))
app = func.FunctionApp()
app.register_functions(durable.blueprint())


@app.route("start/{id}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def start(req: func.HttpRequest) -> func.HttpResponse:
    """Starts an instance, and answers with the URL of its stream."""
    client = await durable.client()
    started = await client.start_new(counting, req.route_params["id"], client_input=20)
    return func.HttpResponse(await durable.create_stream_url(req, started, "numbers"))
