"""Detached orchestrations: started by another one, which neither waits for them nor takes them along."""

from __future__ import annotations

from datetime import timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, activity, orchestrator


@activity
def mail(to: str) -> str:
    return f"mailed {to}"


@orchestrator
def ask_for_review(ctx: OrchestrationContext, customer: str) -> Orchestration[str]:
    yield from ctx.create_timer(timedelta(days=7))
    return (yield from ctx.call_activity(mail, customer))


@orchestrator
def sell(ctx: OrchestrationContext, customer: str) -> Orchestration[str]:
    yield from ctx.call_activity(mail, customer)
    return ctx.start_orchestration(ask_for_review, customer)  # its instance id; the sale ends at once


async def example(client: DurableClient) -> None:
    sale = await client.start_new(sell, client_input="ann@example.com")
    status = await client.wait_for_completion(sale, timeout=60)
    review = await client.wait_for_completion(status.output, timeout=8 * 24 * 3600)
    assert review.output == "mailed ann@example.com"
    assert review.parent_instance_id is None
