"""An orchestrator as ``async def``: the second spelling of the same thing."""

from __future__ import annotations

from datetime import timedelta

from durable_core import DurableClient, OrchestrationContext, TaskFailedError, activity, orchestrator


@activity
async def reserve(what: str) -> str:
    return f"reservation of {what}"


@activity
async def pay(reservation: str) -> int:
    return len(reservation)


async def book(ctx: OrchestrationContext, what: str) -> int:
    # A helper: it awaits tasks of the context, and is awaited itself or runs as a branch.
    reservation = await ctx.call_activity(reserve, what)
    return await ctx.call_activity(pay, reservation)


@orchestrator
async def trip(ctx: OrchestrationContext, city: str) -> int:
    # The annotation is the type of the result; every await is typed.
    car, hotel = await ctx.gather(book(ctx, "car"), book(ctx, f"hotel in {city}"))
    try:
        boat = await ctx.with_timeout(book(ctx, "boat"), timedelta(hours=1))
    except TaskFailedError:
        boat = 0
    await ctx.create_timer(timedelta(seconds=1))
    return car + hotel + boat


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(trip, client_input="Oslo")
    status = await client.wait_for_completion(instance_id, timeout=60)
    assert status.output == len("car") + len("hotel in Oslo") + len("boat") + 3 * len("reservation of ")
