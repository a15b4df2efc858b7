"""The end of listeners: those that run get a grace time."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger(__name__)


async def drain(tasks: set[asyncio.Task[None]], grace: float) -> None:
    """Wait ``grace`` seconds for listeners that were told to stop, then cancel them: their messages are returned."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=grace)
    if late:
        log.warning("functions are still running after %g s; returning their messages to the queues", grace)
        for task in late:
            task.cancel()
        await asyncio.wait(late)
