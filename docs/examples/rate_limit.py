"""Limits per host: how many calls of an activity run at once, how many begin per second, and where they run."""

import asyncio
from datetime import timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, activity, orchestrator


@activity(max_concurrency=2, rate=5.0)
async def ask_partner(number: int) -> int:
    """The partner's API bears two calls at once and five per second; the others wait, without a thread."""
    await asyncio.sleep(0.1)
    return number * number


@activity(queue="gpu")
def render(numbers: list[int]) -> str:
    """Has a work queue for itself: run ``durable_core host --only work:gpu`` on the machine that has the GPU."""
    return ", ".join(str(number) for number in numbers)


@orchestrator
def report(ctx: OrchestrationContext, size: int) -> Orchestration[str]:
    began = ctx.current_utc_datetime
    squares = yield from ctx.task_all([ctx.call_activity(ask_partner, number) for number in range(size)])
    assert ctx.current_utc_datetime - began > timedelta(seconds=(size - 1) / 5.0)
    return (yield from ctx.call_activity(render, squares))


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(report, client_input=6)
    status = await client.wait_for_completion(instance_id, timeout=60)
    assert status.output == "0, 1, 4, 9, 16, 25"
