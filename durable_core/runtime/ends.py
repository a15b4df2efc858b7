"""Who waits for the end of an instance, and is told of it by whoever in this process ends it."""

from __future__ import annotations

import asyncio


class Ends:
    """One per process; every app of it may share one."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[asyncio.Event]] = {}

    def watch(self, instance_id: str) -> asyncio.Event:
        """An event that is set when an app of this process ends the instance; give it back to ``unwatch``."""
        event = asyncio.Event()
        self._waiters.setdefault(instance_id, set()).add(event)
        return event

    def unwatch(self, instance_id: str, event: asyncio.Event) -> None:
        waiters = self._waiters.get(instance_id)
        if waiters is not None:
            waiters.discard(event)
            if not waiters:
                del self._waiters[instance_id]

    def ended(self, instance_id: str) -> None:
        for event in self._waiters.get(instance_id, ()):
            event.set()
