"""Who wants to know, in this process, that a queue got a message. Shared by the adapters."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

AHEAD = 60.0  # seconds: a poll finds what comes later than that early enough
STEP = 0.01  # seconds: what becomes visible within one is told together


class SendListeners:
    """The callbacks of ``Storage.on_send``, by queue. Called on the event loop."""

    __slots__ = ("_by_queue", "_to_come")

    def __init__(self) -> None:
        # Keyed by an object of its own: one function may be registered twice, and each undo removes its own entry.
        self._by_queue: dict[str, dict[object, Callable[[], None]]] = {}
        self._to_come: set[tuple[str, int]] = set()  # queue, and the step of the loop's time

    def add(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Register and return what undoes it; undoing twice is harmless."""
        entry = object()
        self._by_queue.setdefault(queue, {})[entry] = callback

        def undo() -> None:
            self._by_queue[queue].pop(entry, None)

        return undo

    def notify(self, queue: str, delay: float) -> None:
        """A message was sent that is visible after so many seconds: call back then, if anybody listens."""
        if queue not in self._by_queue or delay > AHEAD:
            return
        if delay <= 0:
            self._call(queue)
            return
        loop = asyncio.get_running_loop()
        due = queue, math.ceil((loop.time() + delay) / STEP)
        if due not in self._to_come:
            self._to_come.add(due)
            loop.call_at(due[1] * STEP, self._is_due, due)

    def _is_due(self, due: tuple[str, int]) -> None:
        self._to_come.discard(due)
        self._call(due[0])

    def _call(self, queue: str) -> None:
        for callback in tuple(self._by_queue.get(queue, {}).values()):
            callback()
