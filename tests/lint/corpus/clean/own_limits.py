"""Limits of orchestrators and of their calls that do not wait for each other."""

from datetime import timedelta
from typing import Any

from durable_core import Limit, Orchestration, OrchestrationContext, activity, orchestrator

OVEN = Limit(name="oven", concurrency=1)
SHOP = Limit(name="shop", concurrency=5)
PACE = Limit(name="pace", rate=5, per=timedelta(seconds=1))
TENANTS = Limit(name="tenants", concurrency=1, key=lambda order: order["tenant"])


@activity(limit=OVEN)
def bake(dish: str) -> str:
    return dish


@activity(limit=PACE)
def ask(dish: str) -> str:
    return dish


@activity(limit=TENANTS)
def of_tenant(order: dict[str, Any]) -> str:
    return order["tenant"]


@orchestrator(limit=SHOP)
def menu(ctx: OrchestrationContext, dish: str) -> Orchestration[None]:
    yield from ctx.call_activity(bake, dish)
    with (yield from ctx.slot(OVEN)):
        yield ctx.create_timer(timedelta(minutes=1))
    with (yield from ctx.slot(SHOP, "of another key")):
        yield ctx.create_timer(timedelta(minutes=1))


@orchestrator(limit=PACE)
def paced(ctx: OrchestrationContext, dish: str) -> Orchestration[None]:
    yield from ctx.call_activity(ask, dish)  # a rate lets everybody begin some time


@orchestrator(limit=TENANTS)
def for_another(ctx: OrchestrationContext, order: dict[str, Any]) -> Orchestration[None]:
    yield from ctx.call_activity(of_tenant, {"tenant": "another"})
