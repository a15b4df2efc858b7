"""Patience with a store that is throttled, restarting or out of reach: every operation is tried again for a while.

An operation that failed so may have been done. All writes of the protocol can bear that: inserts answer "exists" and
merges "precondition failed", and their callers look whose write it was; deletes answer "not found"; messages may come
twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, TypeVar

from ..errors import StorageUnavailableError
from .ports import Operation, Props, Queue, QueueMessage, Row, RowRange, Storage, Table, Write

T = TypeVar("T")

logger = logging.getLogger("durable_core.storage")

FIRST_DELAY = 0.1
MAX_DELAY = 5.0


class Patience:
    """Tries again with exponential back-off for ``seconds``, then lets the last error through."""

    def __init__(self, seconds: float = 60.0, source: random.Random | None = None) -> None:
        self._seconds = seconds
        self._random = source or random.Random()

    async def __call__(self, operation: Callable[[], Awaitable[T]]) -> T:
        end, delay = 0.0, FIRST_DELAY
        while True:
            try:
                return await operation()
            except StorageUnavailableError as error:
                now = asyncio.get_running_loop().time()
                end = end or now + self._seconds
                if now + delay > end:
                    raise
                logger.warning("storage is not available, trying again in %.1f s: %s", delay, error)
            await asyncio.sleep(delay * (0.5 + self._random.random() / 2))
            delay = min(delay * 2, MAX_DELAY)


class RetryingTable:
    """Its methods are not ``async``: each returns the coroutine of ``Patience``, one less to step through."""

    def __init__(self, inner: Table, patience: Patience) -> None:
        self._inner = inner
        self._patience = patience

    @property
    def name(self) -> str:
        return self._inner.name

    def insert(self, partition: str, key: str, props: Props) -> CoroutineType[Any, Any, str]:
        return self._patience(partial(self._inner.insert, partition, key, props))

    def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> CoroutineType[Any, Any, str]:
        return self._patience(partial(self._inner.merge, partition, key, props, etag))

    def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> CoroutineType[Any, Any, str]:
        return self._patience(partial(self._inner.replace, partition, key, props, etag))

    def delete(self, partition: str, key: str, etag: str | None = None) -> CoroutineType[Any, Any, None]:
        return self._patience(partial(self._inner.delete, partition, key, etag))

    def get(self, partition: str, key: str, select: Sequence[str] | None = None) -> CoroutineType[Any, Any, Row | None]:
        return self._patience(partial(self._inner.get, partition, key, select))

    def read_range(
        self,
        partition: str,
        low: str = "",
        high: str | None = None,
        *,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> CoroutineType[Any, Any, RowRange]:
        return self._patience(partial(self._inner.read_range, partition, low, high, select=select, limit=limit))

    def transact(self, partition: str, operations: Sequence[Operation]) -> CoroutineType[Any, Any, list[str | None]]:
        return self._patience(partial(self._inner.transact, partition, operations))


class RetryingQueue:
    """As ``RetryingTable``."""

    def __init__(self, inner: Queue, patience: Patience) -> None:
        self._inner = inner
        self._patience = patience

    @property
    def name(self) -> str:
        return self._inner.name

    def send(self, body: str, delay: float = 0.0) -> CoroutineType[Any, Any, None]:
        return self._patience(partial(self._inner.send, body, delay))

    def receive(self, max_messages: int = 1, lease: float = 30.0) -> CoroutineType[Any, Any, list[QueueMessage]]:
        return self._patience(partial(self._inner.receive, max_messages, lease))

    def extend(self, message: QueueMessage, lease: float) -> CoroutineType[Any, Any, QueueMessage]:
        return self._patience(partial(self._inner.extend, message, lease))

    def delete(self, message: QueueMessage) -> CoroutineType[Any, Any, None]:
        return self._patience(partial(self._inner.delete, message))

    def count(self) -> CoroutineType[Any, Any, int]:
        return self._patience(self._inner.count)

    def clear(self) -> CoroutineType[Any, Any, None]:
        return self._patience(self._inner.clear)


class RetryingStorage:
    """A storage whose tables and queues are patient. Closing it closes what it wraps."""

    def __init__(self, inner: Storage, patience: Patience) -> None:
        self._inner = inner
        self._patience = patience

    def table(self, name: str) -> Table:
        return RetryingTable(self._inner.table(name), self._patience)

    def queue(self, name: str) -> Queue:
        return RetryingQueue(self._inner.queue(name), self._patience)

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        await self._patience(lambda: self._inner.create(tables, queues))

    async def in_order(self, *writes: Write) -> None:
        await self._inner.in_order(*writes)

    def on_send(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        return self._inner.on_send(queue, callback)

    async def free_leases(self, queues: Sequence[str]) -> None:
        await self._patience(lambda: self._inner.free_leases(queues))

    async def close(self) -> None:
        await self._inner.close()
