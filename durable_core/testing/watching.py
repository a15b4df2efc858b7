"""A storage that tells of every write to one table once it is done, whether or not its answer arrives anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..storage.ports import (
    Delete,
    Insert,
    Merge,
    Operation,
    Props,
    Queue,
    Replace,
    Row,
    RowRange,
    Storage,
    Table,
    Write,
)

Wrote = Callable[[str, Sequence[Operation]], None]


class _WatchedTable:
    def __init__(self, inner: Table, wrote: Wrote) -> None:
        self._inner = inner
        self._wrote = wrote

    @property
    def name(self) -> str:
        return self._inner.name

    async def insert(self, partition: str, key: str, props: Props) -> str:
        etag = await self._inner.insert(partition, key, props)
        self._wrote(partition, [Insert(key, props)])
        return etag

    async def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        new = await self._inner.merge(partition, key, props, etag)
        self._wrote(partition, [Merge(key, props, etag)])
        return new

    async def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        new = await self._inner.replace(partition, key, props, etag)
        self._wrote(partition, [Replace(key, props, etag)])
        return new

    async def delete(self, partition: str, key: str, etag: str | None = None) -> None:
        await self._inner.delete(partition, key, etag)
        self._wrote(partition, [Delete(key, etag)])

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
        etags = await self._inner.transact(partition, operations)
        self._wrote(partition, operations)
        return etags


class WatchedStorage:
    """``wrote`` is called with the partition and what was done to it, of the table of this name."""

    def __init__(self, inner: Storage, table: str, wrote: Wrote) -> None:
        self._inner = inner
        self._watched = table
        self._wrote = wrote

    def table(self, name: str) -> Table:
        table = self._inner.table(name)
        return _WatchedTable(table, self._wrote) if name == self._watched else table

    def queue(self, name: str) -> Queue:
        return self._inner.queue(name)

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        await self._inner.create(tables, queues)

    async def in_order(self, *writes: Write) -> None:
        await self._inner.in_order(*writes)

    def on_send(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._inner.on_send(queue, callback)

    async def free_leases(self, queues: Sequence[str]) -> None:
        await self._inner.free_leases(queues)

    async def close(self) -> None:
        await self._inner.close()
