"""What pyright must refuse of ``ctx.map``: the lines that end in ``# refused``."""

from __future__ import annotations

from durable_core import AtLeast, Orchestration, OrchestrationContext, Tolerate, activity, orchestrator


@activity
def price(sku: str) -> float:
    return float(len(sku))


@orchestrator
def parent(ctx: OrchestrationContext, skus: list[str]) -> Orchestration[None]:
    yield ctx.map(price, [1, 2])  # refused
    yield ctx.map(price, skus, policy="some")  # refused
    yield ctx.map(price, skus, policy=2)  # refused
    yield ctx.map(price, skus, max_concurrency="two")  # refused
    yield ctx.map(price, skus, retries=3)  # refused
    yield ctx.map(price)  # refused
    values = yield from ctx.map(price, skus)
    values[0].bit_count()  # refused
    settled = yield from ctx.map(price, skus, policy=AtLeast(1))
    sum(settled)  # refused
    settled[0].value.is_integer()  # refused
    AtLeast("two")  # refused
    Tolerate(0.5)  # refused
