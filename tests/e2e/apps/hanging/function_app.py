"""An app whose orchestrators hang or never end: in Python, in a call that Python cannot interrupt, and as new."""

from __future__ import annotations

import os
import time
from typing import Any

import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable


def begun(name: str) -> None:
    with open(os.environ["RAN"], "a") as ran:
        ran.write(f"{name}\n")


@activity
def light(number: int) -> int:
    return number + 1


@orchestrator
def healthy(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(light, number))


@orchestrator
def spins(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield from ctx.call_activity(light, 1)
    begun("spins")
    while True:
        pass  # the line that the status must name


@orchestrator
def sleeps(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield from ctx.call_activity(light, 1)
    begun("sleeps")
    time.sleep(3600)  # this line, too


@orchestrator
def never_waits(ctx: OrchestrationContext, number: int) -> Orchestration[Any]:
    ctx.set_custom_status(number)
    ctx.continue_as_new(number + 1)
    yield from ()


app = func.FunctionApp()
app.register_functions(Durable(Registry().add(light, healthy, spins, sleeps, never_waits)).blueprint())
