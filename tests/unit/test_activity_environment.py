"""One activity in a unit test, and the client in an activity's context."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock

import pytest
from pydantic import BaseModel

from durable_core import ActivityContext, Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.errors import ConfigurationError, InvalidInputError, RegistrationError, SerializationError
from durable_core.testing import ActivityEnvironment, TestEnvironment


class Order(BaseModel):
    sku: str
    count: int = 1


@activity
def counts(order: Order) -> int:
    return order.count


@activity
async def looks(ctx: ActivityContext, what: str = "default") -> list[Any]:
    await ctx.stream().write("chunk")
    ctx.heartbeat({"what": what})
    return [what, ctx.attempt, ctx.idempotency_key, ctx.last_heartbeat]


@activity
async def starts(ctx: ActivityContext, name: str) -> str:
    return await ctx.client.start_new(name, ctx.idempotency_key, if_exists="return")


@activity
def plain(ctx: ActivityContext) -> str:
    return str(ctx.client)


@orchestrator
def started(ctx: OrchestrationContext) -> Orchestration[str]:
    return "started"
    yield


@orchestrator
def parent(ctx: OrchestrationContext, name: str) -> Orchestration[str]:
    return (yield from ctx.call_activity(name, "started"))


def test_the_input_has_its_type_and_must_fit() -> None:
    env = ActivityEnvironment()
    assert env.run(counts, Order(sku="tea", count=3)) == 3
    given: Any = {"sku": "tea"}
    assert env.run(counts, given) == 1
    wrong: Any = {"count": 2}
    with pytest.raises(InvalidInputError):
        env.run(counts, wrong)
    strange: Any = object()
    with pytest.raises(SerializationError, match="the input of activity 'counts'"):
        env.run(counts, strange)


async def test_the_context_is_that_of_the_attempt() -> None:
    env = ActivityEnvironment(attempt=3, last_heartbeat=("a", 1), execution_id="e", task_id=7)
    no_input: Any = looks
    assert await env.run(no_input, "tea") == ["tea", 3, "e-0-7", ["a", 1]]
    assert env.heartbeats == [{"what": "tea"}]
    assert (await env.run(no_input))[0] == "default"
    bad: Any = object()
    with pytest.raises(SerializationError):
        env.context.heartbeat(bad)


async def test_the_client_is_the_one_given_or_missing_with_a_hint() -> None:
    client = AsyncMock()
    client.start_new.return_value = "id-1"
    assert await ActivityEnvironment(client=client).run(starts, "started") == "id-1"
    with pytest.raises(ConfigurationError, match="ActivityEnvironment"):
        await ActivityEnvironment().run(starts, "started")
    with pytest.raises(ConfigurationError, match="async def"):
        await asyncio.to_thread(ActivityEnvironment(client=client).run, plain)


def test_a_function_that_is_no_activity_is_refused() -> None:
    others: list[Any] = [started, lambda: 1, print]
    for wrong in others:
        with pytest.raises(RegistrationError, match="mark it with @activity"):
            _ = ActivityEnvironment().run(wrong)


def test_an_activity_in_a_test_environment_starts_an_instance_by_its_client() -> None:
    with TestEnvironment(starts, plain, started, parent) as env:
        one = env.start(parent, "starts", instance_id="one")
        child = env.result(one, str)
        assert env.result(child, str) == "started"
