"""What pyright must accept of interceptors and headers, in strict mode."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, assert_type

from durable_core import (
    ActivityContext,
    CallRefusedError,
    ClientCall,
    DurableClient,
    EntityContext,
    EntityId,
    Interceptor,
    Orchestration,
    OrchestrationContext,
    OutgoingCall,
    Registry,
    activity,
    orchestrator,
)
from durable_core.testing import ActivityEnvironment, TestEnvironment

Proceed = Callable[[], Awaitable[Any]]


class Everything(Interceptor):
    async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
        assert_type(call.method, str)
        call.headers["tenant"] = call.request["x-tenant"]
        if call.arguments.get("reason") is None:
            raise CallRefusedError("why?")
        return await proceed()

    def around_orchestrator(
        self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
    ) -> Orchestration[Any]:
        assert_type(ctx.name, str)
        return (yield from proceed())

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        if call.kind == "activity":
            call.headers.update(ctx.headers)

    async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
        return ctx.headers["tenant"], await proceed()

    async def around_operation(self, ctx: EntityContext, proceed: Proceed) -> Any:
        return ctx.headers["tenant"], await proceed()


class Awaiting(Interceptor):
    async def around_orchestrator(self, ctx: OrchestrationContext, proceed: Proceed) -> Any:
        return await proceed()


@activity
def price(number: int) -> float:
    return float(number)


@orchestrator
def headed(ctx: OrchestrationContext, number: int) -> Orchestration[float]:
    return (yield from ctx.call_activity(price, number))


async def starts(client: DurableClient) -> None:
    await client.start_new(headed, client_input=1, headers={"tenant": "acme", "roles": ["a"]})
    await client.start_new("headed", "id", headers=None)
    await client.enqueue(price, 1, headers={"tenant": "acme"})
    await client.signal_entity(EntityId("counter", "one"), "add", 1, headers={"tenant": "acme"})
    status = await client.get_status("id", show_headers=True)
    assert_type(status.headers, dict[str, Any] | None)


registry = Registry().add(price, headed).intercept(Everything(), Awaiting())
env = TestEnvironment(registry, interceptors=[Everything()])
env.start(headed, 1, headers={"tenant": "acme"})
assert_type(ActivityEnvironment(headers={"a": 1}, interceptors=[Everything()]).run(price, 1), float)
