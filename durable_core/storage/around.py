"""The ports once more, for a storage that wraps another: the signatures are here, and nothing else is.

Whoever wraps a table or a queue says in ``_around`` what is done around its operations; what ``_around`` does not say,
the wrapped one does. It may replace single methods as well. Knows no wrapper.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from .ports import (
    Delete,
    Insert,
    Merge,
    Operation,
    Props,
    Queue,
    QueueMessage,
    Replace,
    Row,
    RowRange,
    Storage,
    Table,
    Write,
)

T = TypeVar("T")
P = ParamSpec("P")


class Call(partial[Coroutine[Any, Any, T]]):
    """A call of a port's method that is still to be made: to call this makes it, each time anew.

    It is no more than the ``partial`` that a wrapper needs anyway; what it is about is worked out when asked.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # it knows of ``partial`` that the arguments must be the method's, but of no subclass

        def __new__(cls, method: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> Self: ...

    @property
    def verb(self) -> str:
        """The method's name in the port, such as ``read_range``."""
        return self.func.__name__


class TableCall(Call[T]):
    """A call of ``Table``."""

    __slots__ = ()

    @property
    def is_read(self) -> bool:
        return self.verb in {"get", "read_range"}

    @property
    def partition(self) -> str:
        return self.args[0]

    @property
    def key(self) -> str:
        """The row's; of a range read, where the range begins; of a transaction ''."""
        return "" if self.verb == "transact" else self.args[1]

    @property
    def operations(self) -> Sequence[Operation]:
        """What it writes, as a transaction would say it. A read writes nothing."""
        match self.verb:
            case "insert":
                return (Insert(*self.args[1:]),)
            case "merge":
                return (Merge(*self.args[1:]),)
            case "replace":
                return (Replace(*self.args[1:]),)
            case "delete":
                return (Delete(*self.args[1:]),)
            case "transact":
                return self.args[1]
            case _:
                return ()


class QueueCall(Call[T]):
    """A call of ``Queue``."""

    __slots__ = ()

    @property
    def body(self) -> str:
        """Of the message that it sends; '' if it sends none."""
        return self.args[0] if self.verb == "send" else ""


class AroundTable:
    """Its methods are not ``async``: each returns the coroutine of ``_around``, one less to step through."""

    def __init__(self, inner: Table) -> None:
        self._inner = inner

    async def _around(self, call: TableCall[T], /) -> T:
        return await call()

    @property
    def name(self) -> str:
        return self._inner.name

    def insert(self, partition: str, key: str, props: Props) -> CoroutineType[Any, Any, str]:
        return self._around(TableCall(self._inner.insert, partition, key, props))

    def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> CoroutineType[Any, Any, str]:
        return self._around(TableCall(self._inner.merge, partition, key, props, etag))

    def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> CoroutineType[Any, Any, str]:
        return self._around(TableCall(self._inner.replace, partition, key, props, etag))

    def delete(self, partition: str, key: str, etag: str | None = None) -> CoroutineType[Any, Any, None]:
        return self._around(TableCall(self._inner.delete, partition, key, etag))

    def get(self, partition: str, key: str, select: Sequence[str] | None = None) -> CoroutineType[Any, Any, Row | None]:
        return self._around(TableCall(self._inner.get, partition, key, select))

    def read_range(
        self,
        partition: str,
        low: str = "",
        high: str | None = None,
        *,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> CoroutineType[Any, Any, RowRange]:
        return self._around(TableCall(self._inner.read_range, partition, low, high, select=select, limit=limit))

    def transact(self, partition: str, operations: Sequence[Operation]) -> CoroutineType[Any, Any, list[str | None]]:
        return self._around(TableCall(self._inner.transact, partition, operations))


class AroundQueue:
    """As ``AroundTable``."""

    def __init__(self, inner: Queue) -> None:
        self._inner = inner

    async def _around(self, call: QueueCall[T], /) -> T:
        return await call()

    @property
    def name(self) -> str:
        return self._inner.name

    def send(self, body: str, delay: float = 0.0) -> CoroutineType[Any, Any, None]:
        return self._around(QueueCall(self._inner.send, body, delay))

    def receive(self, max_messages: int = 1, lease: float = 30.0) -> CoroutineType[Any, Any, list[QueueMessage]]:
        return self._around(QueueCall(self._inner.receive, max_messages, lease))

    def extend(self, message: QueueMessage, lease: float) -> CoroutineType[Any, Any, QueueMessage]:
        return self._around(QueueCall(self._inner.extend, message, lease))

    def delete(self, message: QueueMessage) -> CoroutineType[Any, Any, None]:
        return self._around(QueueCall(self._inner.delete, message))

    def count(self) -> CoroutineType[Any, Any, int]:
        return self._around(QueueCall(self._inner.count))

    def clear(self) -> CoroutineType[Any, Any, None]:
        return self._around(QueueCall(self._inner.clear))


class AroundStorage:
    """Passes everything on: whoever wraps a storage replaces what it does otherwise."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner

    def table(self, name: str) -> Table:
        return self._inner.table(name)

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
