"""A storage that lets nothing through but reads: for tools that look at a live hub and must not touch it.

What would make, change, hide or delete anything is refused before it reaches the store. Receiving a message hides it,
so queues can only be counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from ..errors import StorageError
from .ports import Operation, Props, Queue, QueueMessage, Row, RowRange, Storage, Table, Write


def _refuse(what: str) -> NoReturn:
    raise StorageError(f"this storage was opened to read only: {what} is refused")


class ReadOnlyStorage:
    """``inner`` as readers see it. Closing it closes ``inner``."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner

    def table(self, name: str) -> Table:
        return ReadOnlyTable(self._inner.table(name))

    def queue(self, name: str) -> Queue:
        return ReadOnlyQueue(self._inner.queue(name))

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        _refuse("to create tables or queues")

    async def in_order(self, *writes: Write) -> None:
        _refuse("to write")

    def on_send(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._inner.on_send(queue, callback)

    async def free_leases(self, queues: Sequence[str]) -> None:
        _refuse("to free leases")

    async def close(self) -> None:
        await self._inner.close()


class ReadOnlyTable:
    """One table, to be read."""

    def __init__(self, inner: Table) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    async def insert(self, partition: str, key: str, props: Props) -> str:
        _refuse(f"an insert into {self.name}")

    async def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        _refuse(f"a merge into {self.name}")

    async def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        _refuse(f"a replace in {self.name}")

    async def delete(self, partition: str, key: str, etag: str | None = None) -> None:
        _refuse(f"a delete in {self.name}")

    async def get(self, partition: str, key: str, select: Sequence[str] | None = None) -> Row | None:
        return await self._inner.get(partition, key, select)

    async def read_range(
        self,
        partition: str,
        low: str = "",
        high: str | None = None,
        *,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> RowRange:
        return await self._inner.read_range(partition, low, high, select=select, limit=limit)

    async def transact(self, partition: str, operations: Sequence[Operation]) -> list[str | None]:
        _refuse(f"a transaction on {self.name}")


class ReadOnlyQueue:
    """One queue, to be counted."""

    def __init__(self, inner: Queue) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    async def send(self, body: str, delay: float = 0.0) -> None:
        _refuse(f"a send to {self.name}")

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        _refuse(f"a receive from {self.name}")

    async def extend(self, message: QueueMessage, lease: float) -> QueueMessage:
        _refuse(f"a change of a message of {self.name}")

    async def delete(self, message: QueueMessage) -> None:
        _refuse(f"a delete in {self.name}")

    async def count(self) -> int:
        return await self._inner.count()

    async def clear(self) -> None:
        _refuse(f"to clear {self.name}")
