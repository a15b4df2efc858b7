"""Small orchestrators for the tests of the test environment, good and bad ones."""

from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta

from pydantic import BaseModel

from durable_core import ActivityContext, Orchestration, OrchestrationContext, RetryPolicy, activity, orchestrator

logger = logging.getLogger("shop")


class Money(BaseModel):
    cents: int


@activity
def double(money: Money) -> Money:
    return Money(cents=money.cents * 2)


@activity
def slow(ctx: ActivityContext) -> int:
    return ctx.attempt


@orchestrator
def doubled(ctx: OrchestrationContext, money: Money) -> Orchestration[Money]:
    return (yield from ctx.call_activity(double, money, retry=RetryPolicy(max_attempts=3)))


@orchestrator
def approval(ctx: OrchestrationContext) -> Orchestration[str]:
    seen = 0
    ctx.set_query_handler("seen", lambda: seen)
    for _ in range(2):
        yield from ctx.wait_for_external_event("Approved")
        seen += 1
    return f"approved twice by {ctx.current_utc_datetime:%d %B}"


@orchestrator
def wait_days(ctx: OrchestrationContext, days: float) -> Orchestration[str]:
    yield from ctx.create_timer(timedelta(days=days))
    return ctx.current_utc_datetime.isoformat(timespec="milliseconds")


@orchestrator
def parent(ctx: OrchestrationContext) -> Orchestration[str]:
    return (yield from ctx.call_sub_orchestrator(approval))


@orchestrator
def monitor(ctx: OrchestrationContext, runs: int) -> Orchestration[None]:
    yield from ctx.create_timer(timedelta(hours=1))
    ctx.continue_as_new(runs + 1)


@orchestrator
def calls_nobody(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity("not_there")


@orchestrator
def forgets_a_yield(ctx: OrchestrationContext) -> Orchestration[None]:
    ctx.call_activity(double, Money(cents=1))
    yield from ctx.call_activity(slow)


# ------------------------------------------------------------------ what no orchestrator may do

runs_of_counted = 0


@orchestrator
def counted(ctx: OrchestrationContext) -> Orchestration[str]:
    global runs_of_counted
    runs_of_counted += 1
    if runs_of_counted > 1:
        yield from ctx.call_activity(double, Money(cents=1))
    yield from ctx.call_activity(slow)
    return "done"


@orchestrator
def flips_a_coin(ctx: OrchestrationContext) -> Orchestration[str]:
    for _ in range(12):
        if random.random() < 0.5:
            yield from ctx.call_activity(double, Money(cents=1))
        else:
            yield from ctx.call_activity(slow)
    return "done"


@orchestrator
def random_input(ctx: OrchestrationContext) -> Orchestration[Money]:
    return (yield from ctx.call_activity(double, Money(cents=random.randrange(10**9))))


@orchestrator
def random_output(ctx: OrchestrationContext) -> Orchestration[float]:
    yield from ctx.call_activity(slow)
    return random.random()


@orchestrator
def looks_at_the_clock(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.create_timer(datetime.now().astimezone() + timedelta(days=3650))
