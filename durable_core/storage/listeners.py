"""Callbacks for messages that this process sends, and for what other processes tell. Shared by the adapters."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

AHEAD = 60.0  # seconds: a message that becomes visible later is left to polling
STEP = 0.01  # seconds: messages that become visible within one step share a callback


class SendListeners:
    """The callbacks of ``Storage.on_send``, by queue. Called on the event loop."""

    __slots__ = ("_by_queue", "_to_come")

    def __init__(self) -> None:
        # Keyed by an object of its own: one function may be registered twice, and each undo removes its own entry.
        self._by_queue: dict[str, dict[object, Callable[[], None]]] = {}
        self._to_come: set[tuple[str, int]] = set()  # queue, and the step of the loop's time

    def add(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Register a callback; returns the function that removes it, which may be called twice."""
        entry = object()
        self._by_queue.setdefault(queue, {})[entry] = callback

        def undo() -> None:
            self._by_queue[queue].pop(entry, None)

        return undo

    def notify(self, queue: str, delay: float) -> None:
        """A message was sent that is visible after ``delay`` seconds: call the callbacks of its queue then."""
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


class Hearers:
    """The callbacks of ``Storage.hear``, by topic. Called on the event loop."""

    __slots__ = ("_by_topic",)

    def __init__(self) -> None:
        self._by_topic: dict[str, dict[object, Callable[[str], None]]] = {}

    def add(self, topic: str, callback: Callable[[str], None]) -> Callable[[], None]:
        """Register a callback; returns the function that removes it, which may be called twice."""
        entry = object()
        self._by_topic.setdefault(topic, {})[entry] = callback

        def undo() -> None:
            self._by_topic[topic].pop(entry, None)

        return undo

    def notify(self, topic: str, text: str) -> None:
        """Another process has told ``text``."""
        for callback in tuple(self._by_topic.get(topic, {}).values()):
            callback(text)
