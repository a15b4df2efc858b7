"""One log line when an instance starts, goes on after a restart of the host, and ends. For people who develop.

The local host turns it on (``DURABLE_INSTANCE_LOG``); without it there is no ``InstanceLog``. At most twenty lines are
written per second; those beyond that are counted, and one line tells how many they were.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from datetime import datetime

from ..engine.events import ExecutionCompleted, ExecutionTerminated
from ..engine.state import Completion
from ..hub.instance_row import Instance
from ..log_context import durable_logger
from ..models import FailureDetails, RuntimeStatus
from .clock import Clock

LINES_PER_SECOND = 20

logger = durable_logger("durable_core.instances")


class InstanceLog:
    """Writes the lines of one process. It has to be made on the thread of the event loop that it is used on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._opened: datetime = clock.now()
        self._second = float("-inf")
        self._lines = 0
        self._more: Counter[str] = Counter()
        self._going_on: set[str] = set()

    def revived(self, instance: Instance) -> None:
        """The instance was loaded and replayed: it goes on after a restart if it had begun before this process."""
        if instance.is_unstarted or instance.updated >= self._opened or instance.execution_id in self._going_on:
            return
        self._going_on.add(instance.execution_id)
        self._write(logging.INFO, "goes on", "goes on after a restart: %s (%s)", instance.instance_id, _code(instance))

    def turned(self, before: Instance, completion: Completion | None) -> None:
        """A turn was committed. ``completion``: how this generation has ended, if it has."""
        if before.is_unstarted and before.generation == 0:
            self._write(logging.INFO, "started", "started: %s (%s)", before.instance_id, _code(before))
        if isinstance(completion, ExecutionCompleted):
            self.ended(before, completion.status, completion.failure)
        elif isinstance(completion, ExecutionTerminated):
            self.ended(before, RuntimeStatus.TERMINATED.value)

    def ended(self, before: Instance, status: str, failure: FailureDetails | None = None) -> None:
        """The instance has ended."""
        self._going_on.discard(before.execution_id)
        seconds = (self._clock.now() - before.created).total_seconds()
        why = "" if failure is None else f" with {failure.type.rpartition('.')[2]}"
        if failure is not None and failure.line:
            why += f" at {failure.line}"
        level = logging.INFO if failure is None else logging.WARNING
        text = "ended: %s (%s) %s after %.3g s%s"
        self._write(level, "ended", text, before.instance_id, _code(before), status, max(seconds, 0.0), why)

    def _write(self, level: int, what: str, text: str, *args: object) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._second >= 1.0:
            self._second, self._lines = now, 0
        self._lines += 1
        if self._lines <= LINES_PER_SECOND:
            logger.log(level, text, *args)
            return
        if not self._more:
            loop.call_later(max(self._second + 1.0 - now, 0.0), self._tell_more)
        self._more[what] += 1

    def _tell_more(self) -> None:
        told = ", ".join(f"{count:,} {what}" for what, count in sorted(self._more.items()))
        self._more.clear()
        logger.info("and within the same second: %s", told)


def _code(instance: Instance) -> str:
    return f"{instance.name} {instance.version}" if instance.version else instance.name
