"""A storage that remembers everything that was ever written through it, to look for what must not be there."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeVar

from durable_core.storage.ports import Delete, Queue, Storage, Table
from durable_core.storage.wrapper import AroundQueue, AroundStorage, AroundTable, Call, QueueCall, TableCall

T = TypeVar("T")

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")


class RecordingStorage(AroundStorage):
    """Passes all on to another storage. ``written``: every place and value, in order."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.written: list[tuple[str, str | bytes]] = []

    def table(self, name: str) -> Table:
        return _RecordingTable(self._inner.table(name), self.written)

    def queue(self, name: str) -> Queue:
        return _RecordingQueue(self._inner.queue(name), self.written)

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


class _RecordingTable(AroundTable):
    def __init__(self, inner: Table, written: list[tuple[str, str | bytes]]) -> None:
        super().__init__(inner)
        self._written = written

    async def _around(self, call: Call[T]) -> T:
        what = TableCall.of(call)
        for each in what.operations:
            if not isinstance(each, Delete):
                self._written += [(self.name, what.partition), (self.name, each.key)]
                self._written += [(f"{self.name}.{k}", v) for k, v in each.props.items() if isinstance(v, str | bytes)]
        return await call()


class _RecordingQueue(AroundQueue):
    def __init__(self, inner: Queue, written: list[tuple[str, str | bytes]]) -> None:
        super().__init__(inner)
        self._written = written

    async def _around(self, call: Call[T]) -> T:
        what = QueueCall.of(call)
        if what.verb == "send":
            self._written.append((self.name, what.body))
        return await call()
