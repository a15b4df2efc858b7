"""What pyright must refuse of interceptors and headers: exactly the lines that end in ``# refused``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from durable_core import (
    ActivityContext,
    ClientCall,
    DurableClient,
    Interceptor,
    OrchestrationContext,
    OutgoingCall,
    Registry,
)

Proceed = Callable[[], Awaitable[Any]]


class Wrong(Interceptor):
    def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> str:  # refused
        return ctx.name

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        call.headers = {}  # refused
        if call.kind == "activities":  # refused
            pass
        ctx.headers["tenant"] = "acme"  # refused


class Renamed(Interceptor):
    async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
        call.name = "other"  # refused
        return await proceed("argument")  # refused


async def starts(client: DurableClient) -> None:
    await client.start_new("headed", headers="tenant=acme")  # refused
    await client.start_new("headed", headers={1: "acme"})  # refused
    await client.raise_event("one", "Go", headers={})  # refused


Registry().intercept(Renamed)  # refused
Registry().intercept("Renamed")  # refused
