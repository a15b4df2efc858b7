"""An app with something for somebody on call: what waits, what fails, what is asked, and a schedule."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, RetryPolicy, activity, orchestrator
from durable_core.hosting.functions import Durable
from durable_core.runtime.bulk import slices


@activity
def charge(data: Any) -> Any:
    if data == "declined":
        raise ValueError("no \x1b[31mmoney\nsecond line")
    return {"paid": data}


@orchestrator
def order(ctx: OrchestrationContext, data: Any) -> Orchestration[Any]:
    def progress(asked: Any) -> Any:
        return {"asked": asked}

    def note(line: str) -> Any:
        if line == "bad":
            raise ValueError("not this line")
        return {"noted": line}

    ctx.set_query_handler("progress", progress)
    ctx.set_update_handler("note", note)
    receipt = yield from ctx.call_activity(charge, data)
    if data != "waits":
        return receipt
    ctx.set_custom_status("waiting \x1b[2J")
    return (yield from ctx.wait_for_external_event("Go"))


@orchestrator
def retries(ctx: OrchestrationContext) -> Orchestration[Any]:
    policy = RetryPolicy(max_attempts=5, first_interval=timedelta(hours=1))
    return (yield from ctx.call_activity(charge, "declined", retry=policy))


@orchestrator
def tick(ctx: OrchestrationContext) -> Orchestration[str]:
    yield from ctx.create_timer(ctx.current_utc_datetime)
    return "done"


@orchestrator
def collect(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    """The words that it is sent, until it is told to end."""
    words: list[Any] = []
    while (word := (yield from ctx.wait_for_external_event("Word"))) != "end":
        words.append(word)
    return words


if os.environ.get("ONCALL_SMALL_PARTS"):  # so that a bulk operation of few instances has many parts
    slices.PAGE, slices.SLICE_INSTANCES = 4, 8

durable = Durable(Registry().add(charge, order, retries, tick, collect))
app = func.FunctionApp()
app.register_functions(durable.blueprint())


@app.route(route="nightly", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def nightly(req: func.HttpRequest) -> func.HttpResponse:
    client = await durable.client()
    await client.create_schedule("nightly", tick, cron="0 3 * * *")
    return func.HttpResponse(status_code=202)
