"""A storage that remembers everything that was ever written through it, to look for what must not be there."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from durable_core.storage.ports import (
    Delete,
    Operation,
    Props,
    Queue,
    QueueMessage,
    Row,
    RowRange,
    Storage,
    Table,
    Write,
)

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


class RecordingStorage:
    """Passes all on to another storage. ``written``: every place and value, in order."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner
        self.written: list[tuple[str, str | bytes]] = []

    def table(self, name: str) -> Table:
        return _RecordingTable(self._inner.table(name), self.written)

    def queue(self, name: str) -> Queue:
        return _RecordingQueue(self._inner.queue(name), self.written)

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

    def places_of(self, marker: str) -> set[str]:
        """Where this text was written: as it is, escaped, compressed, in base64, or several of these."""
        return {place for place, value in self.written if any(marker in text for text in _texts(value))}


def _texts(value: str | bytes, depth: int = 0) -> Iterator[str]:
    """Every reading of a value that needs no key."""
    if depth > 5:
        return
    if isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
        with suppress(zlib.error):
            yield from _texts(zlib.decompress(value), depth + 1)
        value = value.decode("ascii", "ignore")
    yield value
    try:
        found: Any = json.loads(value)
    except ValueError:
        found = None
    if isinstance(found, str):
        yield from _texts(found, depth + 1)
    if found is not None and "\\" in value:
        yield json.dumps(found, ensure_ascii=False)
    for encoded in _BASE64.findall(value):
        for decode in (base64.b64decode, base64.urlsafe_b64decode):
            try:
                data = decode(encoded + "=" * (-len(encoded) % 4))
            except binascii.Error:
                continue
            yield from _texts(data, depth + 1)


class _RecordingTable:
    def __init__(self, inner: Table, written: list[tuple[str, str | bytes]]) -> None:
        self._inner = inner
        self._written = written

    @property
    def name(self) -> str:
        return self._inner.name

    def _note(self, partition: str, key: str, props: Props) -> None:
        self._written += [(self.name, partition), (self.name, key)]
        self._written += [(f"{self.name}.{name}", v) for name, v in props.items() if isinstance(v, str | bytes)]

    async def insert(self, partition: str, key: str, props: Props) -> str:
        self._note(partition, key, props)
        return await self._inner.insert(partition, key, props)

    async def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        self._note(partition, key, props)
        return await self._inner.merge(partition, key, props, etag)

    async def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        self._note(partition, key, props)
        return await self._inner.replace(partition, key, props, etag)

    async def delete(self, partition: str, key: str, etag: str | None = None) -> None:
        await self._inner.delete(partition, key, etag)

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
        for operation in operations:
            if not isinstance(operation, Delete):
                self._note(partition, operation.key, operation.props)
        return await self._inner.transact(partition, operations)


class _RecordingQueue:
    def __init__(self, inner: Queue, written: list[tuple[str, str | bytes]]) -> None:
        self._inner = inner
        self._written = written

    @property
    def name(self) -> str:
        return self._inner.name

    async def send(self, body: str, delay: float = 0.0) -> None:
        self._written.append((self.name, body))
        await self._inner.send(body, delay)

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        return await self._inner.receive(max_messages, lease)

    async def extend(self, message: QueueMessage, lease: float) -> QueueMessage:
        return await self._inner.extend(message, lease)

    async def delete(self, message: QueueMessage) -> None:
        await self._inner.delete(message)

    async def count(self) -> int:
        return await self._inner.count()

    async def clear(self) -> None:
        await self._inner.clear()
