"""Small durable steps inside the orchestrator: each runs once, its result is kept, and it costs one storage write."""

from __future__ import annotations

import secrets
from datetime import timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, RetryPolicy, StepFailedError, orchestrator

STOCK = {"tea": 3, "milk": 0}


def reserve(item: str) -> int:
    """Plain functions run on a thread; async ones on the event loop."""
    if not STOCK[item]:
        raise LookupError(f"no {item} left")
    return STOCK[item]


async def price(item: str) -> float:
    return {"tea": 2.5, "milk": 1.0}[item]


@orchestrator
def shopping(ctx: OrchestrationContext, item: str) -> Orchestration[str]:
    # Not repeatable, so not for the orchestrator itself; as a step it is drawn once and kept.
    receipt = yield from ctx.run("receipt number", secrets.token_hex, 4)

    retry = RetryPolicy(max_attempts=2, first_interval=timedelta(milliseconds=100))
    try:
        # Two steps at once. A step that fails raises where it is waited for, when its tries are used up.
        left, cost = yield from ctx.task_all(
            [ctx.run("reserve", reserve, item, retry=retry), ctx.run("price", price, item)]
        )
    except StepFailedError as error:
        return f"{receipt}: {error.failure.message}"
    return f"{receipt}: {item} for {cost}, {left} in stock"


async def example(client: DurableClient) -> None:
    good = await client.start_new(shopping, client_input="tea")
    status = await client.wait_for_completion(good, timeout=30)
    assert status.output[8:] == ": tea for 2.5, 3 in stock"

    bad = await client.start_new(shopping, client_input="milk")
    status = await client.wait_for_completion(bad, timeout=30)
    assert status.output[8:] == ": no milk left"
