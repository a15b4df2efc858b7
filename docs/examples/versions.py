"""A step B2 comes into an order: as a second version beside the first, and as a change inside one version."""

from __future__ import annotations

from durable_core import DurableClient, Orchestration, OrchestrationContext, activity, orchestrator


@activity
def step(name: str) -> str:
    return name


# One way: two versions side by side. What runs stays with 1, a new start takes 2.
@orchestrator(name="order", version="1")
def order_1(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    did += yield from ctx.call_activity(step, "B")
    yield from ctx.wait_for_external_event("paid")
    return did + (yield from ctx.call_activity(step, "C"))


@orchestrator(name="order", version="2")
def order_2(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    did += yield from ctx.call_activity(step, "B")
    did += yield from ctx.call_activity(step, "B2")
    yield from ctx.wait_for_external_event("paid")
    return did + (yield from ctx.call_activity(step, "C"))


# The other way: one function that asks. What has passed this place goes on without B2, the rest takes it.
@orchestrator
def parcel(ctx: OrchestrationContext) -> Orchestration[str]:
    did = yield from ctx.call_activity(step, "A")
    did += yield from ctx.call_activity(step, "B")
    if ctx.patched("step-B2"):
        did += yield from ctx.call_activity(step, "B2")
    return did + (yield from ctx.call_activity(step, "C"))


# One that never ends moves on where it begins anew.
@orchestrator(name="counter", version="1")
def counter_1(ctx: OrchestrationContext, rounds: int) -> Orchestration[str]:
    yield from ctx.wait_for_external_event("next")
    ctx.continue_as_new(rounds + 1, upgrade=True)
    return ""


@orchestrator(name="counter", version="2")
def counter_2(ctx: OrchestrationContext, rounds: int) -> Orchestration[str]:
    yield from ctx.wait_for_external_event("next")
    return f"version {ctx.version} after {rounds} round of version 1"


async def example(client: DurableClient) -> None:
    begun = await client.start_new("order", version="1")  # as one that was started before version 2 was deployed
    new = await client.start_new("order")
    for instance_id in (begun, new):
        await client.raise_event(instance_id, "paid")
    first = await client.wait_for_completion(begun, timeout=60)
    second = await client.wait_for_completion(new, timeout=60)
    assert (first.version, first.output) == ("1", "ABC")
    assert (second.version, second.output) == ("2", "ABB2C")

    parcel_id = await client.start_new(parcel)
    assert (await client.wait_for_completion(parcel_id, timeout=60)).output == "ABB2C"

    count = await client.start_new("counter", client_input=0, version="1")
    await client.raise_event(count, "next")
    await client.raise_event(count, "next")
    assert (await client.wait_for_completion(count, timeout=60)).output == "version 2 after 1 round of version 1"
