"""What pyright must accept of ``ctx.map``, and the types that it must see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, assert_type

from durable_core import (
    ActivityContext,
    AtLeast,
    JournalContext,
    MapFailedError,
    MapItem,
    MapResult,
    MapTask,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    TaskFailedError,
    Tolerate,
    activity,
    orchestrator,
)


@activity
def price(sku: str) -> float:
    return float(len(sku))


@activity
async def stock(ctx: ActivityContext, sku: str) -> int:
    return ctx.attempt


@orchestrator
def child(ctx: OrchestrationContext, sku: str) -> Orchestration[bool]:
    yield ctx.call_activity(price, sku)
    return True


@orchestrator
async def later(ctx: OrchestrationContext, sku: str) -> bytes:
    await ctx.call_activity(price, sku)
    return b""


@activity(journal=True)
async def journaled(ctx: JournalContext, sku: str) -> complex:
    return await ctx.step("price", price, sku)


def names() -> Iterator[str]:
    yield "a"


@orchestrator
def parent(ctx: OrchestrationContext, skus: list[str]) -> Orchestration[float]:
    assert_type((yield from ctx.map(price, skus)), list[float])
    assert_type((yield from ctx.map(stock, names(), max_concurrency=3, batch_size=9)), list[int])
    assert_type((yield from ctx.map(child, skus, timeout=timedelta(hours=1))), list[bool])
    assert_type((yield from ctx.map(later, skus)), list[bytes])
    assert_type((yield from ctx.map(journaled, skus)), list[complex])
    settled = yield from ctx.map(price, skus, policy="all_settled")
    assert_type(settled, MapResult[float])
    assert_type(settled.values, list[float])
    assert_type(settled[0], MapItem[float])
    assert_type(settled[0].result, float)
    assert_type(settled[0].value, float | None)
    assert_type(settled[0].error, TaskFailedError | None)
    assert_type((yield from ctx.map(child, skus, policy=AtLeast(2))), MapResult[bool])
    assert_type((yield from ctx.map(stock, skus, policy=Tolerate(share=0.1))), MapResult[int])
    assert_type((yield from ctx.map("price", skus)), list[Any])
    assert_type((yield from ctx.map("price", skus, returns=float)), list[float])
    assert_type((yield from ctx.map("price", skus, returns=float, policy=AtLeast(1))), MapResult[float])
    work = ctx.map(price, skus, retry=RetryPolicy(), inline=False)
    assert_type(work, MapTask[list[float]])
    work.cancel()
    try:
        floats, numbers = yield from ctx.gather(work, ctx.map(stock, skus))
        assert_type(floats, list[float])
        assert_type(numbers, list[int])
    except MapFailedError as error:
        print(error.result.failed)
    return sum(settled.values)


@orchestrator
async def awaiting(ctx: OrchestrationContext, skus: list[str]) -> float:
    assert_type(await ctx.map(price, skus), list[float])
    assert_type(await ctx.map(stock, skus, policy="all_settled"), MapResult[int])
    return 0.0
