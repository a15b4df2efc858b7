"""What pyright must refuse: exactly the lines that end in ``# refused``."""

from __future__ import annotations

from dataclasses import dataclass

from durable_core import ActivityContext, Orchestration, OrchestrationContext, activity, orchestrator


@dataclass
class Order:
    id: int


@activity
def price(order: Order) -> float:
    return float(order.id)


@activity
async def pack(ctx: ActivityContext, order: Order) -> list[str]:
    return [ctx.instance_id, str(order.id)]


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
    ctx.run("price", price, order).upper()  # refused
    print(late, paid)
    print(text, number, name, done, numbers)
    return 5  # refused
