"""A monitor: look, sleep on a durable timer, begin anew. It may go on for years."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from durable_core import ActivityContext, DurableClient, Orchestration, OrchestrationContext, activity, orchestrator

INTERVAL = timedelta(minutes=30)


class Watch(BaseModel):
    shop: str
    looks: int = 0


@activity
def is_in_stock(ctx: ActivityContext, watch: Watch) -> bool:
    return watch.looks >= 5  # a real one asks the shop


@orchestrator
def wait_for_stock(ctx: OrchestrationContext, watch: Watch) -> Orchestration[int | None]:
    if (yield from ctx.call_activity(is_in_stock, watch)):
        return watch.looks
    ctx.set_custom_status({"looks": watch.looks + 1})
    yield from ctx.create_timer(INTERVAL)
    # Ends this generation, whose history holds one look, and begins the next with this input.
    ctx.continue_as_new(watch.model_copy(update={"looks": watch.looks + 1}))
    return None


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(wait_for_stock, client_input=Watch(shop="https://shop.example"))
    status = await client.wait_for_completion(instance_id, timeout=4 * 3600)
    assert status.output == 5
