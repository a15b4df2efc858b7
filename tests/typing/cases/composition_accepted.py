"""What pyright must accept of combinations, children, sagas and HTTP calls, and the types that it must see."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any, assert_type

from durable_core import (
    ActivityContext,
    BranchTask,
    DurableHttpResponse,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    Saga,
    Task,
    TaskFailedError,
    activity,
    orchestrator,
)


@activity
def price(sku: str) -> float:
    return float(len(sku))


@activity
async def stock(ctx: ActivityContext, sku: str) -> int:
    return ctx.attempt


@activity
def ping() -> bytes:
    return b""


@orchestrator
def child(ctx: OrchestrationContext, sku: str) -> Orchestration[bool]:
    yield ctx.call_activity(price, sku)
    return True


@orchestrator
def lonely(ctx: OrchestrationContext) -> Orchestration[None]:
    yield ctx.create_timer(timedelta(seconds=1))


def undo(sku: str) -> Generator[Task[Any], Any, None]:
    yield from ()


@orchestrator
def parent(ctx: OrchestrationContext, sku: str) -> Orchestration[float]:
    one, two = ctx.call_activity(price, sku), ctx.call_activity(stock, sku)
    assert_type((yield from ctx.gather(one, two)), tuple[float, int])
    assert_type((yield from ctx.gather(one, two, policy="first_error_after_all")), tuple[float, int])
    five = yield from ctx.gather(one, two, one, two, ctx.call_sub_orchestrator(child, sku))
    assert_type(five, tuple[float, int, float, int, bool])
    settled = yield from ctx.gather(one, two, policy="all_settled")
    assert_type(settled, tuple[float | TaskFailedError, int | TaskFailedError])
    many = yield from ctx.gather(*[one, one], policy="all_settled")
    assert_type(many, tuple[float | TaskFailedError, ...])
    assert_type((yield from ctx.gather(one, one, return_exceptions=True)), tuple[float | TaskFailedError, ...])

    calls = (ctx.call_activity(price, name) for name in ("a", "b"))
    assert_type((yield from ctx.task_all(calls, max_concurrency=1)), list[float])
    for task in ctx.as_completed([one, one]):
        assert_type((yield from task), float)
        assert_type(task.origin, Task[float])

    assert_type(ctx.start_orchestration(child, sku), str)
    assert_type(ctx.start_orchestration(lonely), str)
    assert_type(ctx.start_orchestration("child", sku, "an-id", "2"), str)

    saga = ctx.saga()
    saga.add_compensation(price, sku)
    saga.add_compensation(stock, sku, retry=RetryPolicy())
    saga.add_compensation(ping)
    saga.add_compensation(child, sku)
    saga.add_compensation(lonely)
    saga.add_compensation(undo, sku)
    saga.add_compensation("price", sku)
    assert_type((yield from saga.compensate()), None)

    def body(saga: Saga) -> Generator[Task[Any], Any, float]:
        return (yield from one)

    assert_type((yield from ctx.run_saga(body)), float)
    response = yield from ctx.call_http("GET", "https://example.com", timeout=timedelta(minutes=1))
    assert_type(response, DurableHttpResponse)
    return float(response.status_code)


def book(ctx: OrchestrationContext, seat: int) -> Orchestration[str]:
    yield ctx.call_activity(ping)
    return str(seat)


def count(ctx: OrchestrationContext) -> Generator[Task[Any], Any, int]:
    yield from ctx.create_timer(timedelta(seconds=1))
    return 1


@orchestrator
def branches(ctx: OrchestrationContext) -> Orchestration[None]:
    assert_type((yield from ctx.gather(book(ctx, 1), count(ctx))), tuple[str, int])
    assert_type(
        (yield from ctx.gather(book(ctx, 1), ctx.call_activity(price, "a"), count(ctx))), tuple[str, float, int]
    )
    settled = yield from ctx.gather(book(ctx, 1), count(ctx), policy="all_settled")
    assert_type(settled, tuple[str | TaskFailedError, int | TaskFailedError])
    assert_type((yield from ctx.gather(*[book(ctx, n) for n in range(3)])), tuple[str, ...])
    assert_type((yield from ctx.task_all([book(ctx, n) for n in range(3)])), list[str])
    assert_type((yield from ctx.task_all((book(ctx, n) for n in range(3)), max_concurrency=2)), list[str])
    winner = yield from ctx.task_any([book(ctx, 1), book(ctx, 2)])
    assert_type(winner.result, str)
    for task in ctx.as_completed([count(ctx), count(ctx)]):
        assert_type((yield from task), int)
    started = ctx.branch(book(ctx, 1))
    assert_type(started, BranchTask[str])
    assert_type((yield from started), str)
    started.cancel()
    assert_type((yield from ctx.with_timeout(count(ctx), timedelta(seconds=1))), int)
    assert_type((yield from ctx.with_timeout(ctx.call_activity(price, "a"), timedelta(seconds=1))), float)
    assert_type((yield from ctx.gather(ctx.run_saga(lambda saga: count(ctx)), started)), tuple[int, str])


async def hold(ctx: OrchestrationContext, seat: int) -> str:
    await ctx.call_activity(ping)
    return str(seat)


@orchestrator
async def spelled_async(ctx: OrchestrationContext, sku: str) -> float:
    assert_type(await ctx.call_activity(price, sku), float)
    assert_type(await ctx.call_activity(stock, sku), int)
    assert_type(await ctx.gather(hold(ctx, 1), count(ctx), ctx.call_activity(price, sku)), tuple[str, int, float])
    assert_type(await ctx.task_all([hold(ctx, n) for n in range(3)]), list[str])
    assert_type((await ctx.task_any([hold(ctx, 1), hold(ctx, 2)])).result, str)
    assert_type(await ctx.with_timeout(hold(ctx, 1), timedelta(seconds=1)), str)
    assert_type(ctx.branch(hold(ctx, 1)), BranchTask[str])
    assert_type(await ctx.call_sub_orchestrator(child, sku), bool)
    assert_type(await ctx.call_sub_orchestrator(async_child, sku), bytes)

    async def body(saga: Saga) -> int:
        saga.add_compensation(price, sku)
        return 1

    assert_type(await ctx.run_saga(body), int)
    await ctx.saga().compensate()
    response = await ctx.call_http("GET", "https://example.com")
    assert_type(response, DurableHttpResponse)
    return 1.0


@orchestrator
async def async_child(ctx: OrchestrationContext, sku: str) -> bytes:
    return await ctx.call_activity(ping)


@orchestrator
def calls_async(ctx: OrchestrationContext, sku: str) -> Orchestration[bytes]:
    assert_type((yield from ctx.gather(hold(ctx, 1), count(ctx))), tuple[str, int])
    assert_type(ctx.start_orchestration(async_child, sku), str)
    return (yield from ctx.call_sub_orchestrator(async_child, sku))
