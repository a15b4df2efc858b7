"""An app full of mistakes, to see what is said about each. ``HAS_LATE_ACTIVITY=1`` deploys what is missing."""

from __future__ import annotations

import os
from typing import Any

import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable


@orchestrator
def yields_a_number(ctx: OrchestrationContext) -> Any:
    yield 42  # the line that the failure must name


@orchestrator
def wants_an_object(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.call_activity(returns_an_object))


@orchestrator
def wants_the_late_activity(ctx: OrchestrationContext, text: str) -> Orchestration[Any]:
    return (yield from ctx.call_activity("late_activity", text))


@activity
def returns_an_object() -> object:
    return object()


@activity
def late_activity(text: str) -> str:
    return text.upper()


registry = Registry().add(yields_a_number, wants_an_object, wants_the_late_activity, returns_an_object)
if os.environ.get("HAS_LATE_ACTIVITY"):
    registry.add(late_activity)

app = func.FunctionApp()
app.register_functions(Durable(registry).blueprint())
