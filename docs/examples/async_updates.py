"""Update handlers as ``async def``, and one that may be left unfinished."""

from __future__ import annotations

from datetime import timedelta

from durable_core import DurableClient, OrchestrationContext, activity, orchestrator
from durable_core.errors import UpdateFailedError, UpdateNotEndedError


@activity
async def cook(dish: str) -> str:
    return f"hot {dish}"


@orchestrator
async def kitchen(ctx: OrchestrationContext, dishes: int) -> list[str]:
    served: list[str] = []

    async def order(dish: str) -> str:
        # Other handlers and the orchestrator's own code go on while this one waits.
        plate = await ctx.call_activity(cook, dish)
        await ctx.create_timer(timedelta(seconds=1))
        served.append(plate)
        return plate

    async def tell_when_closed() -> None:
        await ctx.wait_for_external_event("Closed")

    ctx.set_update_handler("order", order)
    ctx.set_update_handler("tell_when_closed", tell_when_closed, unfinished="abandon")
    await ctx.wait_condition(lambda: len(served) >= dishes)
    return served


async def example(client: DurableClient) -> None:
    kitchen_id = await client.start_new(kitchen, client_input=2)
    try:
        await client.update(kitchen_id, "tell_when_closed", update_id="guest-7", timeout=1)
    except UpdateNotEndedError as error:
        assert error.update_id == "guest-7"
    assert await client.update(kitchen_id, "order", "soup") == "hot soup"
    assert await client.update(kitchen_id, "order", "rice") == "hot rice"
    assert (await client.wait_for_completion(kitchen_id, timeout=30)).output == ["hot soup", "hot rice"]
    try:
        await client.update(kitchen_id, "tell_when_closed", update_id="guest-7")
    except UpdateFailedError as error:
        assert error.failure.type == "UpdateAbandoned"
