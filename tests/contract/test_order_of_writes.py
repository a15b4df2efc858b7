"""What ``ports.Storage.in_order`` promises, on every adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable_core.errors import RowExistsError, StorageUnavailableError
from durable_core.storage.ports import Queue, Storage, Table
from durable_core.storage.retrying import Patience, RetryingStorage
from durable_core.storage.sqlite import SqliteStorage


async def keys(table: Table) -> list[str]:
    return [row.key for row in (await table.read_range("p")).rows]


async def test_writes_in_order_are_all_done(storage: Storage, table: Table, queue: Queue) -> None:
    await storage.in_order(
        lambda: table.insert("p", "a", {"n": 1}),
        lambda: table.merge("p", "a", {"n": 2}),
        lambda: queue.send("look"),
    )
    row = await table.get("p", "a")
    assert row is not None and row.props["n"] == 2
    assert [message.body for message in await queue.receive(5)] == ["look"]


async def test_what_comes_after_a_refused_write_is_not_done(storage: Storage, table: Table, queue: Queue) -> None:
    await table.insert("p", "taken", {})
    with pytest.raises(RowExistsError):
        await storage.in_order(
            lambda: table.insert("p", "before", {}),
            lambda: table.insert("p", "taken", {}),
            lambda: table.insert("p", "after", {}),
            lambda: queue.send("look"),
        )
    assert await keys(table) == ["before", "taken"]
    assert await queue.receive(5) == []


class FailsFirst:
    """A table whose first insert fails in passing, before it is done."""

    def __init__(self, inner: Table) -> None:
        self._inner, self.order = inner, list[str]()
        self._has_failed = False

    async def insert(self, key: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            raise StorageUnavailableError("busy")
        await self._inner.insert("p", key, {})
        self.order.append(key)


async def test_a_write_that_is_tried_again_keeps_its_place(storage: Storage, table: Table) -> None:
    patience, shaky = Patience(30.0), FailsFirst(table)

    async def second() -> None:
        await table.insert("p", "second", {})
        shaky.order.append("second")

    await RetryingStorage(storage, patience).in_order(lambda: patience(lambda: shaky.insert("first")), second)
    assert shaky.order == ["first", "second"]


async def test_the_embedded_store_flushes_them_once(tmp_path: Path) -> None:
    store = SqliteStorage(str(tmp_path / "store.db"))
    await store.create(["Rows"], ["messages"])
    table, queue, before = store.table("Rows"), store.queue("messages"), store.flushes
    await store.in_order(
        lambda: table.insert("p", "a", {}), lambda: table.insert("p", "b", {}), lambda: queue.send("look")
    )
    assert store.flushes - before == 1
    await store.close()
