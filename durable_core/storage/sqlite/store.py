"""The embedded store: ``Table`` and ``Queue`` over one SQLite file, or over ``:memory:``.

Several processes may share a file. A write is acknowledged when it would survive a power cut; writes that wait
together share one fsync (see ``group_commit``). Limits are Azure's. Knows nothing of orchestrations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from types import CoroutineType
from typing import Any, Literal

from ..limits import (
    check_delay,
    check_key,
    check_message,
    check_queue_name,
    check_range,
    check_receive,
    check_table_name,
    check_transaction,
)
from ..listeners import Hearers, SendListeners
from ..ports import Delete, OldestMessage, Operation, Props, Queue, QueueMessage, Row, RowRange, Table, Write
from .connection import MEMORY
from .group_commit import GroupCommit
from .messages import Messages
from .neighbours import Neighbours
from .rows import Patch, RawPart, Rows, fold
from .session import Session


class SqliteStorage:
    """A storage account in one SQLite file, or in memory.

    path: the file, made with its folder if missing; ``:memory:`` keeps nothing and runs every operation at once on the
        caller's thread, deterministically.
    now: returns seconds since 1970; timestamps, delays and leases use it, so a test may set the time.
    synchronous: SQLite's pragma; ``FULL`` survives a power cut, ``NORMAL`` only the death of the process.
    """

    def __init__(
        self,
        path: str,
        *,
        now: Callable[[], float] = time.time,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
    ) -> None:
        self._store = GroupCommit(path, now, synchronous=synchronous)
        self._listeners = SendListeners()
        self._hearers = Hearers()
        self._neighbours = None
        if path != MEMORY:
            self._neighbours = Neighbours(path, self._listeners.notify, self._hearers.notify)

    @property
    def commits(self) -> int:
        """How many write transactions there were: far fewer than writes, when writes come together."""
        return self._store.commits

    @property
    def flushes(self) -> int:
        """How many of them were flushed to the disk before they were answered."""
        return self._store.flushes

    def table(self, name: str) -> Table:
        check_table_name(name)
        return SqliteTable(self._store, name)

    def queue(self, name: str) -> Queue:
        check_queue_name(name)
        return SqliteQueue(self._store, name, partial(self._sent, name))

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        for name in tables:
            check_table_name(name)
        for name in queues:
            check_queue_name(name)
        wanted = [("table", name.lower()) for name in tables] + [("queue", name) for name in queues]
        await self._store.write(partial(_create, wanted), peek=partial(_all_exist, wanted))

    def in_order(self, *writes: Write) -> CoroutineType[Any, Any, None]:
        return self._store.in_order(*writes)

    def on_send(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        if self._neighbours is not None:
            self._neighbours.listen()
        return self._listeners.add(queue, callback)

    def tell(self, topic: str, text: str) -> None:
        if self._neighbours is not None:
            self._neighbours.tell_text(topic, text)

    def hear(self, topic: str, callback: Callable[[str], None]) -> Callable[[], None] | None:
        if self._neighbours is None:
            return None
        self._neighbours.listen()
        return self._hearers.add(topic, callback) if self._neighbours.is_listening else None

    async def free_leases(self, queues: Sequence[str]) -> None:
        for name in queues:
            check_queue_name(name)

        def run(session: Session) -> None:
            for messages in [Messages(session, name) for name in queues]:
                messages.free_leases()

        await self._store.write(run)

    async def close(self) -> None:
        """Finish the waiting operations and close the file. Further calls raise StorageError."""
        await self._store.close()
        if self._neighbours is not None:
            self._neighbours.close()

    def _sent(self, queue: str, delay: float) -> None:
        self._listeners.notify(queue, delay)
        if self._neighbours is not None:
            self._neighbours.tell(queue, delay)


def _create(wanted: Sequence[tuple[str, str]], session: Session) -> bool:
    session.con.executemany("INSERT OR IGNORE INTO container (kind, name) VALUES (?, ?)", wanted)
    return True


def _all_exist(wanted: Sequence[tuple[str, str]], session: Session) -> bool | None:
    return True if all(session.container(kind, name) is not None for kind, name in wanted) else None


class SqliteTable:
    """One table of the embedded store."""

    __slots__ = ("_name", "_store")

    def __init__(self, store: GroupCommit, name: str) -> None:
        self._store, self._name = store, name

    @property
    def name(self) -> str:
        return self._name

    async def insert(self, partition: str, key: str, props: Props) -> str:
        patch = Patch.of(partition, key, props)
        return await self._store.write(lambda session: Rows(session, self._name).insert(partition, key, patch))

    async def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        patch = Patch.of(partition, key, props)
        return await self._store.write(lambda session: Rows(session, self._name).merge(partition, key, patch, etag))

    async def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        patch = Patch.of(partition, key, props)
        return await self._store.write(lambda session: Rows(session, self._name).replace(partition, key, patch, etag))

    async def delete(self, partition: str, key: str, etag: str | None = None) -> None:
        _check_keys(partition, key)
        await self._store.write(lambda session: Rows(session, self._name).delete(partition, key, etag))

    async def get(self, partition: str, key: str, select: Sequence[str] | None = None) -> Row | None:
        _check_keys(partition, key)
        parts = await self._store.read(lambda session: Rows(session, self._name).get(partition, key))
        rows = fold(partition, parts, select)
        return rows[0] if rows else None

    async def read_range(
        self,
        partition: str,
        low: str = "",
        high: str | None = None,
        *,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> RowRange:
        check_range(partition, limit)

        def run(session: Session) -> list[RawPart]:
            return Rows(session, self._name).read_range(partition, low, high, limit)

        return RowRange(fold(partition, await self._store.read(run), select), pages=1)

    async def transact(self, partition: str, operations: Sequence[Operation]) -> list[str | None]:
        sizes = check_transaction(partition, operations)
        prepared = [
            (each, None if isinstance(each, Delete) else Patch.of(partition, each.key, each.props, size))
            for each, size in zip(operations, sizes, strict=True)
        ]
        return await self._store.write(lambda session: Rows(session, self._name).transact(partition, prepared))


class SqliteQueue:
    """One queue of the embedded store."""

    __slots__ = ("_name", "_sent", "_store")

    def __init__(self, store: GroupCommit, name: str, sent: Callable[[float], None]) -> None:
        self._store, self._name, self._sent = store, name, sent

    @property
    def name(self) -> str:
        return self._name

    async def send(self, body: str, delay: float = 0.0) -> None:
        check_message(body, delay)
        await self._store.write(
            lambda session: Messages(session, self._name).send(body, delay), then=partial(self._sent, delay)
        )

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        check_receive(max_messages, lease)
        return await self._store.write(
            lambda session: Messages(session, self._name).receive(max_messages, lease),
            peek=lambda session: Messages(session, self._name).nothing_to_receive(),
            flush=False,
        )

    async def extend(self, message: QueueMessage, lease: float) -> QueueMessage:
        check_delay(lease)
        return await self._store.write(
            lambda session: Messages(session, self._name).extend(message, lease), flush=False
        )

    async def delete(self, message: QueueMessage) -> None:
        await self._store.write(lambda session: Messages(session, self._name).delete(message), flush=False)

    async def count(self) -> int:
        return await self._store.read(lambda session: Messages(session, self._name).count())

    async def oldest(self) -> OldestMessage | None:
        return await self._store.read(lambda session: Messages(session, self._name).oldest())

    async def clear(self) -> None:
        await self._store.write(lambda session: Messages(session, self._name).clear())


def _check_keys(partition: str, key: str) -> None:
    check_key(partition)
    check_key(key)
