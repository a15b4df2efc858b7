"""What pyright must accept, and the types that it must see."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_type

from durable_core import (
    ActivityContext,
    Callback,
    Debounce,
    Deduplicate,
    FailureDetails,
    JournalContext,
    Limit,
    NonRetriableError,
    Orchestration,
    OrchestrationContext,
    OrchestrationStatus,
    PayloadCodec,
    Registry,
    RetryOptions,
    RetryPolicy,
    RuntimeStatus,
    StreamChunk,
    StreamEnded,
    StreamRestarted,
    StreamWriter,
    Task,
    TaskFailedError,
    TimerTask,
    activity,
    orchestrator,
    schedule,
)
from durable_core.hosting.functions import Durable
from durable_core.runtime.client import DurableClient
from durable_core.testing import ActivityEnvironment


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
    ctx.stream("log").write("a plain function waits in its thread")
    return float(ctx.last_heartbeat or 0)


@activity
async def answer(ctx: ActivityContext) -> None:
    stream = ctx.stream("answer", shared=True)
    assert_type(stream, StreamWriter)
    await stream.write("a token")
    await stream.write({"or": ["any", "value"]})
    await stream.end()


async def fetch_number(url: str) -> int:
    return len(url)


@activity(journal=True, timeout=timedelta(minutes=5))
async def journaled(ctx: JournalContext, order: Order) -> float:
    assert_type(await ctx.step("fetch", fetch_number, "a"), int)
    assert_type(await ctx.step("name", str.upper, "a", key="k", retry=RetryPolicy()), str)
    assert_type(await ctx.step("untyped", print, "a", returns=int), int)
    number, text = await asyncio.gather(ctx.step("fetch", fetch_number, "b"), ctx.step("name", str.upper, "b"))
    assert_type(number, int)
    assert_type(text, str)
    assert_type(await ctx.sleep(timedelta(days=3)), None)
    assert_type(await ctx.wait_for_event("go", timeout=timedelta(days=1), returns=int), int)
    approval = ctx.callback("approval", returns=bool)
    assert_type(approval.url, str)
    assert_type(await approval.future, bool)
    assert_type(await ctx.call_sub_orchestrator("child", 3, returns=str), str)
    ctx.stream("words")
    return 1.5


@orchestrator
def calls_journaled(ctx: OrchestrationContext, order: Order) -> Orchestration[float]:
    price = yield from ctx.call_activity(journaled, order)
    assert_type(price, float)
    return price


async def enqueue_journaled(client: DurableClient, order: Order) -> None:
    assert_type(await client.enqueue(journaled, order), str)


async def read(client: DurableClient) -> None:
    async for event in client.stream("an-id", "answer", from_="12345678.0.1"):
        match event:
            case StreamChunk():
                assert_type(event.offset, str)
            case StreamRestarted():
                assert_type(event.superseded_from, str)
            case StreamEnded():
                assert_type(event.is_complete, bool)
    assert_type(await client.list_streams("an-id"), list[str])


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
    ctx.set_update_handler("charge", charge, validator=price)

    async def refund(order: Order) -> float:
        return await ctx.call_activity(price, order)

    ctx.set_update_handler("refund", refund, unfinished="abandon")
    assert_type(ctx.all_updates_ended, bool)

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
    assert_type(await client.start_new(parent, client_input=order, limit=TENANTS), str)
    assert_type(await client.start_new(lonely, debounce=Debounce(key="k", period=timedelta(seconds=1))), str)
    assert_type(
        await client.start_new(parent, client_input=order, deduplicate=Deduplicate(key="k", window=timedelta(hours=1))),
        str,
    )
    assert_type(await client.start_new(lonely, "an-id"), str)
    assert_type(await client.start_new("parent", client_input={"id": 1}), str)
    assert_type(await client.enqueue(pack, order), str)
    assert_type(await client.enqueue(charge, order, "an-id", tags={"a": "b"}, if_exists="return"), str)
    assert_type(await client.enqueue(whoami, instance_id="an-id"), str)
    assert_type(await client.enqueue(ping), str)
    assert_type(await client.enqueue("pack", {"id": 1}), str)
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


@schedule(cron="0 3 * * *", time_zone="Europe/Berlin", input=Order(1))
@schedule(id="often", every=timedelta(hours=1), input=Order(2), jitter=timedelta(minutes=1))
@orchestrator
def scheduled(ctx: OrchestrationContext, order: Order) -> Orchestration[float]:
    return (yield from ctx.call_activity(price, order))


@schedule(every=timedelta(hours=1))
@orchestrator
def tidy(ctx: OrchestrationContext, days: int = 30) -> Orchestration[int]:
    yield ctx.create_timer(timedelta(days=days))
    return days


@orchestrator
def calls_what_is_scheduled(ctx: OrchestrationContext) -> Orchestration[None]:
    assert_type((yield from ctx.call_sub_orchestrator(scheduled, Order(1))), float)
    assert_type((yield from ctx.call_sub_orchestrator(tidy, 5)), int)


async def schedules(client: DurableClient) -> None:
    await client.create_schedule("a", scheduled, cron="0 3 * * *", client_input=Order(1), if_exists="update")
    await client.create_schedule("b", tidy, interval=timedelta(hours=1))
    await client.create_schedule("c", tidy, interval=timedelta(hours=1), client_input=5, catch_up=timedelta(hours=1))
    await client.create_schedule("d", "anything", cron="* * * * *", client_input={"any": "thing"}, if_exists="ignore")


@orchestrator
def closes_children(ctx: OrchestrationContext) -> Orchestration[None]:
    assert_type((yield from ctx.call_sub_orchestrator(tidy, 5, parent_close="terminate")), int)
    assert_type((yield from ctx.call_sub_orchestrator("tidy", 5, parent_close="cancel", returns=int)), int)


TENANTS = Limit(name="tenants", concurrency=2, key=lambda order: order.id, rate=5, per=timedelta(seconds=2))


@activity(limit=TENANTS)
def export(order: Order) -> float:
    return float(order.id)


@orchestrator
def limited(ctx: OrchestrationContext, order: Order) -> Orchestration[float]:
    with (yield from ctx.slot(TENANTS, "acme", group="a", priority=3)) as slot:
        assert_type((yield from ctx.call_activity(export, order)), float)
        slot.release()
    asked = ctx.slot(TENANTS)
    asked.cancel()
    return (yield from ctx.call_activity(export, order))


@activity
async def uses_client(ctx: ActivityContext, order: Order) -> float:
    assert_type(ctx.client, DurableClient)
    assert_type(await ctx.client.start_new(tidy, client_input=5), str)
    return 1.0


@activity
def without_input() -> str:
    return ""


async def activities_alone() -> None:
    env = ActivityEnvironment(attempt=2, on_heartbeat=print)
    assert_type(await env.run(uses_client, Order(1)), float)
    assert_type(env.run(without_input), str)
