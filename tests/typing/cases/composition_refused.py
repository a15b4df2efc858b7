"""What pyright must refuse of combinations, children, sagas and HTTP calls: the lines that end in ``# refused``."""

from __future__ import annotations

from durable_core import Orchestration, OrchestrationContext, activity, orchestrator


@activity
def price(sku: str) -> float:
    return float(len(sku))


@orchestrator
def child(ctx: OrchestrationContext, sku: str) -> Orchestration[bool]:
    yield ctx.call_activity(price, sku)
    return True


@orchestrator
def parent(ctx: OrchestrationContext, sku: str) -> Orchestration[None]:
    one, two = ctx.call_activity(price, sku), ctx.call_sub_orchestrator(child, sku)
    first, second = yield from ctx.gather(one, two)
    first.bit_count()  # refused
    text: str = second  # refused
    settled = yield from ctx.gather(one, two, policy="all_settled")
    settled[0].is_integer()  # refused
    yield ctx.gather(one, two, policy="some")  # refused
    yield ctx.gather(1, 2)  # refused
    numbers: list[int] = yield from ctx.task_all((one for _ in "ab"), max_concurrency=1)  # refused
    yield ctx.task_all((one for _ in "ab"), max_concurrency="one")  # refused
    for task in ctx.as_completed([one]):
        name: str = yield from task  # refused
        print(name)
    ctx.start_orchestration(child, 7)  # refused
    print(ctx.start_orchestration(child, sku).result)  # refused
    ctx.saga().add_compensation(price, 7)  # refused
    ctx.saga().add_compensation(child, 7)  # refused
    ctx.run_saga(child)  # refused
    response = yield from ctx.call_http("GET", "https://example.com")
    response.status_code.upper()  # refused
    yield ctx.call_http("GET", "https://example.com", timeout=5)  # refused
    print(text, numbers)


def book(ctx: OrchestrationContext, seat: int) -> Orchestration[str]:
    yield ctx.call_activity(price, "a")
    return str(seat)


@orchestrator
def branches(ctx: OrchestrationContext) -> Orchestration[None]:
    seat, cost = yield from ctx.gather(book(ctx, 1), ctx.call_activity(price, "a"))
    seat.is_integer()  # refused
    cost.upper()  # refused
    yield ctx.gather(book)  # refused
    yield ctx.gather([book(ctx, 1)])  # refused
    yield ctx.branch(price)  # refused
    yield ctx.branch(ctx.call_activity(price, "a"))  # refused
    yield ctx.with_timeout(book(ctx, 1), 5)  # refused


@orchestrator
async def spelled_async(ctx: OrchestrationContext, sku: str) -> str:
    cost = await ctx.call_activity(price, sku)
    cost.upper()  # refused
    seat: int = await ctx.branch(book(ctx, 1))  # refused
    print(seat)
    await book(ctx, 1)  # refused
    await ctx.call_activity(price, 7)  # refused
    await ctx.call_sub_orchestrator(spelled_async, 7)  # refused
    return cost  # refused
