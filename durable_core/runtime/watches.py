"""Callers of this process that wait for something to happen, by the key of what they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Watch(Generic[T]):
    """One caller that waits. Made by ``Watches.add``."""

    __slots__ = ("_must_look", "_told", "_waiting")

    def __init__(self) -> None:
        self._told: T | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._must_look = False

    async def next(self, seconds: float) -> T | None:
        """What was told since the last call, or is told within ``seconds``; else None, at the latest after a hint."""
        if self._told is None and seconds > 0 and not self._must_look:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(seconds, _release, self._waiting)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        told, self._told = self._told, None
        return told

    def tell(self, what: T) -> None:
        """It has happened in this process."""
        self._told = what
        if self._waiting is not None:
            _release(self._waiting)

    def hint(self) -> None:
        """It has happened in another process: end the wait, so that the store is read."""
        self._must_look = True
        if self._waiting is not None:
            _release(self._waiting)

    def take_hint(self) -> bool:
        """Whether there was a hint since the last call."""
        hinted, self._must_look = self._must_look, False
        return hinted


class Watches(Generic[K, T]):
    """All callers that wait for one kind of thing. Their number is that of the keys."""

    __slots__ = ("_watches",)

    def __init__(self) -> None:
        self._watches: dict[K, set[Watch[T]]] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, key: K) -> Watch[T]:
        """A new watch; pass it to ``drop`` afterwards."""
        watch: Watch[T] = Watch()
        self._watches.setdefault(key, set()).add(watch)
        return watch

    def drop(self, key: K, watch: Watch[T]) -> None:
        watches = self._watches.get(key)
        if watches is not None:
            watches.discard(watch)
            if not watches:
                del self._watches[key]

    def of(self, key: K) -> Collection[Watch[T]]:
        return self._watches.get(key, ())


def _release(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
