"""An activity uses the client of its app: it starts an orchestration of its own, and raises an event on another."""

from durable_core import (
    ActivityContext,
    DurableClient,
    Orchestration,
    OrchestrationContext,
    activity,
    orchestrator,
)


@activity
async def announce(ctx: ActivityContext, target: str) -> str:
    # The activity may run again after a crash: its key makes both requests safe to repeat.
    await ctx.client.raise_event(target, "Arrived", ctx.instance_id, event_id=ctx.idempotency_key)
    return await ctx.client.start_new(report, ctx.idempotency_key, ctx.instance_id, if_exists="return")


@activity
def write(about: str) -> str:
    return f"report about {about}"


@orchestrator
def report(ctx: OrchestrationContext, about: str) -> Orchestration[str]:
    return (yield from ctx.call_activity(write, about))


@orchestrator
def parcel(ctx: OrchestrationContext, target: str) -> Orchestration[str]:
    return (yield from ctx.call_activity(announce, target))


@orchestrator
def customer(ctx: OrchestrationContext) -> Orchestration[str]:
    return (yield from ctx.wait_for_external_event("Arrived", str))


async def example(client: DurableClient) -> None:
    await client.start_new(customer, "c-1")
    await client.start_new(parcel, "p-1", "c-1")
    assert (await client.wait_for_completion("c-1", timeout=60)).output == "p-1"
    started = (await client.wait_for_completion("p-1", timeout=60)).output
    assert (await client.wait_for_completion(str(started), timeout=60)).output == "report about p-1"
