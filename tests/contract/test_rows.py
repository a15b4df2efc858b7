"""What ``ports.Table`` promises about rows, on every adapter."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from durable_core.errors import PreconditionFailedError, RowExistsError, RowNotFoundError
from durable_core.storage.ports import Merge, Row, Storage, Table, Value

VALUES: dict[str, Value] = {
    "text": "Grüße, 世界, 🚚, 'quoted' \"twice\" <&> \\ \n\t end",
    "empty": "",
    "small": 7,
    "negative": -3,
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "fraction": 0.1,
    "whole_fraction": 2.0,
    "huge": sys.float_info.max,
    "yes": True,
    "no": False,
    "binary": bytes(range(256)),
    "no_bytes": b"",
    "time": datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC),
}


async def read(table: Table, key: str = "k", partition: str = "p") -> Row:
    row = await table.get(partition, key)
    assert row is not None
    return row


async def test_every_type_comes_back_as_it_was(table: Table) -> None:
    await table.insert("p", "k", VALUES)
    found = (await read(table)).props
    assert found == VALUES
    assert {name: type(value) for name, value in found.items()} == {name: type(v) for name, v in VALUES.items()}
    assert [dict(row.props) for row in (await table.read_range("p")).rows] == [VALUES]


async def test_a_time_of_another_zone_comes_back_as_the_same_instant(table: Table) -> None:
    there = datetime(2024, 6, 1, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    await table.insert("p", "k", {"at": there})
    found = (await read(table)).props["at"]
    assert found == there
    assert isinstance(found, datetime)
    assert found.utcoffset() == timedelta(0)


async def test_a_merge_keeps_what_it_does_not_name(table: Table) -> None:
    await table.insert("p", "k", {"a": 1, "b": "old"})
    await table.merge("p", "k", {"b": "new", "c": b"\x00"})
    assert (await read(table)).props == {"a": 1, "b": "new", "c": b"\x00"}


async def test_a_merge_may_change_the_type_of_a_property(table: Table) -> None:
    await table.insert("p", "k", {"a": 1})
    await table.merge("p", "k", {"a": "one"})
    assert (await read(table)).props == {"a": "one"}


async def test_a_replace_leaves_nothing_of_the_old_row(table: Table) -> None:
    await table.insert("p", "k", {"a": 1, "b": 2})
    await table.merge("p", "k", {"c": 3})
    await table.replace("p", "k", {"d": 4})
    assert (await read(table)).props == {"d": 4}


async def test_a_row_may_have_no_properties(table: Table) -> None:
    await table.insert("p", "k", {})
    assert (await read(table)).props == {}
    first = (await read(table)).etag
    await table.merge("p", "k", {})
    assert (await read(table)).etag != first


async def test_an_insert_never_overwrites(table: Table) -> None:
    await table.insert("p", "k", {"a": 1})
    with pytest.raises(RowExistsError):
        await table.insert("p", "k", {"a": 2})
    assert (await read(table)).props == {"a": 1}


async def test_a_missing_row_is_told_apart(table: Table) -> None:
    assert await table.get("p", "k") is None
    assert (await table.read_range("p")).rows == []
    for write in (table.merge("p", "k", {"a": 1}), table.replace("p", "k", {"a": 1}), table.delete("p", "k")):
        with pytest.raises(RowNotFoundError):
            await write


async def test_a_table_that_was_never_created_holds_no_rows(storage: Storage, prefix: str) -> None:
    table = storage.table(f"{prefix}Missing")
    calls = (
        table.insert("p", "k", {}),
        table.merge("p", "k", {}),
        table.delete("p", "k"),
        table.get("p", "k"),
        table.read_range("p"),
    )
    for call in calls:
        with pytest.raises(RowNotFoundError):
            await call


async def test_creating_twice_keeps_what_is_there(storage: Storage, table: Table) -> None:
    await table.insert("p", "k", {"a": 1})
    await storage.create([table.name], [])
    assert (await read(table)).props == {"a": 1}


async def test_a_stale_etag_writes_nothing(table: Table) -> None:
    stale = await table.insert("p", "k", {"a": 1})
    fresh = await table.merge("p", "k", {"a": 2}, stale)
    for write in (
        table.merge("p", "k", {"a": 3}, stale),
        table.replace("p", "k", {"a": 3}, stale),
        table.delete("p", "k", stale),
    ):
        with pytest.raises(PreconditionFailedError):
            await write
    row = await read(table)
    assert (row.props, row.etag) == ({"a": 2}, fresh)
    await table.delete("p", "k", fresh)
    assert await table.get("p", "k") is None


async def test_a_write_returns_the_etag_that_a_read_gives(table: Table) -> None:
    written = [await table.insert("p", "k", {"a": 1})]
    seen = [(await read(table)).etag]
    for call in (table.merge, table.replace):
        written.append(await call("p", "k", {"a": 2}))
        seen.append((await table.read_range("p", select=["a"])).rows[0].etag)
    written += [etag for etag in await table.transact("p", _merge_of("k")) if etag is not None]
    selected = await table.get("p", "k", select=["a"])
    assert selected is not None
    seen.append(selected.etag)
    assert written == seen
    assert len(set(seen)) == len(seen)


async def test_an_etag_is_never_used_again_for_its_key(table: Table) -> None:
    etags: list[str] = []
    for _ in range(3):
        etags.append(await table.insert("p", "k", {"a": 1}))
        etags.append(await table.merge("p", "k", {"a": 1}))
        await table.delete("p", "k")
    assert len(set(etags)) == len(etags)
    await table.insert("p", "k", {})
    with pytest.raises(PreconditionFailedError):
        await table.merge("p", "k", {"a": 9}, etags[0])


async def test_of_many_writers_with_one_etag_exactly_one_wins(table: Table) -> None:
    etag = await table.insert("p", "k", {"n": 0})
    results = await asyncio.gather(
        *(table.merge("p", "k", {"n": n}, etag) for n in range(1, 9)), return_exceptions=True
    )
    assert sum(isinstance(each, str) for each in results) == 1
    assert sum(isinstance(each, PreconditionFailedError) for each in results) == 7


async def test_timestamps_never_run_backwards_along_a_partition(table: Table) -> None:
    for n in range(5):
        await table.insert("p", f"k{n}", {})
    await table.merge("p", "k0", {"late": True})
    stamps = {row.key: row.timestamp for row in (await table.read_range("p")).rows}
    in_order = [stamps[key] for key in ("k1", "k2", "k3", "k4", "k0")]
    assert in_order == sorted(in_order)
    assert all(stamp.utcoffset() == timedelta(0) for stamp in in_order)


KEYS = ["", "A", "Z", "a", "a b", "a%20b", "a'b", "a+b", "a=b&c", "a@b", "ab", "é", "世"]


async def test_a_range_comes_in_ordinal_order_of_key(table: Table) -> None:
    keys = [key for key in KEYS if key]
    for key in reversed(keys):
        await table.insert("p", key, {"key": key})
    assert [row.key for row in (await table.read_range("p")).rows] == sorted(keys)
    for key in keys:
        assert (await read(table, key)).props == {"key": key}


@pytest.mark.parametrize("partition", ["it's", "50%", "a b+c", "Ünïcödé", "id=1&x"])
async def test_a_partition_may_have_any_allowed_name(table: Table, partition: str) -> None:
    etag = await table.insert(partition, "k", {"a": 1})
    await table.merge(partition, "k", {"b": 2}, etag)
    await table.transact(partition, _merge_of("k"))
    (row,) = (await table.read_range(partition)).rows
    assert (row.partition, row.props) == (partition, {"a": 1, "b": 2, "n": 1})
    await table.delete(partition, "k")


async def test_a_range_includes_its_low_end_and_excludes_its_high_end(table: Table) -> None:
    for key in ("a", "b", "c", "d"):
        await table.insert("p", key, {})
    await table.insert("q", "b", {})

    async def keys(low: str = "", high: str | None = None, limit: int | None = None) -> list[str]:
        return [row.key for row in (await table.read_range("p", low, high, limit=limit)).rows]

    assert await keys() == ["a", "b", "c", "d"]
    assert await keys("b", "d") == ["b", "c"]
    assert await keys("bb") == ["c", "d"]
    assert await keys("", "b") == ["a"]
    assert await keys("d", "b") == []
    assert await keys("b", limit=2) == ["b", "c"]
    assert await keys(limit=4) == ["a", "b", "c", "d"]


async def test_a_selection_leaves_out_the_rest_and_what_is_missing(table: Table) -> None:
    etag = await table.insert("p", "k", {"a": 1, "b": 2})
    row = await table.get("p", "k", select=["a", "missing"])
    assert row is not None
    assert (row.partition, row.key, row.props, row.etag) == ("p", "k", {"a": 1}, etag)
    (again,) = (await table.read_range("p", select=["b"])).rows
    assert (again.key, again.props, again.etag) == ("k", {"b": 2}, etag)


async def test_many_merges_fold_into_one_row(storage: Storage, table: Table, adapter: str) -> None:
    count = 60 if adapter.startswith("azurite") else 450  # past two folds of the embedded store
    await table.insert("p", "k", {"base": "kept"})
    for n in range(count):
        await table.merge("p", "k", {f"s{n % 100}": n, "last": n})
    row = await read(table)
    assert row.props["base"] == "kept"
    assert row.props["last"] == count - 1
    latest = range(max(0, count - 100), count)
    assert [row.props[f"s{n % 100}"] for n in latest] == list(latest)


def _merge_of(key: str) -> list[Merge]:
    return [Merge(key, {"n": 1})]
