"""An app whose orchestrator is deployed in several builds: ``ORDER_CODE`` says which. Activities write what ran."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable


@activity
def act(name: str) -> str:
    with open(os.environ["RAN"], "a") as ran:
        ran.write(f"{name}\n")
    return name


def right(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    first = yield from ctx.call_activity(act, "first")
    data = yield from ctx.wait_for_external_event("go")
    return [first, data, (yield from ctx.call_activity(act, "second"))]


def uses_a_file(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    first = yield from ctx.call_activity(act, "first")
    data = yield from ctx.wait_for_external_event("go")
    Path(__file__).read_text()  # the line that the status must name
    return [first, data, (yield from ctx.call_activity(act, "second"))]


def calls_another(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    first = yield from ctx.call_activity("other", "first", returns=str)
    data = yield from ctx.wait_for_external_event("go")
    return [first, data, (yield from ctx.call_activity(act, "second"))]


code = {"right": right, "uses_a_file": uses_a_file, "calls_another": calls_another}[os.environ["ORDER_CODE"]]
registry = Registry().add(act, orchestrator(name="order")(code))

app = func.FunctionApp()
app.register_functions(Durable(registry).blueprint())
