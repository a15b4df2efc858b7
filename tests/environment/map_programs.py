"""Orchestrators that map, for the tests of a user."""

from __future__ import annotations

from durable_core import Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.errors import NonRetriableError


@activity(short=True)
async def measured(text: str) -> int:
    if not text:
        raise NonRetriableError("nothing to measure")
    return len(text)


@orchestrator
def lengths(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[list[int]]:
    work = ctx.map(measured, texts, policy="all_settled")
    ctx.set_query_handler("ended", lambda: work.succeeded + work.failed)
    result = yield from work
    return [*result.values, -result.failed]


@orchestrator
def strict(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[list[int]]:
    return (yield from ctx.map(measured, texts, batch_size=2))
