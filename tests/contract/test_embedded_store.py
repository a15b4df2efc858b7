"""What the embedded store promises beyond the ports: durability, group commit, several processes, its clock."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_core.errors import (
    NewerFormatError,
    PreconditionFailedError,
    RowExistsError,
    StorageError,
    StorageUnavailableError,
)
from durable_core.storage.ports import Table
from durable_core.storage.sqlite import SqliteStorage, group_commit, log_file
from durable_core.storage.sqlite.connection import CHECKPOINT_PAGES

from ..support.processes import run_python

START = 1_700_000_000.0

COUNT_UP = """
import asyncio, sys
from durable_core.errors import PreconditionFailedError
from durable_core.storage.sqlite import SqliteStorage

async def main(path, times):
    storage = SqliteStorage(path)
    table = storage.table("Rows")
    for _ in range(times):
        while True:
            row = await table.get("p", "counter")
            try:
                await table.merge("p", "counter", {"n": row.props["n"] + 1}, row.etag)
                break
            except PreconditionFailedError:
                continue
    await storage.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""

WRITE_FOREVER = """
import asyncio, sys
from durable_core.storage.sqlite import SqliteStorage

async def write(storage, worker):
    table, queue = storage.table("Rows"), storage.queue("messages")
    await table.insert("p", f"w{worker}", {"last": -1})
    n = 0
    while True:
        await table.merge("p", f"w{worker}", {"last": n})
        await queue.send(f"{worker} {n}")
        print(worker, n, flush=True)
        n += 1

async def main(path):
    storage = SqliteStorage(path)
    await asyncio.gather(*(write(storage, worker) for worker in range(8)))

asyncio.run(main(sys.argv[1]))
"""


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> float:
        return self.time


def size_of(path: str) -> int:
    return Path(path).stat().st_size


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store.db")


@pytest.fixture
async def store(path: str) -> AsyncIterator[SqliteStorage]:
    storage = SqliteStorage(path)
    await storage.create(["Rows"], ["messages"])
    yield storage
    await storage.close()


async def test_a_new_store_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    store = SqliteStorage(str(tmp_path / "hub" / "durable.db"))
    await store.create(["Rows"], ["letters"])
    await store.queue("letters").send("hello")
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "hub").iterdir()}
    await store.close()
    assert stat.S_IMODE((tmp_path / "hub").stat().st_mode) == 0o700
    assert len(modes) == 3  # the file, its WAL and their shared memory
    assert set(modes.values()) == {0o600}


async def test_what_was_written_is_there_after_closing_and_opening_again(path: str) -> None:
    first = SqliteStorage(path)
    await first.create(["Rows"], ["messages"])
    etag = await first.table("Rows").insert("p", "k", {"a": 1})
    await first.queue("messages").send("kept")
    await first.close()
    second = SqliteStorage(path)
    row = await second.table("Rows").get("p", "k")
    assert row is not None
    assert (row.props, row.etag) == ({"a": 1}, etag)
    assert [message.body for message in await second.queue("messages").receive()] == ["kept"]
    await second.close()


async def test_a_closed_store_says_so(store: SqliteStorage) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StorageError, match="closed"):
        await store.table("Rows").get("p", "k")


async def test_writes_that_wait_are_done_before_the_store_closes(path: str, store: SqliteStorage) -> None:
    table = store.table("Rows")
    writes = [asyncio.ensure_future(table.insert("p", f"k{n}", {})) for n in range(50)]
    await asyncio.sleep(0)  # lets every write reach the store's queue
    await store.close()
    assert len({await write for write in writes}) == 50


def _pragmas(session: Any) -> tuple[object, object]:
    journal = session.con.execute("PRAGMA journal_mode").fetchone()[0]
    return journal, session.con.execute("PRAGMA synchronous").fetchone()[0]


@pytest.mark.parametrize("many", [1, 50], ids=["on the loop", "in the thread"])
async def test_a_commit_is_flushed_to_the_disk_before_it_is_acknowledged(
    path: str, store: SqliteStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """What a power cut would leave is what the files held when they were flushed: each row that was answered is in it.
    Nobody holds the write lock meanwhile: another process can commit."""
    table, flush = store.table("Rows"), log_file._FLUSH  # pyright: ignore[reportPrivateUsage]
    answered, kept, locks = list[str](), list[set[str]](), list[str]()

    def flushed(descriptor: int) -> None:
        for suffix in ("", "-wal"):
            shutil.copy(path + suffix, tmp_path / f"cut.db{suffix}")
        with closing(sqlite3.connect(tmp_path / "cut.db")) as cut:
            kept.append({key for (key,) in cut.execute("SELECT rk FROM entity")})
        assert kept[-1] >= set(answered)
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            locks.append("free")
            other.execute("ROLLBACK")
        flush(descriptor)

    monkeypatch.setattr(log_file, "_FLUSH", flushed)

    async def insert(key: str) -> None:
        await table.insert("p", key, {})
        answered.append(key)
        assert key in kept[-1]

    for turn in range(3):
        await asyncio.gather(*(insert(f"{turn}-{number}") for number in range(many)))
    assert len(answered) == 3 * many and len(locks) == len(kept) >= 3


async def test_a_flush_that_fails_is_told_and_sqlite_flushes_from_then_on(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    table = store.table("Rows")
    await table.insert("p", "before", {})
    assert await store._store.write(_pragmas) == ("wal", 1)  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(log_file, "_FLUSH", fails)
    with pytest.raises(StorageUnavailableError, match="could not be flushed"):
        await table.insert("p", "k", {})
    assert await store._store.write(_pragmas) == ("wal", 2)  # pyright: ignore[reportPrivateUsage]
    assert await table.get("p", "k") is not None, "it was committed, and may survive"


async def test_where_the_log_cannot_be_opened_sqlite_flushes_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    storage = SqliteStorage(path)
    monkeypatch.setattr(group_commit, "LogFile", refused)
    await storage.create(["Rows"], [])
    assert await storage._store.write(_pragmas) == ("wal", 2)  # pyright: ignore[reportPrivateUsage]
    await storage.close()


async def test_a_lease_is_not_flushed_by_itself_and_a_write_beside_it_is(store: SqliteStorage) -> None:
    queue, table = store.queue("messages"), store.table("Rows")
    for number in range(3):
        await queue.send(f"message {number}")
    before, commits = store.flushes, store.commits
    first, second, third = [(await queue.receive())[0] for _ in range(3)]
    await queue.delete(first)
    await queue.extend(second, 60)
    assert (store.flushes - before, store.commits - commits) == (0, 5)
    await asyncio.gather(queue.delete(third), table.insert("p", "k", {}))
    assert store.flushes - before == 1
    await table.merge("p", "k", {"n": 1})
    assert store.flushes - before == 2


async def test_concurrent_writes_share_commits(store: SqliteStorage) -> None:
    table = store.table("Rows")
    before = store.commits
    await asyncio.gather(*(table.insert("p", f"k{n}", {"n": n}) for n in range(1000)))
    assert store.commits - before <= 1000 / 10
    assert len((await table.read_range("p")).rows) == 1000


async def test_writes_of_one_turn_of_the_event_loop_share_one_commit_in_their_order(store: SqliteStorage) -> None:
    table, queue = store.table("Rows"), store.queue("messages")
    await queue.send("the writer is there")
    before = store.commits
    await asyncio.gather(table.insert("p", "k", {"n": 0}), *(table.merge("p", "k", {"n": n}) for n in range(1, 50)))
    row = await table.get("p", "k")
    assert row is not None and row.props["n"] == 49
    assert store.commits == before + 1


async def test_a_read_from_another_thread_is_answered_too(store: SqliteStorage) -> None:
    table = store.table("Rows")
    await table.insert("p", "k", {"n": 1})
    assert (await table.get("p", "k")) is not None  # this thread is now the one that reads at once
    row = await asyncio.to_thread(lambda: asyncio.run(table.get("p", "k")))
    assert row is not None and row.props["n"] == 1


async def test_a_refused_write_harms_none_of_its_batch(store: SqliteStorage) -> None:
    table = store.table("Rows")
    stale = await table.insert("p", "taken", {"n": 0})
    await table.merge("p", "taken", {"n": 1})
    results = await asyncio.gather(
        *(table.insert("p", f"k{n}", {}) for n in range(20)),
        table.insert("p", "taken", {}),
        table.merge("p", "taken", {"n": 2}, stale),
        *(table.insert("q", f"k{n}", {}) for n in range(20)),
        return_exceptions=True,
    )
    assert [type(each) for each in results if not isinstance(each, str)] == [RowExistsError, PreconditionFailedError]
    assert len((await table.read_range("p")).rows) == 21
    assert len((await table.read_range("q")).rows) == 20


async def test_a_defect_in_one_operation_harms_none_of_its_batch(store: SqliteStorage) -> None:
    def broken(session: Any) -> None:
        session.con.execute("DELETE FROM entity")
        raise ZeroDivisionError

    table = store.table("Rows")
    await table.insert("p", "before", {})
    commit = store._store  # pyright: ignore[reportPrivateUsage]
    results = await asyncio.gather(
        table.insert("p", "beside", {}), commit.write(broken), table.insert("p", "after", {}), return_exceptions=True
    )
    assert [type(each) for each in results] == [str, ZeroDivisionError, str]
    assert [row.key for row in (await table.read_range("p")).rows] == ["after", "before", "beside"]


async def test_a_cancelled_caller_disturbs_no_one(store: SqliteStorage) -> None:
    table, woken = store.table("Rows"), asyncio.Event()
    store.on_send("messages", woken.set)
    send = asyncio.ensure_future(store.queue("messages").send("written all the same"))
    write = asyncio.ensure_future(table.insert("p", "k", {}))
    await asyncio.sleep(0)
    for task in (send, write):
        task.cancel()
    for task in (send, write):
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.wait_for(woken.wait(), 10)
    assert await store.queue("messages").count() == 1
    assert await table.get("p", "k") is not None


def test_a_store_serves_event_loops_made_after_it(path: str) -> None:
    storage = SqliteStorage(path)

    async def write(key: str) -> None:
        await storage.create(["Rows"], [])
        await storage.table("Rows").insert("p", key, {})

    asyncio.run(write("first loop"))
    asyncio.run(write("second loop"))

    async def finish() -> list[str]:
        rows = (await storage.table("Rows").read_range("p")).rows
        await storage.close()
        return [row.key for row in rows]

    assert asyncio.run(finish()) == ["first loop", "second loop"]
    assert not [thread for thread in threading.enumerate() if thread.name == "durable-sqlite-writer"]


async def test_an_idle_receive_writes_nothing(path: str, store: SqliteStorage) -> None:
    queue = store.queue("messages")
    await queue.send("hidden", delay=1000)
    before = store.commits
    with _spy(path) as version_of_the_data:
        first = version_of_the_data()
        for _ in range(20):
            assert await queue.receive(32) == []
        assert version_of_the_data() == first
    assert store.commits == before


async def test_reads_do_not_wait_for_a_writer_of_another_process(path: str, store: SqliteStorage) -> None:
    await store.table("Rows").insert("p", "k", {"a": 1})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        row = await asyncio.wait_for(store.table("Rows").get("p", "k"), 5)
        assert row is not None
        assert await asyncio.wait_for(store.queue("messages").receive(), 5) == []
        write = asyncio.ensure_future(store.table("Rows").insert("p", "waits", {}))
        done, _ = await asyncio.wait([write], timeout=0.2)
        assert not done
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert await asyncio.wait_for(write, 20)


async def test_two_processes_lose_no_update_of_one_row(path: str, store: SqliteStorage) -> None:
    table = store.table("Rows")
    await table.insert("p", "counter", {"n": 0})
    processes = [run_python(COUNT_UP, path, "60") for _ in range(2)]
    for process in processes:
        assert await asyncio.to_thread(process.wait) == 0
        process.communicate()
    row = await table.get("p", "counter")
    assert row is not None
    assert row.props["n"] == 120


async def test_a_second_store_on_the_file_leaves_the_log_of_the_first_to_it(path: str, store: SqliteStorage) -> None:
    """A process of another host deletes the log at its end if it takes itself for the last; locks tell it of others."""

    async def count_up_elsewhere() -> None:
        process = run_python(COUNT_UP, path, "1")
        assert await asyncio.to_thread(process.wait) == 0
        process.communicate()

    async def counted() -> Any:
        row = await store.table("Rows").get("p", "counter")
        assert row is not None
        return row.props["n"]

    await store.table("Rows").insert("p", "counter", {"n": 0})
    second = SqliteStorage(path)
    assert await second.table("Rows").get("p", "counter") is not None
    await second.close()
    log = os.stat(f"{path}-wal").st_ino

    await count_up_elsewhere()

    assert os.stat(f"{path}-wal").st_ino == log
    assert await counted() == 1
    await store.table("Rows").merge("p", "counter", {"n": 10})
    await count_up_elsewhere()
    assert await counted() == 11


async def test_a_killed_process_loses_no_acknowledged_write(path: str, store: SqliteStorage) -> None:
    process = run_python(WRITE_FOREVER, path)
    assert process.stdout is not None
    acknowledged: dict[int, int] = {}
    for count, line in enumerate(process.stdout):
        if not line.endswith("\n"):
            break  # cut off by the kill
        worker, n = line.split()
        acknowledged[int(worker)] = int(n)
        if count == 400:
            process.kill()  # SIGKILL, in the middle of its batches; what it had printed is still to be read
    process.wait()
    process.stdout.close()
    table, queue = store.table("Rows"), store.queue("messages")
    for worker, n in acknowledged.items():
        row = await table.get("p", f"w{worker}")
        assert row is not None
        last = row.props["last"]
        assert isinstance(last, int)
        assert last >= n
    bodies: set[str] = set()
    while found := await queue.receive(32, lease=600):
        bodies.update(message.body for message in found)
    assert bodies >= {f"{worker} {n}" for worker, last in acknowledged.items() for n in range(last + 1)}


async def test_a_merge_costs_the_same_however_large_its_row_is(tmp_path: Path) -> None:
    async def bytes_logged(size: int) -> int:
        path = tmp_path / f"{size}.db"
        storage = SqliteStorage(str(path))
        await storage.create(["Rows"], [])
        table = storage.table("Rows")
        await table.insert("p", "k", {f"b{n}": b"\x00" * 1000 for n in range(size)})
        before = os.stat(f"{path}-wal").st_size
        for n in range(50):
            await table.merge("p", "k", {f"s{n}": "x" * 100})
        grown = os.stat(f"{path}-wal").st_size - before
        await storage.close()
        return grown

    small, large = await bytes_logged(1), await bytes_logged(200)
    assert 0 < large <= 2 * small


async def test_delays_and_leases_follow_the_given_clock() -> None:
    clock = Clock()
    storage = SqliteStorage(":memory:", now=clock)
    await storage.create([], ["messages"])
    queue = storage.queue("messages")
    await queue.send("later", delay=0.1)
    assert await queue.receive() == []
    clock.time = START + 0.1  # exactly when it comes due
    (message,) = await queue.receive(1, lease=10)
    assert message.inserted_at == datetime.fromtimestamp(START, UTC)
    clock.time += 9.999
    assert await queue.receive() == []
    clock.time = START + 0.1 + 10
    assert len(await queue.receive()) == 1
    await storage.close()


@pytest.mark.parametrize("back", [2.0, 3600.0, 86400.0 * 400])
async def test_what_is_hidden_when_the_clock_is_set_back_is_hidden_for_as_long_as_it_was_to_be(
    path: str, back: float
) -> None:
    """Between two lives of a process, or within one: nothing waits for the old time to come again."""
    clock = Clock()
    storage = SqliteStorage(path, now=clock)
    await storage.create([], ["messages"])
    queue = storage.queue("messages")
    await queue.send("leased")
    (leased,) = await queue.receive(1, lease=100)
    await queue.send("delayed", delay=50)
    await queue.send("there")
    for is_reopened in (True, False):
        clock.time -= back
        if is_reopened:
            await storage.close()
            storage = SqliteStorage(path, now=clock)
            queue = storage.queue("messages")
        (there,) = await queue.receive(32, lease=5)
        assert there.body == "there"
        clock.time += 4
        assert await queue.receive(32) == []
        await queue.extend(there, 0)
    leased = await queue.extend(leased, 100)  # 8 s have gone by for it: its receiver still has it
    clock.time += 41.9
    assert [message.body for message in await queue.receive(32, lease=0.1)] == ["there"]
    clock.time += 0.2
    assert {message.body for message in await queue.receive(32, lease=300)} == {"there", "delayed"}
    clock.time += 58
    assert [message.body for message in await queue.receive(32)] == ["leased"]
    await storage.close()


async def test_a_clock_that_trembles_brings_nothing_forward() -> None:
    clock = Clock()
    storage = SqliteStorage(":memory:", now=clock)
    await storage.create([], ["messages"])
    queue = storage.queue("messages")
    await queue.send("delayed", delay=10)
    for _ in range(20):
        clock.time += 0.9
        await queue.send("between", delay=1000)
        clock.time -= 0.9
        await queue.send("between", delay=1000)
    clock.time = START + 9.9
    assert await queue.receive() == []
    clock.time = START + 10
    assert len(await queue.receive()) == 1
    await storage.close()


async def test_a_store_of_the_first_version_learns_the_time_of_its_writes(path: str) -> None:
    clock = Clock()
    storage = SqliteStorage(path, now=clock)
    await storage.create(["Rows"], ["messages"])
    await storage.close()
    with closing(sqlite3.connect(path)) as con:
        con.execute("ALTER TABLE store DROP COLUMN seen")
    storage = SqliteStorage(path, now=clock)
    queue = storage.queue("messages")
    await queue.send("delayed", delay=10)
    clock.time -= 3600
    assert await queue.receive() == []
    clock.time += 10
    assert len(await queue.receive()) == 1
    await storage.close()


async def test_messages_are_delivered_in_the_order_in_which_they_became_visible() -> None:
    clock = Clock()
    storage = SqliteStorage(":memory:", now=clock)
    await storage.create([], ["messages"])
    queue = storage.queue("messages")
    await queue.send("second", delay=2)
    await queue.send("third", delay=3)
    await queue.send("first")
    clock.time += 5
    assert [message.body for message in await queue.receive(32)] == ["first", "second", "third"]
    await storage.close()


async def test_timestamps_increase_even_when_the_clock_stands_or_runs_back() -> None:
    clock = Clock()
    storage = SqliteStorage(":memory:", now=clock)
    await storage.create(["Rows"], [])
    table = storage.table("Rows")
    stamps = [await _stamp_of(table, "a"), await _stamp_of(table, "b")]
    clock.time -= 3600
    stamps.append(await _stamp_of(table, "c"))
    clock.time += 7200
    stamps.append(await _stamp_of(table, "d"))
    assert stamps == sorted(set(stamps))
    assert stamps[2] - stamps[0] < timedelta(seconds=1)
    assert stamps[3] == datetime.fromtimestamp(START + 3600, UTC)
    await storage.close()


async def test_memory_runs_every_operation_at_once() -> None:
    storage = SqliteStorage(":memory:")
    coroutine = storage.create(["Rows"], [])
    with pytest.raises(StopIteration):
        coroutine.send(None)  # ends without ever giving the event loop a turn
    await storage.close()


async def test_the_file_of_a_newer_version_is_refused(path: str) -> None:
    con = sqlite3.connect(path)
    con.execute("PRAGMA user_version = 99")
    con.close()
    storage = SqliteStorage(path)
    with pytest.raises(NewerFormatError, match="99"):
        await storage.create(["Rows"], [])
    await storage.close()


async def test_a_file_that_is_no_store_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("this is no database " * 100)
    storage = SqliteStorage(str(path))
    with pytest.raises(StorageError, match=r"notes\.txt"):
        await storage.create(["Rows"], [])
    await storage.close()
    folder = SqliteStorage(str(path / "below" / "store.db"))
    with pytest.raises(StorageError, match=r"store\.db"):
        await folder.create(["Rows"], [])
    await folder.close()


async def test_a_folder_is_refused_with_what_to_name_instead(tmp_path: Path) -> None:
    storage = SqliteStorage(str(tmp_path))
    with pytest.raises(StorageError, match=r"is a folder; name a file, such as .*durable\.db"):
        await storage.create(["Rows"], [])
    await storage.close()


async def _stamp_of(table: Table, key: str) -> datetime:
    await table.insert("p", key, {})
    row = await table.get("p", key)
    assert row is not None
    return row.timestamp


class _spy:
    """Another connection, which sees by SQLite's ``data_version`` whether the file was written."""

    def __init__(self, path: str) -> None:
        self._con = sqlite3.connect(path)

    def __enter__(self) -> Callable[[], int]:
        return lambda: int(self._con.execute("PRAGMA data_version").fetchone()[0])

    def __exit__(self, *_: object) -> None:
        self._con.close()


@pytest.mark.parametrize("quick", [0.0, 3600.0], ids=["by the thread", "on the loop"])
async def test_whoever_commits_every_write_is_flushed_before_it_is_answered(
    path: str, monkeypatch: pytest.MonkeyPatch, quick: float
) -> None:
    monkeypatch.setattr(group_commit, "QUICK_FLUSH", quick)
    store = SqliteStorage(path)
    await store.create(["Rows"], ["messages"])
    table, queue = store.table("Rows"), store.queue("messages")
    for number in range(10):
        before = store.flushes
        await table.insert("p", f"{number}", {"n": number})
        assert store.flushes == before + 1
    before = store.flushes
    await asyncio.gather(*(table.merge("p", f"{number}", {"n": -number}) for number in range(10)))
    assert store.flushes == before + 1
    await queue.send("look")
    before = store.flushes
    (message,) = await queue.receive(1)
    await queue.delete(message)
    assert store.flushes == before
    await store.close()
    again = SqliteStorage(path)
    assert [row.props["n"] for row in (await again.table("Rows").read_range("p")).rows] == [-n for n in range(10)]
    await again.close()


async def test_a_file_gives_its_free_pages_back_as_it_is_written_to(path: str) -> None:
    store = SqliteStorage(path)
    await store.create(["Rows"], [])
    table = store.table("Rows")
    keys = [f"k{number:04}" for number in range(1000)]
    await asyncio.gather(*(table.insert("p", key, {"a": "x" * 9000}) for key in keys))
    await store.close()
    full = size_of(path)
    store = SqliteStorage(path)
    table = store.table("Rows")
    for at in range(0, len(keys), 4):
        await asyncio.gather(*(table.delete("p", key) for key in keys[at : at + 4]))
    await store.close()
    assert size_of(path) < full / 2


async def test_a_file_that_is_no_more_than_a_quarter_free_keeps_its_pages(path: str) -> None:
    store = SqliteStorage(path)
    await store.create(["Rows"], [])
    table = store.table("Rows")
    await asyncio.gather(*(table.insert("p", f"k{number:04}", {"a": "x" * 9000}) for number in range(1000)))
    await store.close()
    full = size_of(path)
    store = SqliteStorage(path)
    table = store.table("Rows")
    for number in range(200):
        await table.delete("p", f"k{number:04}")
    await store.close()
    assert size_of(path) == full


async def test_the_file_is_unlocked_while_a_batch_waits_for_its_flush(
    store: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that flushes may wait long for the interpreter's lock. Only the commits that may fold the log into the
    file are left to it, and these are few."""
    locked: list[bool] = []
    send = group_commit.GroupCommit._send_away  # pyright: ignore[reportPrivateUsage]

    def send_away(self: Any, work: Any) -> None:
        locked.append(self._con is not None and self._con.in_transaction)
        send(self, work)

    monkeypatch.setattr(group_commit.GroupCommit, "_send_away", send_away)
    rounds = 4 * group_commit.COMMITS_TO_A_CHECKPOINT
    for number in range(rounds):
        writes = [store.table("Rows").insert("p", f"{number}-{each}", {}) for each in range(2 * group_commit.FEW)]
        await asyncio.gather(*writes)
    assert len(locked) == rounds
    assert sum(locked) <= 4 + 1, locked


async def test_the_log_does_not_grow_with_what_is_written(path: str, store: SqliteStorage) -> None:
    """It is folded into the file, though by few of the commits."""
    text, together, rounds = "x" * 30_000, 2 * group_commit.FEW, 30 * group_commit.COMMITS_TO_A_CHECKPOINT
    written = 0
    largest = 0
    for number in range(rounds):
        keys = [f"{number}-{each}" for each in range(together)]
        await asyncio.gather(*(store.table("Rows").insert("p", key, {"text": text}) for key in keys))
        written += together * len(text)
        largest = max(largest, size_of(f"{path}-wal"))
    page = 4096 + 24
    a_batch = together * (len(text) // 4096 + 4) * page
    assert written > 3 * CHECKPOINT_PAGES * page, "the log would be large"
    assert largest <= CHECKPOINT_PAGES * page + 2 * group_commit.COMMITS_TO_A_CHECKPOINT * a_batch
