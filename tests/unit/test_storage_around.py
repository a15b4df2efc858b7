"""What wraps a table or a queue sees every operation of it, and knows what it is about."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from typing import TypeVar

import pytest

from durable_core.storage.ports import Delete, Insert, Merge, Queue, Replace, Storage, Table
from durable_core.storage.sqlite import SqliteStorage
from durable_core.storage.wrapper import AroundQueue, AroundTable, Call, QueueCall, TableCall

T = TypeVar("T")


class SeenTable(AroundTable):
    def __init__(self, inner: Table) -> None:
        super().__init__(inner)
        self.seen: list[TableCall] = []

    async def _around(self, call: Call[T]) -> T:
        self.seen.append(TableCall.of(call))
        return await call()


class SeenQueue(AroundQueue):
    def __init__(self, inner: Queue) -> None:
        super().__init__(inner)
        self.seen: list[QueueCall] = []

    async def _around(self, call: Call[T]) -> T:
        self.seen.append(QueueCall.of(call))
        return await call()


@pytest.fixture
async def store() -> AsyncGenerator[Storage]:
    store = SqliteStorage(":memory:")
    await store.create(["aTable"], ["a-queue"])
    yield store
    await store.close()


def _methods(port: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(port, inspect.iscoroutinefunction)}


async def test_every_operation_of_a_table_says_what_it_is_about(store: Storage) -> None:
    table = SeenTable(store.table("aTable"))
    first = await table.insert("p", "k", {"x": 1})
    second = await table.merge("p", "k", {"y": 2}, first)
    await table.replace("p", "k", {"z": 3}, second)
    row = await table.get("p", "k", ["z"])
    assert row is not None and row.props == {"z": 3}
    assert [each.key for each in (await table.read_range("p", "a", "z", select=["z"], limit=1)).rows] == ["k"]
    await table.delete("p", "k")
    both = [Insert("a", {}), Insert("b", {})]
    await table.transact("p", both)

    seen = {each.verb: each for each in table.seen}
    assert seen.keys() == _methods(Table)
    assert {each.partition for each in table.seen} == {"p"}
    assert {verb: (what.key, list(what.operations), what.is_read) for verb, what in seen.items()} == {
        "insert": ("k", [Insert("k", {"x": 1})], False),
        "merge": ("k", [Merge("k", {"y": 2}, first)], False),
        "replace": ("k", [Replace("k", {"z": 3}, second)], False),
        "get": ("k", [], True),
        "read_range": ("a", [], True),
        "delete": ("k", [Delete("k")], False),
        "transact": ("", both, False),
    }


async def test_every_operation_of_a_queue_says_what_it_is_about(store: Storage) -> None:
    queue = SeenQueue(store.queue("a-queue"))
    await queue.send("body")
    [message] = await queue.receive()
    await queue.delete(await queue.extend(message, 30.0))
    assert await queue.count() == 0
    assert await queue.oldest() is None
    await queue.clear()

    assert {each.verb for each in queue.seen} == _methods(Queue)
    assert [(each.verb, each.body) for each in queue.seen if each.body] == [("send", "body")]
