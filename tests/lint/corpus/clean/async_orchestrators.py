"""Orchestrators as ``async def``, whose code is right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from durable_core import OrchestrationContext, Saga, TaskFailedError, orchestrator


async def book(ctx: OrchestrationContext, what: str) -> str:
    return await ctx.call_activity("book", what)


async def pages(ctx: OrchestrationContext) -> AsyncIterator[str]:
    for number in range(3):
        yield await ctx.call_activity("page", number)


@orchestrator
async def trip(ctx: OrchestrationContext, name: str) -> list[str]:
    car, hotel = await ctx.gather(book(ctx, "car"), book(ctx, "hotel"))
    boat = ctx.branch(book(ctx, "boat"))
    later = book(ctx, "bus")
    async for page in pages(ctx):
        ctx.set_custom_status(page)
    while True:
        try:
            await ctx.with_timeout(later, timedelta(seconds=3))
        except TaskFailedError:
            await ctx.create_timer(timedelta(seconds=1))
        break

    async def body(saga: Saga) -> str:
        saga.add_compensation("undo")
        return await ctx.call_activity("do")

    return [car, hotel, await boat, await ctx.run_saga(body)]
