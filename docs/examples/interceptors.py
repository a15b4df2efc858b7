"""Interceptors: who may call, for which tenant the work is done, and how long it takes, written once for a whole app.

registry = Registry.scan(workflows).intercept(*INTERCEPTORS)
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from durable_core import (
    ActivityContext,
    CallRefusedError,
    ClientCall,
    DurableClient,
    Interceptor,
    Orchestration,
    OrchestrationContext,
    OutgoingCall,
    activity,
    orchestrator,
)

Proceed = Callable[[], Awaitable[Any]]
log = logging.getLogger("app.timing")

caller: ContextVar[str] = ContextVar("caller", default="")  # set by the web framework's own sign-in
tenant: ContextVar[str] = ContextVar("tenant", default="")


class Authorized(Interceptor):
    """Lets nobody end what another tenant has started; over HTTP the answer is 403."""

    async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
        who = caller.get() or call.request.get("x-tenant", "")
        if not who:
            raise CallRefusedError(f"{call.method} needs a caller")
        if call.method in ("terminate", "cancel") and not call.instance_id.startswith(f"{who}-"):
            raise CallRefusedError(f"{call.instance_id} is not an instance of {who}")
        call.headers["tenant"] = who
        return await proceed()


class OfTenant(Interceptor):
    """The code of activities finds the tenant in a context variable; what leaves the company has no headers."""

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        if call.name == "ask_weather":
            call.headers.clear()

    async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
        token = tenant.set(ctx.headers.get("tenant", ""))
        try:
            return await proceed()
        finally:
            tenant.reset(token)


class Timed(Interceptor):
    """A line for each orchestration and each activity."""

    def around_orchestrator(
        self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
    ) -> Orchestration[Any]:
        began = ctx.current_utc_datetime
        try:
            return (yield from proceed())
        finally:
            ctx.logger.info("%s took %s", ctx.name, ctx.current_utc_datetime - began)

    async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
        began = time.monotonic()
        try:
            return await proceed()
        finally:
            log.info("%s took %.3f s", ctx.name, time.monotonic() - began)


INTERCEPTORS = [Authorized(), OfTenant(), Timed()]


@activity
def reserve(seats: int) -> str:  # a plain function, in a thread
    return f"{seats} seats for {tenant.get()}"


@activity
async def ask_weather(ctx: ActivityContext) -> str:
    assert not ctx.headers
    return "rain"


@orchestrator
def trip(ctx: OrchestrationContext, seats: int) -> Orchestration[list[Any]]:
    reserved = yield from ctx.call_activity(reserve, seats)
    weather = yield from ctx.call_activity(ask_weather)
    return [ctx.headers["tenant"], reserved, weather]


async def example(client: DurableClient) -> None:
    try:
        await client.start_new(trip, "acme-1", 4)
        raise AssertionError("nobody is signed in")
    except CallRefusedError as error:
        assert str(error) == "start_new needs a caller"

    caller.set("acme")
    await client.start_new(trip, "acme-1", 4)
    status = await client.wait_for_completion("acme-1", timeout=30)
    assert status.output == ["acme", "4 seats for acme", "rain"]
    assert (await client.get_status("acme-1", show_headers=True)).headers == {"tenant": "acme"}

    caller.set("evil")
    try:
        await client.terminate("acme-1")
        raise AssertionError("it is not theirs")
    except CallRefusedError as error:
        assert str(error) == "acme-1 is not an instance of evil"
