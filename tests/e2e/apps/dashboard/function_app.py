"""The app that the tests of the dashboard look at: calls that take a while, retries, children, waits, failures."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.functions as func

from durable_core import (
    ActivityContext,
    EntityId,
    Limit,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    entity,
    orchestrator,
)
from durable_core.hosting.functions import Durable

GATES = Path(os.environ.get("GATES", "."))
"""A folder of the test: an activity that waits at a gate goes on when its file, or the file ``all``, is there."""


class CardRefusedError(Exception):
    pass


class CourierOfflineError(Exception):
    pass


@activity
def take_payment(order: str) -> str:
    time.sleep(0.12)
    return f"receipt of {order}"


@activity
def refuse_card(order: str) -> None:
    raise CardRefusedError(f"the card of order '{order}' was refused")


@activity
def book_courier(ctx: ActivityContext, fails: int) -> str:
    time.sleep(0.05)
    if ctx.attempt <= fails:
        raise CourierOfflineError("courier.example does not answer")
    return "courier 7"


@activity
def pack(item: str) -> str:
    time.sleep(0.03)
    return f"{item} is packed"


@activity
def wait_at(gate: str) -> str:
    while not ((GATES / gate).exists() or (GATES / "all").exists()):
        time.sleep(0.02)
    return gate


@activity
def speak(ctx: ActivityContext, gate: str) -> None:
    stream = ctx.stream("answer")
    for word in ["All ", "<b>happy</b> ", "families"]:
        stream.write(word)
    wait_at(gate)
    stream.write({"are": "alike"})


@activity
def answer_with(value: Any) -> Any:
    return value


@orchestrator
def speaking(ctx: OrchestrationContext, gate: str) -> Orchestration[None]:
    yield from ctx.call_activity(speak, gate)


@orchestrator
def parcel(ctx: OrchestrationContext, items: list[str]) -> Orchestration[list[str]]:
    return (yield from ctx.task_all([ctx.call_activity(pack, item) for item in items]))


@orchestrator
def order(ctx: OrchestrationContext, wanted: dict[str, Any]) -> Orchestration[str]:
    """Pays, packs in a child, books a courier that fails at first, and waits for the delivery."""
    yield from ctx.call_activity(take_payment, ctx.instance_id)
    yield from ctx.call_sub_orchestrator(parcel, wanted["items"], instance_id=f"{ctx.instance_id}-parcel")
    policy = RetryPolicy(max_attempts=8, first_interval=timedelta(seconds=0.3), backoff=1.5)
    yield from ctx.call_activity(book_courier, wanted.get("courier_fails", 0), retry=policy)
    ctx.set_custom_status({"waits_for": "Delivered"})
    delivered = ctx.wait_for_external_event("Delivered")
    deadline = ctx.create_timer(timedelta(days=wanted.get("days", 14)))
    if (yield from ctx.task_any([delivered, deadline])) is deadline:
        return "lost"
    deadline.cancel()
    yield from ctx.call_activity(pack, "the invoice")
    return "delivered"


@orchestrator
def refused(ctx: OrchestrationContext, order: str) -> Orchestration[None]:
    yield from ctx.call_activity(refuse_card, order)


@activity
def approve(order: str) -> str:
    if not (GATES / f"approved-{order}").exists():
        raise CardRefusedError(f"order '{order}' is not approved")
    return "approved"


@orchestrator
def approved(ctx: OrchestrationContext, order: str) -> Orchestration[str]:
    yield from ctx.call_activity(take_payment, order)
    return (yield from ctx.call_activity(approve, order))


@orchestrator
def unsteady(ctx: OrchestrationContext) -> Orchestration[str]:
    yield from ctx.call_activity(take_payment, ctx.instance_id)
    return Path("host.json").read_text()  # no orchestrator may read a file


@orchestrator
def gated(ctx: OrchestrationContext, gate: str) -> Orchestration[str]:
    yield from ctx.call_activity(take_payment, ctx.instance_id)
    return (yield from ctx.call_activity(wait_at, gate))


@orchestrator
def family(ctx: OrchestrationContext, gate: str) -> Orchestration[list[str]]:
    return (yield from ctx.task_all([ctx.call_sub_orchestrator(gated, gate) for _ in range(2)]))


@orchestrator
def gathers(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    """Two activities at once, then an event."""
    tasks = [ctx.call_activity(wait_at, f"gathers-{number}") for number in range(2)]
    go = yield from ctx.wait_for_external_event("Go")
    return [*(yield from ctx.task_all(tasks)), go]


@orchestrator
def echo(ctx: OrchestrationContext, value: Any) -> Orchestration[Any]:
    ctx.set_custom_status(value if isinstance(value, str) and len(value) < 1000 else None)
    return (yield from ctx.call_activity(answer_with, value))


@entity(name="purse")
class Purse:
    coins: int = 0

    def put(self, coins: int) -> int:
        self.coins += coins
        return self.coins


@orchestrator
def holds_a_purse(ctx: OrchestrationContext, key: str) -> Orchestration[None]:
    with (yield from ctx.lock(EntityId("purse", key))):
        yield from ctx.wait_for_external_event("Go")


@orchestrator
def takes_a_slot(ctx: OrchestrationContext, wanted: dict[str, Any]) -> Orchestration[None]:
    limit = Limit(name="press", concurrency=1, rate=600, per=timedelta(minutes=1))
    with (yield from ctx.slot(limit, wanted["key"], group=wanted.get("group", ""), priority=wanted.get("priority", 0))):
        yield from ctx.wait_for_external_event("Go")


registry = Registry().add(
    Purse,
    holds_a_purse,
    takes_a_slot,
    take_payment,
    refuse_card,
    book_courier,
    pack,
    wait_at,
    answer_with,
    speak,
    speaking,
    parcel,
    order,
    refused,
    gated,
    family,
    unsteady,
    echo,
    gathers,
    approve,
    approved,
)
durable = Durable(registry)
app = func.FunctionApp()
app.register_functions(durable.blueprint())


@app.route(route="hourly/{name}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def make_schedule(req: func.HttpRequest) -> func.HttpResponse:
    """Make a schedule: the management API lists and changes them, and makes none."""
    client = await durable.client()
    await client.create_schedule(req.route_params["name"], echo, interval=timedelta(hours=1), client_input="a run")
    return func.HttpResponse(status_code=204)
