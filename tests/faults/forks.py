"""A fork that is asked for again, after a fault at any operation of the process that was asked first."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from durable_core.errors import DurableError
from durable_core.runtime.fork import Forked
from durable_core.testing.faults import FaultPlan, HostCrashError
from durable_core.testing.simulation import World
from tests.support.worlds import stop_all_hosts


async def fork_twice(world: World, plan: FaultPlan, **options: Any) -> Forked:
    """Fork "one" into "two" in a host that is alone and to which the plan happens, then outside of it by the same
    request: what that returns. The host goes on with the fork, if it lives."""
    await stop_all_hosts(world)
    host = world.add_host(plan=plan)
    options |= {"new_instance_id": "two", "request_id": "mine"}
    with suppress(HostCrashError, DurableError):
        await host.app.client.fork("one", **options)
    return await world.client.fork("one", **options)
