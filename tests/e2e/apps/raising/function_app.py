"""An app whose code raises what would end a process, in a thread, on the event loop and in functions of its own."""

from __future__ import annotations

import sys
from typing import Any

import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable


@activity(inline=False)
def interrupts(where: str) -> None:
    raise KeyboardInterrupt(where)


@activity
async def exits(where: str) -> None:
    sys.exit(where)


@orchestrator
def calls(ctx: OrchestrationContext, activity_name: str) -> Orchestration[Any]:
    ctx.set_query_handler("exits", lambda: sys.exit(3))
    ctx.set_query_handler("answers", lambda: 7)
    if activity_name == "step":
        yield from ctx.run("step", sys.exit, 3)
    elif activity_name == "handler":
        ctx.on_event("go", lambda _: sys.exit(3))
        yield from ctx.wait_for_external_event("never")
    else:
        yield from ctx.call_activity(activity_name, "here")


app = func.FunctionApp()
app.register_functions(Durable(Registry().add(interrupts, exits, calls)).blueprint())


@app.route("plain", auth_level=func.AuthLevel.ANONYMOUS)
def plain(req: func.HttpRequest) -> str:
    sys.exit(3)


@app.route("waits", auth_level=func.AuthLevel.ANONYMOUS)
async def waits(req: func.HttpRequest) -> str:
    raise KeyboardInterrupt
