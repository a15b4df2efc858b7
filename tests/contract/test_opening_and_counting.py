"""The operation counter, and the choice of an adapter."""

from __future__ import annotations

import subprocess
import sys

import pytest

from durable_core.errors import ConfigurationError, LimitExceededError, RowExistsError, StorageUnavailableError
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage
from durable_core.storage.open import open_storage
from durable_core.storage.ports import Insert, Merge
from durable_core.storage.sqlite import SqliteStorage


async def test_operations_are_counted_by_kind_name_and_partition() -> None:
    storage = CountingStorage(SqliteStorage(":memory:"))
    await storage.create(["Rows"], ["messages"])
    table, queue = storage.table("Rows"), storage.queue("messages")
    assert storage.counts.total == 0

    await table.insert("p", "k", {"a": b"1234"})
    await table.transact("q", [Insert("a", {}), Insert("b", {})])
    before = storage.counts
    await table.merge("p", "k", {"b": b"\x00" * 1000})
    await table.read_range("p")
    await queue.receive()
    await queue.send("12345")
    await queue.send("67890")
    for message in await queue.receive(32):
        await queue.delete(message)

    used = storage.counts - before
    assert (before.total, used.total) == (2, 8)
    assert used["table.merge"] == 1
    assert used["queue.receive"] == 2
    assert used.idle_polls == 1
    assert used.by_name == {"Rows": 2, "messages": 7}
    assert used.bytes_written == 1000 + 14 + 10
    assert used.largest is not None
    assert used.largest.kind == "table.merge"
    assert "8 operations" in str(used)
    await storage.close()


async def test_a_refused_request_counts_and_one_that_was_never_sent_does_not() -> None:
    storage = CountingStorage(SqliteStorage(":memory:"))
    await storage.create(["Rows"], [])
    table = storage.table("Rows")
    await table.insert("p", "k", {})
    with pytest.raises(RowExistsError):
        await table.insert("p", "k", {})
    with pytest.raises(LimitExceededError):
        await table.transact("p", [Merge("a/b", {})])
    assert (storage.counts.total, storage.counts.failed) == (2, 1)
    storage.reset()
    assert storage.counts.total == 0
    await storage.close()


def test_the_embedded_store_loads_no_azure_sdk_and_the_package_loads_neither() -> None:
    code = (
        "import sys, durable_core; assert 'sqlite3' not in sys.modules;"
        "from durable_core.settings import Settings; from durable_core.storage.open import open_storage;"
        "assert 'sqlite3' not in sys.modules; open_storage(Settings(store=':memory:'));"
        "assert 'sqlite3' in sys.modules; assert not {'azure', 'aiohttp'} & {m.split('.')[0] for m in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "connection",
    [
        {"": "nonsense"},
        {"": "AccountName=only"},
        {"credential": "managedidentity"},
        {"tableServiceUri": "https://a.b"},
        {"tableServiceUri": "http://a.b", "queueServiceUri": "http://a.b"},
    ],
)
def test_an_unusable_connection_is_refused_before_the_first_call(connection: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="AzureWebJobsStorage"):
        open_storage(Settings(connection=connection))


async def test_an_unreachable_account_is_unavailable() -> None:
    closed = "http://127.0.0.1:1/devstoreaccount1"
    storage = open_storage(
        Settings(
            connection={
                "": f"AccountName=devstoreaccount1;AccountKey=AAAA;TableEndpoint={closed};QueueEndpoint={closed};"
            }
        )
    )
    for call in (
        storage.table("Rows").get("p", "k"),
        storage.table("Rows").insert("p", "k", {}),
        storage.table("Rows").transact("p", [Insert("k", {})]),
        storage.table("Rows").read_range("p"),
        storage.queue("messages").send("x"),
        storage.queue("messages").receive(),
    ):
        with pytest.raises(StorageUnavailableError):
            await call
    await storage.close()
