"""An order as one writes it for Temporal: a signal, a query, a condition with a time limit, an activity, a child."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from durable_core import (
    ActivityContext,
    DurableClient,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    activity,
    orchestrator,
)


class Order(BaseModel):
    order_id: str
    cents: int


@activity(timeout=timedelta(seconds=30), retry=RetryPolicy(max_attempts=5, non_retriable=[ValueError]))
async def charge(ctx: ActivityContext, order: Order) -> str:
    return f"receipt {order.order_id}"  # a payment service gets ctx.idempotency_key


@orchestrator
def ship(ctx: OrchestrationContext, order: Order) -> Orchestration[str]:
    yield from ctx.create_timer(timedelta(days=2))
    return f"parcel {order.order_id}"


@orchestrator
def fulfil(ctx: OrchestrationContext, order: Order) -> Orchestration[str]:
    approvals: list[str] = []
    ctx.on_event("Approve", approvals.append)  # @workflow.signal
    ctx.set_query_handler("approvals", lambda: approvals)  # @workflow.query
    # workflow.wait_condition(lambda: len(approvals) == 2, timeout=...)
    if not (yield from ctx.wait_condition(lambda: len(approvals) == 2, timeout=timedelta(days=3))):
        return "nobody approved"
    # await workflow.execute_activity(charge, order, start_to_close_timeout=..., retry_policy=...)
    receipt = yield from ctx.call_activity(charge, order)
    # await workflow.execute_child_workflow(Ship.run, order)
    parcel = yield from ctx.call_sub_orchestrator(ship, order)
    return f"{receipt}, {parcel}"


async def example(client: DurableClient) -> None:
    order = Order(order_id="o-7", cents=4200)
    # await client.start_workflow(Fulfil.run, order, id="o-7", start_signal="Approve", start_signal_args=["ann"])
    assert await client.signal_with_start(fulfil, "o-7", "Approve", "ann", client_input=order)
    await client.raise_event("o-7", "Approve", "bob")  # handle.signal
    status = await client.wait_for_completion("o-7", timeout=3 * 24 * 3600)  # handle.result
    assert status.output == "receipt o-7, parcel o-7"
    assert await client.query("o-7", "approvals") == ["ann", "bob"]  # handle.query
