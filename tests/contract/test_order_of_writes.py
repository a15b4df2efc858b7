"""What ``ports.Storage.in_order`` promises, on every adapter."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from durable_core.errors import LimitExceededError, RowExistsError, StorageUnavailableError
from durable_core.storage.ports import Queue, Storage, Table, Write
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


async def test_a_write_that_begins_with_something_else_is_not_overtaken(storage: Storage, table: Table) -> None:
    order: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(0.01)
        await table.insert("p", "first", {})
        order.append("first")

    async def quick() -> None:
        await table.insert("p", "second", {})
        order.append("second")

    await storage.in_order(slow, quick)
    assert order == ["first", "second"]


async def test_who_gives_up_waiting_leaves_nothing_behind(tmp_path: Path) -> None:
    """The writes may be done or not, in order; the store goes on, and nobody is told of an error twice."""
    store = SqliteStorage(str(tmp_path / "store.db"))
    await store.create(["Rows"], [])
    table = store.table("Rows")
    for number in range(20):
        waiting = asyncio.create_task(
            store.in_order(
                *[partial(table.insert, "p", key, {}) for key in (f"a{number:02}", f"b{number:02}", f"c{number:02}")]
            )
        )
        for _ in range(number % 3):  # on a quick disk the third iteration of the loop has the answer
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await table.insert("p", "last", {})
    found = await keys(table)
    assert found[-1] == "last"
    for number in range(20):
        done = [key[0] for key in found if key.endswith(f"{number:02}")]
        assert done == ["a", "b", "c"][: len(done)]
    await store.close()


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_what_comes_after_a_write_that_is_refused_before_it_begins_is_not_done(
    storage: Storage, table: Table, queue: Queue, at: int
) -> None:
    """A key or a body that the store does not take is refused by the call itself, and not by an operation."""
    writes: list[Write] = [partial(table.insert, "p", f"k{number}", {}) for number in range(3)]
    writes[at] = partial(table.insert, "p", "x" * 600, {})
    with pytest.raises(LimitExceededError):
        await storage.in_order(*writes, partial(queue.send, "look"))
    assert await keys(table) == [f"k{number}" for number in range(at)]
    assert await queue.receive(5) == []


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt(), asyncio.CancelledError()], ids=repr)
async def test_what_comes_after_a_write_that_raises_anything_is_not_done(tmp_path: Path, error: BaseException) -> None:
    async def raises() -> None:
        raise error

    async def raises_later() -> None:
        await asyncio.sleep(0)
        raise error

    store = SqliteStorage(str(tmp_path / "s.db"))
    await store.create(["things"], [])
    table = store.table("things")
    for broken in (raises, raises_later):
        with pytest.raises(type(error)):
            await store.in_order(
                partial(table.insert, "p", broken.__name__, {}), broken, partial(table.insert, "p", "z", {})
            )
    assert await keys(table) == ["raises", "raises_later"]
    await store.close()
