"""What pyright must accept, and the types that it must see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from durable_core import (
    ActivityContext,
    Callback,
    FailureDetails,
    NonRetriableError,
    Orchestration,
    OrchestrationContext,
    OrchestrationStatus,
    PayloadCodec,
    Registry,
    RetryOptions,
    RetryPolicy,
    RuntimeStatus,
    Task,
    TaskFailedError,
    TimerTask,
    activity,
    orchestrator,
)
from durable_core.hosting.functions import Durable
from durable_core.runtime.client import DurableClient


@dataclass
class Order:
    id: int


@dataclass
class RushOrder(Order):
    hours: int


@dataclass
class Receipt:
    total: float


@activity
def ping() -> str:
    return "pong"


@activity
def price(order: Order) -> float:
    return float(order.id)


@activity
async def charge(order: Order) -> Receipt:
    return Receipt(order.id)


@activity(retry=RetryPolicy(max_attempts=2))
def pack(ctx: ActivityContext, order: Order) -> list[str]:
    return [ctx.idempotency_key, str(order.id)]


@activity
async def ship(ctx: ActivityContext, order: Order) -> int:
    return ctx.attempt + order.id


@activity
def greet(name: str | None) -> str:
    return f"hello {name}"


@activity(
    timeout=timedelta(minutes=5),
    schedule_to_close=timedelta(hours=1),
    heartbeat_timeout=timedelta(seconds=30),
    queue="gpu",
    max_concurrency=2,
    rate=0.5,
)
def crunch(ctx: ActivityContext, order: Order) -> float:
    ctx.heartbeat({"order": order.id})
    assert_type(ctx.is_cancelled, bool)
    return float(ctx.last_heartbeat or 0)


@activity
def whoami(ctx: ActivityContext) -> str:
    return ctx.instance_id


@activity
async def whoami_async(ctx: ActivityContext) -> int:
    return ctx.attempt


@activity
async def ping_async() -> bytes:
    return b""


@orchestrator
def child(ctx: OrchestrationContext, order: Order) -> Orchestration[Receipt]:
    return (yield from ctx.call_activity(charge, order))


@orchestrator(version="2", default=True)
def lonely(ctx: OrchestrationContext) -> Orchestration[int]:
    yield ctx.create_timer(timedelta(seconds=1))
    return 1


@orchestrator
def parent(ctx: OrchestrationContext, order: Order) -> Orchestration[list[float]]:
    assert_type((yield from ctx.call_activity(ping)), str)
    assert_type((yield from ctx.call_activity(ping_async)), bytes)
    assert_type((yield from ctx.call_activity(price, order)), float)
    assert_type((yield from ctx.call_activity(price, RushOrder(1, 2))), float)
    assert_type((yield from ctx.call_activity(charge, order)), Receipt)
    assert_type((yield from ctx.call_activity(pack, order, inline=False)), list[str])
    assert_type((yield from ctx.call_activity(ship, order, retry=RetryPolicy())), int)
    hour = timedelta(hours=1)
    assert_type((yield from ctx.call_activity(ship, order, timeout=hour, schedule_to_close=hour, inline=None)), int)
    assert_type(ctx.call_activity("charge", order, returns=Receipt, timeout=hour), Task[Receipt])
    assert_type(ctx.call_activity("charge", order, timeout=None), Task[Any])
    assert_type((yield from ctx.call_activity(crunch, order)), float)
    assert_type((yield from ctx.call_activity(greet, "you")), str)
    assert_type((yield from ctx.call_activity(greet, None)), str)
    assert_type((yield from ctx.call_activity(whoami)), str)
    assert_type((yield from ctx.call_activity(whoami_async)), int)

    assert_type(ctx.call_activity("charge", order, returns=Receipt), Task[Receipt])
    assert_type(ctx.call_activity("charge", order, expected_type=Receipt), Task[Receipt])
    assert_type(ctx.call_activity("charge", order), Task[Any])
    assert_type(ctx.call_activity_with_retry("charge", RetryPolicy(), order), Task[Any])

    assert_type((yield from ctx.call_sub_orchestrator(child, order)), Receipt)
    assert_type((yield from ctx.call_sub_orchestrator(child, order, "an-id", version="3")), Receipt)
    assert_type((yield from ctx.call_sub_orchestrator(lonely)), int)
    assert_type((yield from ctx.call_sub_orchestrator(lonely, timeout=timedelta(hours=1))), int)
    assert_type((yield from ctx.call_sub_orchestrator(child, order, timeout=timedelta(hours=1))), Receipt)
    assert_type(ctx.call_sub_orchestrator("child", timeout=timedelta(hours=1), returns=Receipt), Task[Receipt])
    assert_type(ctx.call_sub_orchestrator("child", order, returns=Receipt), Task[Receipt])
    assert_type(ctx.call_sub_orchestrator("child"), Task[Any])

    timer = ctx.create_timer(ctx.current_utc_datetime + timedelta(days=1))
    assert_type(timer, TimerTask)
    approval = ctx.wait_for_external_event("approval", bool)
    assert_type(approval, Task[bool])
    winner = yield from ctx.task_any([approval, timer])
    assert_type(winner, Task[bool | None])
    if winner is approval:
        timer.cancel()
        assert_type(approval.result, bool)
        assert_type(approval.get_result(), bool)

    assert_type(ctx.wait_for_external_event("approval", bool, timedelta(hours=1)), Task[bool])
    assert_type(ctx.wait_for_external_event("approval", timeout=timedelta(hours=1)), Task[Any])
    assert_type((yield from ctx.wait_condition(lambda: winner is approval, timedelta(hours=1))), bool)
    ctx.on_event("note", lambda text: print(text))
    ctx.set_query_handler("state", lambda: {"prices": 3})

    assert_type((yield from ctx.run("price", price, order)), float)
    assert_type((yield from ctx.run("charge", charge, order, retry=RetryPolicy())), Receipt)
    assert_type((yield from ctx.run("lambda", lambda: order.id)), int)
    assert_type((yield from ctx.run("later", lambda: charge(order))), Receipt)
    assert_type(ctx.run("untyped", print, order, returns=Receipt), Task[Receipt])

    callback = ctx.callback("paid", Receipt)
    assert_type(callback, Callback[Receipt])
    assert_type(callback.url, str)
    assert_type((yield from callback.task), Receipt)
    assert_type(ctx.callback("paid").task, Task[Any])

    prices = yield from ctx.task_all(ctx.call_activity(price, Order(n)) for n in range(3))
    assert_type(prices, list[float])
    assert_type(ctx.when_all([ctx.call_activity(price, order)]), Task[list[float]])
    untyped = yield ctx.call_activity(price, order)
    assert_type(untyped, Any)
    assert_type(ctx.new_uuid(), str)
    return prices


async def drives(client: DurableClient, order: Order) -> None:
    assert_type(await client.start_new(parent, client_input=order), str)
    assert_type(await client.start_new(parent, "an-id", order, version="1", tags={"a": "b"}), str)
    assert_type(await client.start_new(parent, client_input=RushOrder(1, 2), if_exists="return"), str)
    assert_type(await client.start_new(lonely), str)
    assert_type(await client.start_new(lonely, "an-id"), str)
    assert_type(await client.start_new("parent", client_input={"id": 1}), str)
    status = await client.wait_for_completion("an-id", timeout=5)
    assert_type(status, OrchestrationStatus)
    assert_type(status.runtime_status, RuntimeStatus | None)
    assert_type(status.failure, FailureDetails | None)
    assert_type(await client.get_status("an-id", show_history=True, show_input=False), OrchestrationStatus)
    assert_type(await client.get_status_all(), list[OrchestrationStatus])
    assert_type(await client.get_status_by(runtime_status=[RuntimeStatus.FAILED]), list[OrchestrationStatus])
    assert_type(await client.purge_instance_history("an-id"), int)
    await client.raise_event("an-id", "approved", True)
    await client.terminate("an-id", "too late")
    await client.suspend("an-id")
    await client.resume("an-id")


class CardRefused(NonRetriableError):
    pass


@orchestrator
def handles(ctx: OrchestrationContext, order: Order) -> Orchestration[bool]:
    policy = RetryPolicy(
        non_retriable=[ValueError, "app.CardRefused"], retry_if=lambda failure: "busy" in failure.message
    )
    try:
        yield from ctx.call_activity(charge, order, retry=policy)
        yield from ctx.call_sub_orchestrator(child, order, retry=RetryOptions(500, 3))
        yield ctx.call_activity_with_retry("charge", RetryOptions(500, 3), order)
    except TaskFailedError as error:
        assert_type(error.failure, FailureDetails)
        return error.is_caused_by(CardRefused) or error.is_caused_by("CardRefused")
    return True


class Reversed:
    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


codec: PayloadCodec = Reversed()
durable = Durable(Registry().add(parent), codec=Reversed())
