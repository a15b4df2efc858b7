"""Timeouts: of one attempt, and of a call with all its attempts."""

import asyncio
from datetime import timedelta

from durable_core import (
    ActivityContext,
    DurableClient,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    TaskTimeoutError,
    activity,
    orchestrator,
)


@activity(timeout=timedelta(seconds=10), retry=RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=1)))
async def ask_supplier(ctx: ActivityContext, article: str) -> str:
    if article == "rare" or ctx.attempt == 1:
        await asyncio.sleep(3600)  # an answer that does not come; the attempt is cancelled after ten seconds
    return f"{article}: in stock"


@orchestrator
def stock(ctx: OrchestrationContext, article: str) -> Orchestration[str]:
    try:
        # From this call to its result, whatever happens in between, no more than half a minute.
        return (yield from ctx.call_activity(ask_supplier, article, schedule_to_close=timedelta(seconds=30)))
    except TaskTimeoutError as error:
        ctx.logger.warning("%s", error)
        return f"{article}: nobody knows"


async def example(client: DurableClient) -> None:
    common = await client.start_new(stock, client_input="common")
    rare = await client.start_new(stock, client_input="rare")
    assert (await client.wait_for_completion(common, timeout=60)).output == "common: in stock"
    assert (await client.wait_for_completion(rare, timeout=60)).output == "rare: nobody knows"
