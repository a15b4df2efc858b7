"""Callers that wait for the end of an instance; the turn of this process that ends the instance notifies them.

A waiter receives the instance as its last commit left it, and need not read its row. Also remembers the executions that
this process has started and whose end it has not seen: a caller that waits for one of them need not read its row
first.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from ..hub.instance_row import Instance

REMEMBERED = 10_000  # starts; for an older one, a waiter reads the row once


class EndWatch:
    """One waiter of one instance. Made by ``Completions.watch``."""

    __slots__ = ("_ended", "_waiting")

    def __init__(self) -> None:
        self._ended: Instance | None = None
        self._waiting: asyncio.Future[None] | None = None

    async def next(self, seconds: float) -> Instance | None:
        """The instance if it has ended since the last call, or ends within ``seconds``; else None."""
        if self._ended is None and seconds > 0:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(seconds, _release, self._waiting)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        ended, self._ended = self._ended, None
        return ended

    def tell(self, ended: Instance) -> None:
        self._ended = ended
        if self._waiting is not None:
            _release(self._waiting)


class Completions:
    """One per process; every app of it may share one."""

    def __init__(self) -> None:
        self._watches: dict[str, set[EndWatch]] = {}
        self._open: OrderedDict[tuple[str, str], None] = OrderedDict()  # (instance, execution), oldest first

    def started(self, instance_id: str, execution_id: str) -> None:
        """Remember a new execution that this process has started."""
        self._open[instance_id, execution_id] = None
        if len(self._open) > REMEMBERED:
            self._open.popitem(last=False)

    def is_open(self, instance_id: str, execution_id: str) -> bool:
        """Whether this process has started the execution, and has not seen it end."""
        return (instance_id, execution_id) in self._open

    @property
    def waiting(self) -> int:
        """The number of instances that callers wait for."""
        return len(self._watches)

    def watch(self, instance_id: str) -> EndWatch:
        """A watch that is notified when an app of this process ends the instance; pass it to ``unwatch`` afterwards."""
        watch = EndWatch()
        self._watches.setdefault(instance_id, set()).add(watch)
        return watch

    def unwatch(self, instance_id: str, watch: EndWatch) -> None:
        watches = self._watches.get(instance_id)
        if watches is not None:
            watches.discard(watch)
            if not watches:
                del self._watches[instance_id]

    def ended(self, instance: Instance) -> None:
        """Notify the waiters. ``instance``: as its last commit left it; the commit is durable and dispatched."""
        self._open.pop((instance.instance_id, instance.execution_id), None)
        for watch in self._watches.get(instance.instance_id, ()):
            watch.tell(instance)


def _release(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
