"""The first build of an app: an order of the steps A, B and C. ``release_2`` is the next one."""

from __future__ import annotations

import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable


@activity
def step(name: str) -> str:
    return name


@orchestrator(version="1")
def order(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    did += yield from ctx.call_activity(step, "B", inline=False)
    yield from ctx.wait_for_external_event("go")
    return did + (yield from ctx.call_activity(step, "C"))


@orchestrator
def changed(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    yield from ctx.wait_for_external_event("on")
    did += yield from ctx.call_activity(step, "B", inline=False)
    yield from ctx.wait_for_external_event("go")
    return did + (yield from ctx.call_activity(step, "C"))


app = func.FunctionApp()
app.register_functions(Durable(Registry().add(step, order, changed)).blueprint())
