"""What pyright must refuse: exactly the lines that end in ``# refused``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from durable_core import (
    ActivityContext,
    JournalContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    TaskFailedError,
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


@activity
def price(order: Order) -> float:
    return float(order.id)


@activity
async def pack(ctx: ActivityContext, order: Order) -> list[str]:
    return [ctx.instance_id, str(order.id)]


@activity
async def speak(ctx: ActivityContext) -> None:
    ctx.stream(5)  # refused
    ctx.stream("words", True)  # refused
    await ctx.stream("words").write()  # refused


@activity(journal=True)
async def journaled(ctx: JournalContext) -> None:
    await ctx.step("a")  # refused
    await ctx.step("a", len)  # refused
    await ctx.step("a", len, "b", key=3)  # refused
    await ctx.sleep(3)  # refused
    await ctx.wait_for_event("go", timeout=3)  # refused


async def read(client: DurableClient) -> None:
    for _ in client.stream("an-id"):  # refused
        pass
    client.stream("an-id", from_=5)  # refused


@activity(timeout=30)  # refused
def slow() -> None: ...


@activity(rate="fast")  # refused
def quick() -> None: ...


@orchestrator
def child(ctx: OrchestrationContext, order: Order) -> Orchestration[int]:
    yield ctx.call_activity(price, order)
    return order.id


@orchestrator
def parent(ctx: OrchestrationContext, order: Order) -> Orchestration[str]:
    yield ctx.call_activity(price, "an order")  # refused
    yield ctx.call_activity(pack, 7)  # refused
    yield ctx.call_activity(price, order, inlin=True)  # refused
    yield ctx.call_activity(price, order, timeout=5)  # refused
    yield ctx.call_activity(price, order, schedule_to_close="1h")  # refused
    text: str = yield from ctx.call_activity(price, order)  # refused
    number: int = yield from ctx.call_activity(pack, order)  # refused
    yield ctx.call_sub_orchestrator(child, "an order")  # refused
    name: str = yield from ctx.call_sub_orchestrator(child, order)  # refused
    yield ctx.call_sub_orchestrator(child, order, timeout=5)  # refused
    yield ctx.create_timer(5)  # refused
    yield 5  # refused
    done: bool = yield from ctx.wait_for_external_event("done", str)  # refused
    numbers: list[int] = yield from ctx.task_all([ctx.call_activity(price, order)])  # refused
    ctx.call_activity(price, order).result.upper()  # refused
    ctx.run("price", price, "an order")  # refused
    ctx.run("price", price)  # refused
    ctx.run(price, order)  # refused
    late: int = yield from ctx.run("price", price, order)  # refused
    yield ctx.wait_for_external_event("done", timeout=5)  # refused
    ctx.wait_condition(True)  # refused
    paid: int = yield from ctx.callback("paid", str).task  # refused
    yield ctx.callback("paid")  # refused
    ctx.on_event("note", lambda: None)  # refused
    ctx.set_update_handler("note", lambda: None, unfinished="never")  # refused
    ctx.run("price", price, order).upper()  # refused
    print(late, paid)
    print(text, number, name, done, numbers)
    return 5  # refused


@orchestrator
def forgetful(ctx: OrchestrationContext, order: Order) -> Orchestration[str]:
    total = ctx.call_activity(price, order)
    total * 2  # refused
    boxes = ctx.call_activity(pack, order)
    boxes.append("one more")  # refused
    if ctx.wait_for_external_event("done", bool) is True:  # refused
        return "never"
    try:
        yield ctx.call_activity(price, order, retry=3)  # refused
        yield ctx.call_activity(price, order, retry=RetryPolicy(max_attempts="3"))  # refused
        yield ctx.call_activity(price, order, retry=RetryPolicy(retry_if=lambda failure: failure.message))  # refused
        yield ctx.call_sub_orchestrator(child)  # refused
        yield ctx.call_activity_with_retry(price, 3, order)  # refused
    except TaskFailedError as error:
        print(error.is_caused_by(5))  # refused
        print(error.failure.typ)  # refused
    ctx.send_event(5, "done")  # refused
    return ""


async def drives(client: DurableClient, order: Order) -> None:
    await client.start_new(child, client_input="an order")  # refused
    await client.start_new(child, "an-id", 7)  # refused
    await client.start_new(child)  # refused
    await client.start_new(price, client_input=order)  # refused
    await client.enqueue(price, "an order")  # refused
    await client.enqueue(price, order, version="2")  # refused
    await client.enqueue(price)  # refused
    await client.start_new(child, client_input=order, if_exists="perhaps")  # refused
    await client.start_new(child, client_input=order, debounce="a key")  # refused
    await client.start_new(child, client_input=order, deduplicate=5)  # refused
    await client.start_new(child, client_input=order, limit="tenants")  # refused
    number: int = await client.start_new(child, client_input=order)  # refused
    await client.wait_for_completion("an-id")  # refused
    print(number)
    client.raise_event("an-id", "done")  # refused
    await client.raise_event("an-id", 5)  # refused
    await client.update("an-id", 5)  # refused
    await client.update("an-id", "charge", update_id=7)  # refused
    await client.update("an-id", "charge", timeout=timedelta(seconds=1))  # refused
    await client.get_status_by(runtime_status=["Failed"])  # refused
    await client.create_schedule("nightly", child, cron="0 3 * * *")  # refused
    await client.create_schedule("nightly", child, cron="0 3 * * *", client_input="an order")  # refused
    await client.create_schedule("nightly", price, cron="0 3 * * *", client_input=order)  # refused
    await client.create_schedule("nightly", "child", cron="0 3 * * *", if_exists="perhaps")  # refused
    await client.create_schedule("nightly", "child", interval=60)  # refused


@activity(limit="tenants")  # refused
def limited() -> None: ...


@schedule(cron="0 3 * * *")  # refused
@orchestrator
def unfed(ctx: OrchestrationContext, order: Order) -> Orchestration[None]:
    yield ctx.call_activity(price, order)


@schedule(cron="0 3 * * *", input="an order")  # refused
@orchestrator
def misfed(ctx: OrchestrationContext, order: Order) -> Orchestration[None]:
    yield ctx.call_activity(price, order)


@schedule(every=60)  # refused
@orchestrator
def unfit(ctx: OrchestrationContext) -> Orchestration[None]:
    yield ctx.create_timer(timedelta(seconds=1))


class Broken:
    def encode(self, data: bytes) -> str:
        return data.hex()

    def decode(self, data: bytes) -> bytes:
        return data


durable = Durable(Registry(), codec=Broken())  # refused


@orchestrator
def closes_children(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_sub_orchestrator("child", parent_close="kill")  # refused


@activity
def doubles(number: int) -> int:
    return 2 * number


def test_doubles() -> None:
    ActivityEnvironment().run(doubles, "one")  # refused
