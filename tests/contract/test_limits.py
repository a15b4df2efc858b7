"""Azure's limits: every adapter refuses what Azure would refuse, and takes what it would take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from durable_core.errors import LimitExceededError
from durable_core.storage.ports import Insert, Queue, Storage, Table

KIB = 1024


@pytest.mark.parametrize("bad", ["a/b", "a\\b", "a#b", "a?b", "a\x00", "\x1fa", "a\x7f", "a\x9fb", "a\nb", "\ud800"])
async def test_a_key_with_a_forbidden_character_is_refused(table: Table, bad: str) -> None:
    calls = [
        lambda: table.insert(bad, "k", {}),
        lambda: table.insert("p", bad, {}),
        lambda: table.merge("p", bad, {}),
        lambda: table.replace("p", bad, {}),
        lambda: table.delete("p", bad),
        lambda: table.get(bad, "k"),
        lambda: table.read_range(bad),
        lambda: table.transact("p", [Insert(bad, {})]),
        lambda: table.transact(bad, [Insert("k", {})]),
    ]
    for call in calls:
        with pytest.raises(LimitExceededError):
            await call()


async def test_a_key_of_512_characters_fits_and_one_more_does_not(table: Table) -> None:
    await table.insert("p", "k" * 512, {})
    assert await table.get("p", "k" * 512) is not None
    with pytest.raises(LimitExceededError, match="512"):
        await table.insert("p", "k" * 513, {})


@pytest.mark.parametrize(
    ("fits", "more"),
    [
        ("x" * 32 * KIB, "x" * (32 * KIB + 1)),
        ("é" * 32 * KIB, "é" * (32 * KIB + 1)),
        ("🚚" * 16 * KIB, "🚚" * 16 * KIB + "x"),
        (b"\xff" * 64 * KIB, b"\xff" * (64 * KIB + 1)),
    ],
    ids=["ascii", "two bytes of UTF-8", "surrogate pairs", "binary"],
)
async def test_a_property_of_64_kib_fits_and_one_character_more_does_not(
    table: Table, fits: str | bytes, more: str | bytes
) -> None:
    await table.insert("p", "k", {"a": fits})
    row = await table.get("p", "k")
    assert row is not None
    assert row.props == {"a": fits}
    with pytest.raises(LimitExceededError, match="65,536"):
        await table.merge("p", "k", {"a": more})


async def test_252_properties_fit_and_one_more_does_not(table: Table) -> None:
    props = {f"p{n}": n for n in range(252)}
    await table.insert("p", "k", props)
    with pytest.raises(LimitExceededError, match="252"):
        await table.replace("p", "k", {**props, "more": 1})


async def test_a_row_over_1_mib_is_refused(table: Table) -> None:
    props = {f"b{n}": b"\x00" * 65_000 for n in range(17)}
    with pytest.raises(LimitExceededError, match="1,048,576"):
        await table.insert("p", "k", props)
    props.popitem()
    await table.insert("p", "k", props)


# Only the service knows the row that a merge meets, and Azurite does not look at its size.
async def test_a_merge_that_would_grow_a_row_over_1_mib_is_refused(table: Table, adapter: str) -> None:
    if adapter.startswith("azurite"):
        pytest.skip("Azurite lets a row grow over 1 MiB by merges; Azure refuses it itself")
    await table.insert("p", "k", {f"b{n}": b"\x00" * 65_000 for n in range(16)})
    with pytest.raises(LimitExceededError, match="1,048,576"):
        await table.merge("p", "k", {"more": b"\x00" * 65_000})
    await table.merge("p", "k", {"b0": b"\x01" * 65_000})  # replaces one: the row does not grow
    row = await table.get("p", "k")
    assert row is not None
    assert "more" not in row.props
    assert row.props["b0"] == b"\x01" * 65_000


async def test_a_merge_that_would_make_253_properties_is_refused(table: Table, adapter: str) -> None:
    if adapter.startswith("azurite"):
        pytest.skip("Azurite lets a row have more properties by merges; Azure refuses it itself")
    await table.insert("p", "k", {f"p{n}": n for n in range(251)})
    for n in range(5):
        await table.merge("p", "k", {"p0": n})
    await table.merge("p", "k", {"last": 1})
    with pytest.raises(LimitExceededError, match="252"):
        await table.merge("p", "k", {"more": 1})


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a.b", "a b", "PartitionKey", "RowKey", "Timestamp", "n" * 256])
async def test_a_property_name_that_azure_refuses_is_refused(table: Table, name: str) -> None:
    with pytest.raises(LimitExceededError):
        await table.insert("p", "k", {name: 1})


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, datetime(2024, 1, 1), datetime(1600, 1, 1, tzinfo=UTC), None, [1]]
)
async def test_a_value_that_azure_cannot_hold_is_refused(table: Table, value: Any) -> None:
    with pytest.raises(LimitExceededError):
        await table.insert("p", "k", {"a": value})
    assert await table.get("p", "k") is None


@pytest.mark.parametrize("name", ["", "ab", "1abc", "a-bc", "a_bc", "a" * 64, "tables", "Tables"])
async def test_a_table_name_that_azure_refuses_is_refused(storage: Storage, name: str) -> None:
    with pytest.raises(LimitExceededError):
        storage.table(name)
    with pytest.raises(LimitExceededError):
        await storage.create([name], [])


@pytest.mark.parametrize("name", ["", "ab", "Abc", "a_bc", "-abc", "abc-", "a--bc", "a" * 64, "abc\n"])
async def test_a_queue_name_that_azure_refuses_is_refused(storage: Storage, name: str) -> None:
    with pytest.raises(LimitExceededError):
        storage.queue(name)
    with pytest.raises(LimitExceededError):
        await storage.create([], [name])


@pytest.mark.parametrize("character", ["x", "é", "🚚"])
async def test_a_message_of_48_kib_fits_and_one_byte_more_does_not(queue: Queue, character: str) -> None:
    body = character * (48 * KIB // len(character.encode()))
    await queue.send(body)
    with pytest.raises(LimitExceededError, match="49,152"):
        await queue.send(body + "x")
    (message,) = await queue.receive()
    assert message.body == body


async def test_a_delay_of_seven_days_fits_and_a_longer_one_does_not(queue: Queue) -> None:
    week = 7 * 24 * 3600
    await queue.send("later", delay=week)
    for delay in (week + 1, -1):
        with pytest.raises(LimitExceededError):
            await queue.send("never", delay=delay)
    assert await queue.count() == 1


async def test_a_receive_takes_1_to_32_messages(queue: Queue) -> None:
    for wrong in (0, 33):
        with pytest.raises(LimitExceededError, match="32"):
            await queue.receive(wrong)
    for wrong in (0, -1, 7 * 24 * 3600 + 1):
        with pytest.raises(LimitExceededError, match="lease"):
            await queue.receive(1, wrong)


async def test_half_a_surrogate_pair_is_refused_everywhere(table: Table, queue: Queue) -> None:
    with pytest.raises(LimitExceededError):
        await table.insert("p", "k", {"a": "\udc00"})
    with pytest.raises(LimitExceededError):
        await queue.send("\udc00")
