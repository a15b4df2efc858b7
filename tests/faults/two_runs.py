"""What plays share in which two hosts run one activity, and each run finds what the other has stored of it: the chunks
of a stream, the steps of a journal."""

from __future__ import annotations

import asyncio

from durable_core.testing.faults import Moment

from .stage import Hold, Stage, StagedHost

RETRY_SECONDS = 25  # until an activity that failed is tried again


async def begun(stage: Stage, orchestrator: str, given: list[str]) -> tuple[StagedHost, StagedHost]:
    """Two hosts. The first has begun instance "one", whose activity waits in the work queue."""
    await stage.client.start_new(orchestrator, "one", given)
    first, second = stage.host(), stage.host()
    await first.handle("control")
    return first, second


async def dies_at(stage: Stage, host: StagedHost, operation: str, moment: Moment = "before") -> None:
    """The host runs the activity, and dies at this operation. Its message comes back."""
    host.crash_at(operation, moment)
    await host.handle("work")
    await stage.lease_expires()


async def overtaken(
    stage: Stage, first: StagedHost, second: StagedHost, stalls: Hold, waits: Hold, *, retried: bool = False
) -> None:
    """The first host runs the activity, and stalls. The second gets its message, and runs until it waits; then the
    first goes on to its end, and after it the second.

    retried: the attempt that the second host gets fails at once, and it waits in the next one.
    """
    one = await first.begin("work")
    await stalls.reached()
    await stage.lease_expires()
    if retried:
        await second.handle("work")
        await asyncio.sleep(RETRY_SECONDS)
    two = await second.begin("work")
    await waits.reached()
    stalls.let_go()
    await asyncio.wait([one])
    waits.let_go()
    await asyncio.wait([two])
