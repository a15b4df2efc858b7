"""A storage that fails the test at the first operation that is no read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from durable_core.storage.ports import Queue, Storage, Table, Write
from durable_core.storage.wrapper import AroundQueue, AroundTable, Call, QueueCall, TableCall

T = TypeVar("T")


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
        return RefusingQueue(self._inner.queue(name))

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        _refuse("create")

    async def in_order(self, *writes: Write) -> None:
        _refuse("in_order")

    def on_send(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        _refuse("on_send")

    def tell(self, topic: str, text: str) -> None:
        _refuse("tell")

    def hear(self, topic: str, callback: Callable[[str], None]) -> Callable[[], None] | None:
        return self._inner.hear(topic, callback)

    async def free_leases(self, queues: Sequence[str]) -> None:
        _refuse("free_leases")

    async def before_read(self, table: str, partition: str, low: str) -> None:
        """A test may do something here."""

    async def close(self) -> None:
        await self._inner.close()


class RefusingTable(AroundTable):
    def __init__(self, inner: Table, storage: RefusingStorage) -> None:
        super().__init__(inner)
        self._storage = storage

    async def _around(self, call: Call[T]) -> T:
        what = TableCall.of(call)
        if not what.is_read:
            _refuse(f"{what.verb} {what.key}")
        kind = "range" if what.verb == "read_range" else what.verb
        self._storage.reads.append(f"{kind} {self.name} {what.partition} {what.key}")
        await self._storage.before_read(self.name, what.partition, what.key)
        return await call()


class RefusingQueue(AroundQueue):
    async def _around(self, call: Call[T]) -> T:
        what = QueueCall.of(call)
        if what.verb != "count":
            _refuse(f"{what.verb} {self.name}")
        return await call()
