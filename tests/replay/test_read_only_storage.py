"""What the verbs open a live hub with lets reads through, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from durable_core.errors import StorageError
from durable_core.storage.ports import Insert, Queue, QueueMessage, Storage, Table
from durable_core.storage.read_only import ReadOnlyStorage
from durable_core.storage.sqlite import SqliteStorage

MESSAGE = QueueMessage("1", "body", "receipt", 1, datetime(2031, 1, 1, tzinfo=UTC))
WRITES: dict[str, Callable[[Storage, Table, Queue], Awaitable[object]]] = {
    "create": lambda storage, _table, _queue: storage.create(["aTable"], []),
    "free leases": lambda storage, _table, _queue: storage.free_leases(["a-queue"]),
    "insert": lambda _storage, table, _queue: table.insert("p", "new", {}),
    "merge": lambda _storage, table, _queue: table.merge("p", "k", {"x": 2}),
    "replace": lambda _storage, table, _queue: table.replace("p", "k", {"x": 2}),
    "delete": lambda _storage, table, _queue: table.delete("p", "k"),
    "transact": lambda _storage, table, _queue: table.transact("p", [Insert("new", {})]),
    "send": lambda _storage, _table, queue: queue.send("body"),
    "receive": lambda _storage, _table, queue: queue.receive(),
    "extend": lambda _storage, _table, queue: queue.extend(MESSAGE, 1.0),
    "delete a message": lambda _storage, _table, queue: queue.delete(MESSAGE),
    "clear": lambda _storage, _table, queue: queue.clear(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_a_write_is_refused_and_changes_nothing(
    write: Callable[[Storage, Table, Queue], Awaitable[object]],
) -> None:
    inner = SqliteStorage(":memory:")
    await inner.create(["aTable"], ["a-queue"])
    await inner.table("aTable").insert("p", "k", {"x": 1})
    await inner.queue("a-queue").send("body")
    storage = ReadOnlyStorage(inner)
    table, queue = storage.table("aTable"), storage.queue("a-queue")

    with pytest.raises(StorageError, match="read-only"):
        await write(storage, table, queue)

    row = await table.get("p", "k")
    assert row is not None and row.props == {"x": 1}
    assert [each.key for each in (await table.read_range("p")).rows] == ["k"]
    assert await queue.count() == 1
    await storage.close()
