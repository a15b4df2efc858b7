"""A storage that fails the test at the first operation that is no read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from durable_core.storage.ports import Operation, Props, Queue, QueueMessage, Row, RowRange, Storage, Table, Write


def _refuse(what: str) -> NoReturn:
    raise AssertionError(f"nothing may be written here, and this was: {what}")


class RefusingStorage:
    """``inner`` for readers. ``reads``: what was read, in order. ``before_read`` is awaited before each."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner
        self.reads: list[str] = []

    def table(self, name: str) -> Table:
        return RefusingTable(self._inner.table(name), self)

    def queue(self, name: str) -> Queue:
        return RefusingQueue(name)

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        _refuse("create")

    async def in_order(self, *writes: Write) -> None:
        _refuse("in_order")

    def on_send(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        _refuse("on_send")

    async def free_leases(self, queues: Sequence[str]) -> None:
        _refuse("free_leases")

    async def before_read(self, table: str, partition: str, low: str) -> None:
        """A test may do something here."""

    async def close(self) -> None:
        await self._inner.close()


class RefusingTable:
    def __init__(self, inner: Table, storage: RefusingStorage) -> None:
        self._inner, self._storage = inner, storage

    @property
    def name(self) -> str:
        return self._inner.name

    async def insert(self, partition: str, key: str, props: Props) -> str:
        _refuse(f"insert {key}")

    async def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        _refuse(f"merge {key}")

    async def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        _refuse(f"replace {key}")

    async def delete(self, partition: str, key: str, etag: str | None = None) -> None:
        _refuse(f"delete {key}")

    async def transact(self, partition: str, operations: Sequence[Operation]) -> list[str | None]:
        _refuse("transact")

    async def get(self, partition: str, key: str, select: Sequence[str] | None = None) -> Row | None:
        self._storage.reads.append(f"get {self.name} {partition} {key}")
        await self._storage.before_read(self.name, partition, key)
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
        self._storage.reads.append(f"range {self.name} {partition} {low}")
        await self._storage.before_read(self.name, partition, low)
        return await self._inner.read_range(partition, low, high, select=select, limit=limit)


class RefusingQueue:
    def __init__(self, name: str) -> None:
        self.name = name

    async def send(self, body: str, delay: float = 0.0) -> None:
        _refuse("send")

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        _refuse("receive")

    async def extend(self, message: QueueMessage, lease: float) -> QueueMessage:
        _refuse("extend")

    async def delete(self, message: QueueMessage) -> None:
        _refuse("delete a message")

    async def count(self) -> int:
        return 0

    async def clear(self) -> None:
        _refuse("clear")
