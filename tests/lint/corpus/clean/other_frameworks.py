"""Functions that are no orchestrators of ours, and may do what they like."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

from durable_core import DurableClient, Orchestration, OrchestrationContext, orchestrator


class Other:
    def orchestrator(self, function: Any) -> Any:
        return function


app = Other()


@app.orchestrator
def of_another_framework(ctx: Any) -> Iterator[float]:
    yield time.time() + random.random()


def helper(ctx: OrchestrationContext) -> float:
    return time.time()  # nobody calls it from an orchestrator


def make(prefix: str) -> Any:
    @orchestrator(name=f"{prefix}-flow")
    def flow(ctx: OrchestrationContext, amount: int) -> Orchestration[str]:
        yield from ctx.call_activity(prefix, amount)
        return prefix

    return flow


async def start(client: DurableClient) -> None:
    await client.start_new(make("a"), client_input=random.randint(1, 6))
    print(time.time())


@orchestrator
def with_local_import(ctx: OrchestrationContext) -> Orchestration[int]:
    from math import floor, sqrt

    time = yield from ctx.call_activity("time")
    match time:
        case {"now": now}:
            return floor(now.time())
        case random:
            return floor(sqrt(random.random()))
