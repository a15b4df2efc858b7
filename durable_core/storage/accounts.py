"""Counts the storage operations of the work that is under way, such as a turn, in the account of its context.

An account is entered for the code of a block and for the tasks that it starts. ``AccountedTable`` adds each operation
on a table to it. Operations on queues are added by those who know which messages belong to the work. Knows nothing of
orchestrations; ``counting`` counts all operations of a process, for tests and benchmarks.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from types import CoroutineType
from typing import Any

from ..models import NO_OPERATIONS, Operations
from .ports import Operation, Props, Row, RowRange, Table


class Account:
    """Operations that are not written down yet. A number may be negative: operations that were foreseen and written
    down, and are still to come."""

    __slots__ = ("messages", "reads", "writes")

    def __init__(self, reads: int = 0, writes: int = 0, messages: int = 0) -> None:
        self.reads, self.writes, self.messages = reads, writes, messages

    def add(self, operations: Operations) -> None:
        self.reads += operations.reads
        self.writes += operations.writes
        self.messages += operations.messages

    def settle(self, written: Operations) -> None:
        """Note that these were written down."""
        self.reads -= written.reads
        self.writes -= written.writes
        self.messages -= written.messages

    def take(self, coming: Operations = NO_OPERATIONS) -> Operations:
        """All operations, and those that are about to be counted, for a message to the process that writes them down.
        None are negative there."""
        taken = Operations(
            max(self.reads + coming.reads, 0),
            max(self.writes + coming.writes, 0),
            max(self.messages + coming.messages, 0),
        )
        self.settle(taken)
        return taken

    def clear(self) -> None:
        self.reads = self.writes = self.messages = 0


_current: ContextVar[Account | None] = ContextVar("durable_core_account", default=None)

current_account = _current.get
enter_account = _current.set


class charged_to:
    """Count the operations of this block in ``account``; None: in none, as somebody else counts them."""

    __slots__ = ("_account", "_token")

    def __init__(self, account: Account | None) -> None:
        self._account = account

    def __enter__(self) -> None:
        self._token = _current.set(self._account)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def charge(operations: Operations) -> None:
    """Add operations to the account of this context, if there is one."""
    account = _current.get()
    if account is not None:
        account.add(operations)


def _read(pages: int) -> None:
    account = _current.get()
    if account is not None:
        account.reads += pages


def _write() -> None:
    account = _current.get()
    if account is not None:
        account.writes += 1


class AccountedTable:
    """A table whose operations are added to the account of the caller's context, each once, however often it is tried.

    Its methods return the coroutines of the wrapped table: they cost no coroutine of their own.
    """

    def __init__(self, inner: Table) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    def insert(self, partition: str, key: str, props: Props) -> CoroutineType[Any, Any, str]:
        _write()
        return self._inner.insert(partition, key, props)

    def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> CoroutineType[Any, Any, str]:
        account = _current.get()
        if account is not None:
            account.writes += 1
        return self._inner.merge(partition, key, props, etag)

    def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> CoroutineType[Any, Any, str]:
        _write()
        return self._inner.replace(partition, key, props, etag)

    def delete(self, partition: str, key: str, etag: str | None = None) -> CoroutineType[Any, Any, None]:
        _write()
        return self._inner.delete(partition, key, etag)

    def transact(self, partition: str, operations: Sequence[Operation]) -> CoroutineType[Any, Any, list[str | None]]:
        _write()
        return self._inner.transact(partition, operations)

    def get(self, partition: str, key: str, select: Sequence[str] | None = None) -> CoroutineType[Any, Any, Row | None]:
        _read(1)
        return self._inner.get(partition, key, select)

    async def read_range(
        self,
        partition: str,
        low: str = "",
        high: str | None = None,
        *,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> RowRange:
        found = await self._inner.read_range(partition, low, high, select=select, limit=limit)
        _read(found.pages)
        return found
