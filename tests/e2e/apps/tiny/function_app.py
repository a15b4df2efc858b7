"""The smallest app that has every trigger: what the local host and Azure's worker library are tested with.

Each function writes a line of JSON to the file named by TINY_LOG, so that a test sees what ran from outside.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
_lock = threading.Lock()


class Hooks:
    """Makes the queues, as a durable app's runtime does."""

    async def start(self, queues: Sequence[str] = ()) -> None:
        record("hook-start")
        if os.environ.get("TINY_QUEUES", "1") == "1":
            await make_queues()

    async def stop(self) -> None:
        record("hook-stop")


async def make_queues() -> None:
    from durable_core.hosting.storage_pool import acquire_storage, release_storage
    from durable_core.settings import Settings

    storage = acquire_storage(Settings.from_environment())
    await storage.create((), ("tiny-control", "tiny-work", "tiny-work-gpu", "tiny-failing"))
    await release_storage(storage)


def record(event: str, **details: object) -> None:
    line = json.dumps({"event": event, "pid": os.getpid(), **details})
    with _lock, open(os.environ["TINY_LOG"], "a", encoding="utf-8") as log:
        log.write(line + "\n")


def with_hooks(function: Any) -> Any:
    """Mark the function as the local host looks for it. Innermost: the other decorators return a builder."""
    function.__durable_hooks__ = Hooks()
    return function


@app.route("echo/{name:alpha}/{number:int?}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    answer = {
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params.items()),
        "query": dict(req.params),
        "body": req.get_body().decode(),
        "agent": req.headers.get("x-agent"),
        "function": context.function_name,
    }
    headers = {"X-Echo": "yes", "Location": "/elsewhere"}
    return func.HttpResponse(json.dumps(answer), status_code=202, headers=headers, mimetype="application/json")


@app.route("files/{*path}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def files(req: func.HttpRequest) -> str:
    return str(req.route_params.get("path", ""))


@app.route("size", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def size(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(str(len(req.get_body())))


@app.route("secret")
def secret(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("known", headers={"Set-Cookie": "a=1"})


@app.route("broken", auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("broken on purpose")


@app.route("send", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def send(req: func.HttpRequest) -> func.HttpResponse:
    """Send the body to the queue named in the query, through the app's own storage."""
    from durable_core.hosting.storage_pool import acquire_storage, release_storage
    from durable_core.settings import Settings

    storage = acquire_storage(Settings.from_environment())
    try:
        await storage.queue(req.params["queue"]).send(req.get_body().decode())
    finally:
        await release_storage(storage)
    return func.HttpResponse(status_code=202)


@app.route("prepare", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def prepare(req: func.HttpRequest) -> func.HttpResponse:
    """Make the queues where no hook has: Azure knows no hooks."""
    await make_queues()
    return func.HttpResponse(status_code=204)


@app.function_name("Control")
@app.queue_trigger(arg_name="msg", queue_name="tiny-control", connection="AzureWebJobsStorage")
@with_hooks
async def control(msg: func.QueueMessage) -> None:
    seconds = float(os.environ.get("TINY_WORK_SECONDS", "0"))
    record("control-begin", body=msg.get_body().decode(), count=msg.dequeue_count)
    await asyncio.sleep(seconds)
    record("control", body=msg.get_body().decode(), count=msg.dequeue_count)


@app.function_name("Work")
@app.queue_trigger(arg_name="msg", queue_name="tiny-work", connection="AzureWebJobsStorage")
def work(msg: func.QueueMessage) -> None:
    record("work-begin", body=msg.get_body().decode(), count=msg.dequeue_count)
    time.sleep(float(os.environ.get("TINY_WORK_SECONDS", "0")))
    record("work", body=msg.get_body().decode(), count=msg.dequeue_count)


@app.queue_trigger(arg_name="msg", queue_name="tiny-work-gpu", connection="AzureWebJobsStorage")
async def gpu(msg: func.QueueMessage) -> None:
    record("gpu", body=msg.get_body().decode())


@app.queue_trigger(arg_name="msg", queue_name="tiny-failing", connection="AzureWebJobsStorage")
async def failing(msg: func.QueueMessage) -> None:
    record("failing", body=msg.get_body().decode(), count=msg.dequeue_count)
    raise RuntimeError("failing on purpose")


@app.queue_trigger(arg_name="msg", queue_name="tiny-failing-poison", connection="AzureWebJobsStorage")
async def failing_poison(msg: func.QueueMessage) -> None:
    record("poison", body=msg.get_body().decode(), count=msg.dequeue_count)


@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
async def tick(timer: func.TimerRequest) -> None:
    record("tick", past_due=timer.past_due)
