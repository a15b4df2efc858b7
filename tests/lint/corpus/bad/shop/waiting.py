"""Generators that orchestrators run with 'yield from'."""

from __future__ import annotations

import time

from durable_core import OrchestrationContext


def remind(ctx: OrchestrationContext, times: int):
    for _ in range(times):
        ctx.call_activity("remind")  # expect: DC401
        yield from pause(ctx)


def pause(ctx: OrchestrationContext):
    time.sleep(1)  # expect: DC306
    yield [ctx.call_activity("pause")]  # expect: DC402
