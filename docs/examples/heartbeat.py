"""Heartbeats: a long activity tells how far it has come, and an attempt after a failure goes on from there."""

import asyncio
from datetime import timedelta

from durable_core import (
    ActivityContext,
    DurableClient,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    activity,
    orchestrator,
)


@activity(heartbeat_timeout=timedelta(seconds=20), retry=RetryPolicy(first_interval=timedelta(seconds=1)))
async def copy_pages(ctx: ActivityContext, pages: int) -> dict[str, int]:
    began_at: int = ctx.last_heartbeat or 0  # what the attempt before this one said last
    for page in range(began_at, pages):
        if ctx.is_cancelled:  # nobody waits any more: the orchestration was terminated, say
            break
        await asyncio.sleep(1)  # copy one page
        ctx.heartbeat(page + 1)
        if page == 6 and ctx.attempt == 1:
            raise ConnectionError("the line is down")
    return {"attempt": ctx.attempt, "began_at": began_at}


@orchestrator
def backup(ctx: OrchestrationContext, pages: int) -> Orchestration[dict[str, int]]:
    return (yield from ctx.call_activity(copy_pages, pages))


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(backup, client_input=10)
    status = await client.wait_for_completion(instance_id, timeout=60)
    assert status.output == {"attempt": 2, "began_at": 7}
