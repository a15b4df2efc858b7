"""A start in the future: accepted now, begun then, and taken back at any time before."""

from datetime import UTC, datetime, timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, orchestrator


@orchestrator
def campaign(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    began = ctx.current_utc_datetime
    guest = yield from ctx.wait_for_external_event("guest", str)
    return [guest, began.isoformat()]


async def example(client: DurableClient) -> None:
    first = await client.start_new(campaign)  # only to know what time it is in the simulated world
    now = (await client.get_status(first)).created_time or datetime.now(UTC)
    morning = now + timedelta(hours=9)

    instance_id = await client.start_new(campaign, start_at=morning)
    status = await client.get_status(instance_id)
    assert status.runtime_status == "Pending"
    assert status.scheduled_start_time == morning

    await client.raise_event(instance_id, "guest", "Ada")  # kept until it begins
    status = await client.wait_for_completion(instance_id, timeout=24 * 3600)
    guest, began = status.output
    assert guest == "Ada"
    assert datetime.fromisoformat(began) >= morning

    another = await client.start_new(campaign, start_at=morning + timedelta(days=30))
    await client.cancel(another, "called off")
    status = await client.wait_for_completion(another, timeout=60)
    assert status.runtime_status == "Canceled"
