"""External events: waited for with a time limit, handled as they come, raised once, sent between orchestrators."""

from __future__ import annotations

from datetime import timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, TaskTimeoutError, orchestrator


@orchestrator
def approval(ctx: OrchestrationContext) -> Orchestration[str]:
    try:
        who = yield from ctx.wait_for_external_event("Approved", str, timeout=timedelta(minutes=2))
    except TaskTimeoutError:
        return "nobody approved in time"
    return f"approved by {who}"


@orchestrator
def cart(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    """A handler sees each event as it comes; the orchestrator waits for what the handlers make of them."""
    items: list[str] = []
    is_done = False

    def on_done(reply_to: str) -> None:
        nonlocal is_done
        is_done = True
        ctx.send_event(reply_to, "Approved", "the cart")

    ctx.on_event("Add", items.append)
    ctx.on_event("Done", on_done)
    if not (yield from ctx.wait_condition(lambda: is_done, timeout=timedelta(hours=1))):
        return ["abandoned"]
    return items


async def example(client: DurableClient) -> None:
    waiting = await client.start_new(approval)

    # Starts the cart if it does not run, and raises the event in any case.
    assert await client.signal_with_start(cart, "cart-7", "Add", "tea")
    assert not await client.signal_with_start(cart, "cart-7", "Add", "milk")

    # A sender that is not sure whether its request arrived sends it again under the same id.
    for _ in range(3):
        await client.raise_event("cart-7", "Add", "sugar", event_id="request 1234")
    await client.raise_event("cart-7", "Done", waiting)
    status = await client.wait_for_completion("cart-7", timeout=30)
    assert status.output == ["tea", "milk", "sugar"]

    status = await client.wait_for_completion(waiting, timeout=30)
    assert status.output == "approved by the cart"

    late = await client.start_new(approval)
    status = await client.wait_for_completion(late, timeout=300)
    assert status.output == "nobody approved in time"
