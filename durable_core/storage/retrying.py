"""Patience with a store that is throttled, restarting or out of reach: every operation is tried again for a while.

An operation that failed may have been done all the same. The callers of all writes allow for that: a repeated insert
fails with "exists" and a merge with "precondition failed", and the caller checks whose write it was; a repeated delete
fails with "not found"; a message may be delivered twice.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ..errors import StorageUnavailableError
from .ports import Queue, Storage, Table
from .wrapper import AroundQueue, AroundStorage, AroundTable

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


class RetryingTable(AroundTable):
    """``_around`` is the ``Patience`` object itself, which saves one call per operation."""

    def __init__(self, inner: Table, patience: Patience) -> None:
        super().__init__(inner)
        self._around = patience


class RetryingQueue(AroundQueue):
    """As ``RetryingTable``."""

    def __init__(self, inner: Queue, patience: Patience) -> None:
        super().__init__(inner)
        self._around = patience


class RetryingStorage(AroundStorage):
    """A storage whose tables and queues retry. Closing it closes the wrapped storage."""

    def __init__(self, inner: Storage, patience: Patience) -> None:
        super().__init__(inner)
        self._patience = patience

    def table(self, name: str) -> Table:
        return RetryingTable(self._inner.table(name), self._patience)

    def queue(self, name: str) -> Queue:
        return RetryingQueue(self._inner.queue(name), self._patience)

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        await self._patience(lambda: self._inner.create(tables, queues))

    async def free_leases(self, queues: Sequence[str]) -> None:
        await self._patience(lambda: self._inner.free_leases(queues))
