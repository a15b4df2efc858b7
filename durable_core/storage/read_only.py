"""A storage that only allows reads: for tools that read a live task hub and must not change it.

Each operation that would create, change, hide or delete something is refused before it reaches the store. Receiving a
message hides it, so the messages of a queue can only be counted, and the oldest one be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from ..errors import StorageError
from .ports import Queue, Storage, Table, Write
from .wrapper import AroundQueue, AroundTable, Call, QueueCall, TableCall

T = TypeVar("T")


def _refuse(what: str) -> NoReturn:
    raise StorageError(f"this storage is read-only: {what} is refused")


class ReadOnlyStorage:
    """A read-only view of ``inner``. Closing it closes ``inner``."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner

    def table(self, name: str) -> Table:
        return ReadOnlyTable(self._inner.table(name))

    def queue(self, name: str) -> Queue:
        return ReadOnlyQueue(self._inner.queue(name))

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        _refuse("creating tables or queues")

    async def in_order(self, *writes: Write) -> None:
        _refuse("to write")

    def on_send(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._inner.on_send(queue, callback)

    def tell(self, topic: str, text: str) -> None:
        _refuse("telling other processes")

    def hear(self, topic: str, callback: Callable[[str], None]) -> Callable[[], None] | None:
        return self._inner.hear(topic, callback)

    async def free_leases(self, queues: Sequence[str]) -> None:
        _refuse("freeing leases")

    async def close(self) -> None:
        await self._inner.close()


class ReadOnlyTable(AroundTable):
    """One table, to be read."""

    async def _around(self, call: Call[T]) -> T:
        what = TableCall.of(call)
        if not what.is_read:
            _refuse(f"{what.verb}() on {self.name}")
        return await call()


class ReadOnlyQueue(AroundQueue):
    """One queue, to be counted."""

    async def _around(self, call: Call[T]) -> T:
        what = QueueCall.of(call)
        if what.verb not in ("count", "oldest"):
            _refuse(f"{what.verb}() on {self.name}")
        return await call()
