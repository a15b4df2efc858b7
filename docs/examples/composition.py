"""Putting tasks together: side by side, in order of their end, some of them failed, children with retries."""

from __future__ import annotations

from datetime import timedelta

from durable_core import (
    ActivityContext,
    DurableClient,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    TaskFailedError,
    activity,
    orchestrator,
)


@activity
def price(sku: str) -> float:
    if sku == "unknown":
        raise LookupError(sku)
    return 9.5


@activity
def stock(sku: str) -> int:
    return 3


@activity
def ask_supplier(ctx: ActivityContext, name: str) -> str:
    return name.upper()


@orchestrator
def product_page(ctx: OrchestrationContext, sku: str) -> Orchestration[str]:
    amount, count = yield from ctx.gather(ctx.call_activity(price, sku), ctx.call_activity(stock, sku))
    return f"{amount:.2f}, {count} left"  # each result has the type of its activity


@orchestrator
def price_list(ctx: OrchestrationContext, skus: list[str]) -> Orchestration[dict[str, float | None]]:
    settled = yield from ctx.gather(*[ctx.call_activity(price, sku) for sku in skus], policy="all_settled")
    return {
        sku: None if isinstance(found, TaskFailedError) else found for sku, found in zip(skus, settled, strict=True)
    }


@orchestrator
def two_fastest(ctx: OrchestrationContext, suppliers: list[str]) -> Orchestration[list[str]]:
    answers: list[str] = []
    for task in ctx.as_completed([ctx.call_activity(ask_supplier, name) for name in suppliers]):
        answers.append((yield from task))
        if len(answers) == 2:
            break
    return answers


@orchestrator
def flaky_shipment(ctx: OrchestrationContext, order: int) -> Orchestration[str]:
    yield from ctx.create_timer(timedelta(seconds=1))
    if not ctx.instance_id.endswith(".3"):
        raise ConnectionError("the carrier is away")
    return f"order {order} by {ctx.instance_id}"


@orchestrator
def ship(ctx: OrchestrationContext, order: int) -> Orchestration[str]:
    # Each attempt is an instance of its own: shipment-7, shipment-7.2, shipment-7.3.
    policy = RetryPolicy(max_attempts=3, first_interval=timedelta(minutes=5))
    return (yield from ctx.call_sub_orchestrator(flaky_shipment, order, f"shipment-{order}", retry=policy))


async def example(client: DurableClient) -> None:
    async def result(orchestrator_name: str, data: object) -> object:
        instance_id = await client.start_new(orchestrator_name, client_input=data)
        status = await client.wait_for_completion(instance_id, timeout=3600)
        assert status.failure is None, status.failure
        return status.output

    assert await result("product_page", "mug") == "9.50, 3 left"
    assert await result("price_list", ["mug", "unknown"]) == {"mug": 9.5, "unknown": None}
    assert await result("two_fastest", ["ann", "ann", "ann"]) == ["ANN", "ANN"]
    assert await result("ship", 7) == "order 7 by shipment-7.3"
