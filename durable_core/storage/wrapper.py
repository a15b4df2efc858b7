"""Base classes for decorators of the storage ports.

A decorator of a table or a queue overrides ``_around``; by default calls are forwarded. ``TableCall`` and ``QueueCall``
describe a call for the decorators that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, TypeAlias, TypeVar

from ..lazy_dataclass import dataclass
from .ports import (
    Delete,
    Insert,
    Merge,
    OldestMessage,
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

Call: TypeAlias = partial[Coroutine[Any, Any, T]]
"""A call of a port's method that ``_around`` makes, once or more often. Its arguments are in the port's order."""

_WRITES = {"insert": Insert, "merge": Merge, "replace": Replace, "delete": Delete}


@dataclass(frozen=True, slots=True)
class TableCall:
    """Describes a call of ``Table``.

    verb: the method's name. key: of the row; of a range read, the lower bound; of a transaction ''.
    operations: the writes of the call in the form of a transaction; empty for a read.
    """

    verb: str
    partition: str
    key: str
    operations: Sequence[Operation]

    @classmethod
    def of(cls, call: Call[Any]) -> TableCall:
        verb, (partition, *rest) = call.func.__name__, call.args
        if verb == "transact":
            return cls(verb, partition, "", rest[0])
        return cls(verb, partition, rest[0], (_WRITES[verb](*rest),) if verb in _WRITES else ())

    @property
    def is_read(self) -> bool:
        return self.verb in {"get", "read_range"}


@dataclass(frozen=True, slots=True)
class QueueCall:
    """Describes a call of ``Queue``. verb: the method's name. body: of the message that it sends, or ''."""

    verb: str
    body: str

    @classmethod
    def of(cls, call: Call[Any]) -> QueueCall:
        verb = call.func.__name__
        return cls(verb, call.args[0] if verb == "send" else "")


class AroundTable:
    """Decorator of a table. Its methods are not ``async``: each returns the coroutine of ``_around`` itself."""

    def __init__(self, inner: Table) -> None:
        self._inner = inner

    async def _around(self, call: Call[T], /) -> T:
        return await call()

    @property
    def name(self) -> str:
        return self._inner.name

    def insert(self, partition: str, key: str, props: Props) -> CoroutineType[Any, Any, str]:
        return self._around(partial(self._inner.insert, partition, key, props))

    def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> CoroutineType[Any, Any, str]:
        return self._around(partial(self._inner.merge, partition, key, props, etag))

    def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> CoroutineType[Any, Any, str]:
        return self._around(partial(self._inner.replace, partition, key, props, etag))

    def delete(self, partition: str, key: str, etag: str | None = None) -> CoroutineType[Any, Any, None]:
        return self._around(partial(self._inner.delete, partition, key, etag))

    def get(self, partition: str, key: str, select: Sequence[str] | None = None) -> CoroutineType[Any, Any, Row | None]:
        return self._around(partial(self._inner.get, partition, key, select))

    def read_range(
        self,
        partition: str,
        low: str = "",
        high: str | None = None,
        *,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> CoroutineType[Any, Any, RowRange]:
        return self._around(partial(self._inner.read_range, partition, low, high, select=select, limit=limit))

    def transact(self, partition: str, operations: Sequence[Operation]) -> CoroutineType[Any, Any, list[str | None]]:
        return self._around(partial(self._inner.transact, partition, operations))


class AroundQueue:
    """As ``AroundTable``."""

    def __init__(self, inner: Queue) -> None:
        self._inner = inner

    async def _around(self, call: Call[T], /) -> T:
        return await call()

    @property
    def name(self) -> str:
        return self._inner.name

    def send(self, body: str, delay: float = 0.0) -> CoroutineType[Any, Any, None]:
        return self._around(partial(self._inner.send, body, delay))

    def receive(self, max_messages: int = 1, lease: float = 30.0) -> CoroutineType[Any, Any, list[QueueMessage]]:
        return self._around(partial(self._inner.receive, max_messages, lease))

    def extend(self, message: QueueMessage, lease: float) -> CoroutineType[Any, Any, QueueMessage]:
        return self._around(partial(self._inner.extend, message, lease))

    def delete(self, message: QueueMessage) -> CoroutineType[Any, Any, None]:
        return self._around(partial(self._inner.delete, message))

    def count(self) -> CoroutineType[Any, Any, int]:
        return self._around(partial(self._inner.count))

    def oldest(self) -> CoroutineType[Any, Any, OldestMessage | None]:
        return self._around(partial(self._inner.oldest))

    def clear(self) -> CoroutineType[Any, Any, None]:
        return self._around(partial(self._inner.clear))


class AroundStorage:
    """Decorator of a storage. Forwards all calls; a subclass overrides the methods that it changes."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner

    def table(self, name: str) -> Table:
        return self._inner.table(name)

    def queue(self, name: str) -> Queue:
        return self._inner.queue(name)

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        await self._inner.create(tables, queues)

    def in_order(self, *writes: Write) -> CoroutineType[Any, Any, None]:
        return self._inner.in_order(*writes)

    def on_send(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._inner.on_send(queue, callback)

    def tell(self, topic: str, text: str) -> None:
        self._inner.tell(topic, text)

    def hear(self, topic: str, callback: Callable[[str], None]) -> Callable[[], None] | None:
        return self._inner.hear(topic, callback)

    async def free_leases(self, queues: Sequence[str]) -> None:
        await self._inner.free_leases(queues)

    async def close(self) -> None:
        await self._inner.close()
