"""The asyncio tasks in which a process runs turns, activities and steps, and how many of the latter run inline."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ...log_context import durable_logger

logger = durable_logger("durable_core.runtime")


class ProcessTasks:
    """One per process and task hub, shared by all instances.

    inline_running: activities and steps that run in the process of their turn at this moment.
    """

    def __init__(self) -> None:
        self.inline_running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def drain(self, seconds: float | None = None) -> None:
        """Wait for all tasks, at most so long; None: until they end.

        The caller must have stopped delivering messages.
        """
        try:
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            logger.warning("%d turns or inline activities are still running; they are cancelled", len(self._tasks))

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("work on an instance ended with an error", exc_info=error)
