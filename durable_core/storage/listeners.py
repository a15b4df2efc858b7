"""Who wants to know, in this process, that a queue got a message. Shared by the adapters."""

from __future__ import annotations

from collections.abc import Callable


class SendListeners:
    """The callbacks of ``Storage.on_send``, by queue. Called on the event loop."""

    __slots__ = ("_by_queue",)

    def __init__(self) -> None:
        # Keyed by an object of its own: one function may be registered twice, and each undo removes its own entry.
        self._by_queue: dict[str, dict[object, Callable[[], None]]] = {}

    def add(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Register and return what undoes it; undoing twice is harmless."""
        entry = object()
        self._by_queue.setdefault(queue, {})[entry] = callback

        def undo() -> None:
            self._by_queue[queue].pop(entry, None)

        return undo

    def notify(self, queue: str) -> None:
        for callback in tuple(self._by_queue.get(queue, {}).values()):
            callback()
