"""An activity that runs by itself: a durable background job, without an orchestrator."""

from __future__ import annotations

from datetime import timedelta

from durable_core import ActivityContext, DurableClient, RetryPolicy, RuntimeStatus, activity


@activity(retry=RetryPolicy(max_attempts=5, first_interval=timedelta(seconds=1)))
async def send_receipt(ctx: ActivityContext, order_id: str) -> str:
    if ctx.attempt == 1:
        raise ConnectionError("the mail server has hung up")
    return f"sent the receipt of {order_id}"


async def example(client: DurableClient) -> None:
    job = await client.enqueue(send_receipt, "order-7", "receipt-of-order-7")
    # The id makes it once: who enqueues it again gets the same job.
    same = await client.enqueue(send_receipt, "order-7", "receipt-of-order-7", if_exists="return")
    assert same == job
    status = await client.wait_for_completion(job, timeout=60)
    assert status.runtime_status is RuntimeStatus.COMPLETED
    assert status.output == "sent the receipt of order-7"
    assert status.name == "job:send_receipt"
