"""Slots: limits of how many calls run at once, and how many begin per second, in this process.

A waiting caller holds no thread, is served in order, and may stop waiting. Knows no activities.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Slot:
    """``max_concurrency`` and ``rate`` (entries per second) None: no such limit. Used on one event loop."""

    def __init__(self, max_concurrency: int | None = None, rate: float | None = None) -> None:
        self._limit = self._free = max_concurrency
        self._interval = 0.0 if rate is None else 1.0 / rate
        self._next = 0.0  # the loop's time from which on the next may enter
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether a caller would get a slot at once."""
        loop = asyncio.get_running_loop()
        return not self._waiting and (self._free is None or self._free > 0) and self._next <= loop.time()

    @property
    def taken(self) -> int:
        """How many callers hold a slot; 0 without a ``max_concurrency``."""
        return 0 if self._limit is None or self._free is None else self._limit - self._free

    @property
    def waiting(self) -> int:
        """How many callers wait for a slot."""
        return sum(not place.done() for place in self._waiting)

    async def enter(self, until: float | None = None) -> bool:
        """Acquire a slot, waiting until a time of the event loop. False on timeout: the caller holds no slot."""
        if self.is_open:
            self._take()
            return True
        loop = asyncio.get_running_loop()
        place = loop.create_future()
        self._waiting.append(place)
        self._admit()
        try:
            await asyncio.wait({place}, timeout=None if until is None else max(until - loop.time(), 0.0))
        except asyncio.CancelledError:
            if not place.cancel():  # the slot was given at the same moment
                self.leave()
            raise
        return not place.cancel()

    def leave(self) -> None:
        """Release the slot."""
        if self._free is not None:
            self._free += 1
        self._admit()

    def _take(self) -> None:
        if self._free is not None:
            self._free -= 1
        if self._interval:
            self._next = max(self._next, asyncio.get_running_loop().time()) + self._interval

    def _admit(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and (self._free is None or self._free > 0):
            if self._waiting[0].done():  # the caller has stopped waiting
                self._waiting.popleft()
            elif self._next > loop.time():
                if self._timer is None:
                    self._timer = loop.call_at(self._next, self._timer_is_due)
                return
            else:
                self._take()
                self._waiting.popleft().set_result(None)

    def _timer_is_due(self) -> None:
        self._timer = None
        self._admit()
