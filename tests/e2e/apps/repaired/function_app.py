"""An app whose activity fails while the file ``BROKEN`` exists. Activities write what ran. Any build can run it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.errors import TaskFailedError
from durable_core.hosting.functions import Durable


@activity
def act(name: str) -> str:
    with open(os.environ["RAN"], "a") as ran:
        ran.write(f"{name}\n")
    if name == "pay" and Path(os.environ["BROKEN"]).exists():
        raise ValueError("no connection")
    return name


@orchestrator
def order(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    data = yield from ctx.wait_for_external_event("go")
    first = yield from ctx.call_activity(act, "reserve")
    paid = yield from ctx.call_activity(act, "pay")
    shipped = yield from ctx.wait_for_external_event("shipped")
    return [data, first, paid, shipped]


@orchestrator
def rewraps(ctx: OrchestrationContext) -> Orchestration[str]:
    """Its failure does not say what has caused it."""
    yield from ctx.call_activity(act, "reserve")
    try:
        paid = yield from ctx.call_activity(act, "pay")
    except TaskFailedError:
        yield from ctx.wait_for_external_event("noticed")
        raise RuntimeError("the order has failed") from None
    return paid


app = func.FunctionApp()
app.register_functions(Durable(Registry().add(act, order, rewraps)).blueprint())
