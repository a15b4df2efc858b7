"""What ``ports.Table.transact`` promises, on every adapter."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from durable_core.errors import (
    LimitExceededError,
    PreconditionFailedError,
    RowExistsError,
    RowNotFoundError,
    StorageError,
)
from durable_core.storage.ports import Delete, Insert, Merge, Operation, Replace, Table


async def contents(table: Table) -> dict[str, dict[str, object]]:
    return {row.key: dict(row.props) for row in (await table.read_range("p")).rows}


async def test_all_operations_of_a_transaction_are_done(table: Table) -> None:
    for key in ("merged", "replaced", "deleted"):
        await table.insert("p", key, {"old": True})
    etags = await table.transact(
        "p",
        [
            Insert("inserted", {"n": 1}),
            Merge("merged", {"n": 2}),
            Replace("replaced", {"n": 3}),
            Delete("deleted"),
        ],
    )
    assert await contents(table) == {"inserted": {"n": 1}, "merged": {"old": True, "n": 2}, "replaced": {"n": 3}}
    assert etags[3] is None
    rows = (await table.read_range("p")).rows
    assert [row.etag for row in rows] == etags[:3]


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        (Insert("there", {}), RowExistsError),
        (Merge("missing", {}), RowNotFoundError),
        (Replace("missing", {}), RowNotFoundError),
        (Delete("missing"), RowNotFoundError),
    ],
)
async def test_one_refusal_undoes_the_whole_transaction(
    table: Table, failing: Operation, error: type[StorageError]
) -> None:
    await table.insert("p", "there", {"a": 1})
    before = await table.get("p", "there")
    operations: Sequence[Operation] = [Insert("first", {}), failing, Insert("last", {})]
    with pytest.raises(error):
        await table.transact("p", operations)
    assert await contents(table) == {"there": {"a": 1}}
    after = await table.get("p", "there")
    assert before == after


@pytest.mark.parametrize("kind", ["merge", "replace", "delete"])
async def test_a_stale_etag_undoes_the_whole_transaction(table: Table, kind: str) -> None:
    stale = await table.insert("p", "k", {"n": 1})
    await table.merge("p", "k", {"n": 2})
    guarded: dict[str, Operation] = {
        "merge": Merge("k", {"n": 3}, stale),
        "replace": Replace("k", {"n": 3}, stale),
        "delete": Delete("k", stale),
    }
    with pytest.raises(PreconditionFailedError):
        await table.transact("p", [Insert("new", {}), guarded[kind]])
    assert await contents(table) == {"k": {"n": 2}}


async def test_a_transaction_guarded_by_a_fresh_etag_is_done(table: Table) -> None:
    etag = await table.insert("p", "k", {"n": 1})
    await table.transact("p", [Replace("k", {"n": 2}, etag), Insert("chunk", {"n": 1})])
    assert await contents(table) == {"k": {"n": 2}, "chunk": {"n": 1}}


async def test_a_hundred_rows_fit_and_one_more_does_not(table: Table) -> None:
    operations = [Insert(f"k{n:03}", {"n": n}) for n in range(101)]
    with pytest.raises(LimitExceededError, match="100"):
        await table.transact("p", operations)
    assert len(await table.transact("p", operations[:100])) == 100
    assert len(await contents(table)) == 100


async def test_a_transaction_over_4_mib_is_refused_and_one_below_is_not(table: Table) -> None:
    def rows(count: int) -> list[Operation]:
        # 15 properties of 64,000 bytes; base64 makes 85,336 of each
        return [Insert(f"k{n}", {f"b{i}": b"\x00" * 64_000 for i in range(15)}) for n in range(count)]

    with pytest.raises(LimitExceededError, match=r"4,194,304"):
        await table.transact("p", rows(4))
    await table.transact("p", rows(3))
    assert len((await table.read_range("p", select=["b0"])).rows) == 3


async def test_a_key_may_occur_once_in_a_transaction(table: Table) -> None:
    with pytest.raises(LimitExceededError, match="twice"):
        await table.transact("p", [Insert("k", {}), Merge("k", {"a": 1})])
    assert await contents(table) == {}


async def test_an_empty_transaction_is_refused(table: Table) -> None:
    with pytest.raises(LimitExceededError):
        await table.transact("p", [])
