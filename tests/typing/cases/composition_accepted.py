"""What pyright must accept of combinations, children, sagas and HTTP calls, and the types that it must see."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any, assert_type

from durable_core import (
    ActivityContext,
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
