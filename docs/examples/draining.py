"""Leaving a task hub: instances that would run for ever end where they are, and are started anew in the other hub."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pydantic import BaseModel

from durable_core import DurableClient, Orchestration, OrchestrationContext, RuntimeStatus, orchestrator

OPEN = (RuntimeStatus.PENDING, RuntimeStatus.RUNNING, RuntimeStatus.SUSPENDED)


class Meter(BaseModel):
    place: str
    reading: int = 0


@orchestrator
def read_meter(ctx: OrchestrationContext, meter: Meter) -> Orchestration[Meter]:
    leave = ctx.wait_for_external_event("Leave")
    hour = ctx.create_timer(timedelta(hours=1))
    if (yield from ctx.task_any([leave, hour])) is leave:
        hour.cancel()
        return meter  # where it was: the input of its successor
    ctx.continue_as_new(meter.model_copy(update={"reading": meter.reading + 1}))
    return meter


async def open_instances(client: DurableClient) -> Sequence[str]:
    """What still runs in a hub. An empty one can be deleted."""
    return [status.instance_id for status in await client.get_status_by(runtime_status=OPEN)]


async def hand_over(old: DurableClient, new: DurableClient, instance_id: str, new_id: str) -> None:
    """End an instance in the old hub, and start its successor in the new one, once."""
    ended = await old.get_status(instance_id)
    if not ended.is_terminal:  # else this was interrupted, and is done again
        await old.raise_event(instance_id, "Leave")
        ended = await old.wait_for_completion(instance_id, timeout=60)
    await new.start_new(read_meter, new_id, client_input=Meter.model_validate(ended.output), if_exists="return")


async def example(client: DurableClient) -> None:
    await client.start_new(read_meter, "meter-7", client_input=Meter(place="cellar", reading=41))
    # Here both hubs are one, so the successor has another id.
    for _ in range(2):
        await hand_over(client, client, "meter-7", "meter-7b")
    assert await open_instances(client) == ["meter-7b"]
    status = await client.get_status("meter-7b")
    assert status.input_ == {"place": "cellar", "reading": 41}
