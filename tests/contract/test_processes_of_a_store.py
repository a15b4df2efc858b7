"""Processes that share one store, come and go, fork, and open its files: no acknowledged write is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import pytest

from durable_core.errors import ConfigurationError, UnusableStoreError
from durable_core.hosting.local.store_lock import LOCK_SUFFIX, is_alone, live_on_store
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from durable_core.storage.sqlite.backup import restore

from ..support.processes import run_python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork, and other locks")

INSERT = """
import asyncio, sys
from durable_core.storage.sqlite import SqliteStorage

async def main(path, name, rows):
    storage = SqliteStorage(path)
    for n in range(rows):
        await storage.table("Rows").insert("p", f"{name}-{n}", {"n": n})
        print(f"{name}-{n}", flush=True)
    await storage.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""

# A host, until its input ends; it runs each line of it.
LIVE = """
import asyncio, sys
from durable_core.hosting.local.store_lock import live_on_store
from durable_core.settings import Settings

async def main(path):
    async def alone():
        print("alone", flush=True)

    async with live_on_store(Settings(store=path), alone):
        print("lives", flush=True)
        for line in sys.stdin:
            exec(line)
            print("done", flush=True)

asyncio.run(main(sys.argv[1]))
"""

FORK = """
import asyncio, os, sys
from durable_core.errors import UnusableStoreError
from durable_core.storage.sqlite import SqliteStorage

async def in_child(storage, path):
    table = storage.table("Rows")
    for use in (lambda: table.get("p", "k"), lambda: table.insert("p", "child", {}), lambda: table.read_range("p")):
        try:
            async with asyncio.timeout(20):
                await use()
        except UnusableStoreError as error:
            assert "fork" in str(error), error
        else:
            raise AssertionError("the child has used its parent's connection")
    await storage.close()
    own = SqliteStorage(path)
    await own.table("Rows").insert("p", "of the child", {})
    await own.close()

async def main(path):
    storage = SqliteStorage(path)
    await storage.create(["Rows"], ["letters"])
    storage.on_send("letters", lambda: None)
    await storage.table("Rows").insert("p", "k", {})
    sockets = os.listdir(path + ".wake")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.events._set_running_loop(None)
            asyncio.run(in_child(storage, path))
            code = 0
        finally:
            os._exit(code)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert status == 0, status
    assert os.listdir(path + ".wake") == sockets, "the child has taken the parent's address away"
    await storage.table("Rows").insert("p", "of the parent", {})
    keys = [row.key for row in (await storage.table("Rows").read_range("p")).rows]
    assert keys == ["k", "of the child", "of the parent"], keys
    await storage.close()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store.db")


@pytest.fixture
async def store(path: str) -> AsyncIterator[SqliteStorage]:
    storage = SqliteStorage(path)
    await storage.create(["Rows"], [])
    yield storage
    await storage.close()


async def _nothing() -> None:
    pass


def _line(process: subprocess.Popen[str]) -> str:
    return cast("IO[str]", process.stdout).readline().strip()


async def _keys(store: SqliteStorage) -> set[str]:
    return {row.key for row in (await store.table("Rows").read_range("p")).rows}


async def _ends(process: subprocess.Popen[str], *, lines: int | None) -> list[str]:
    """What the process printed; it is killed after so many lines, or ends by itself."""

    def read() -> list[str]:
        printed: list[str] = []
        while lines is None or len(printed) < lines:
            if not (line := _line(process)):
                break
            printed.append(line)
        if lines is not None:
            process.kill()
            printed += cast("IO[str]", process.stdout).read().split()
        code = process.wait()
        assert code == (0 if lines is None else -signal.SIGKILL), code
        cast("IO[str]", process.stdout).close()
        return printed

    return await asyncio.to_thread(read)


@pytest.mark.timeout(300)
async def test_stores_of_one_process_lose_nothing_while_other_processes_come_and_go(
    path: str, store: SqliteStorage
) -> None:
    """Two stores of this process write all the time, a third is opened and closed; others end, and are killed."""
    beside, written = SqliteStorage(path), set[str]()
    go_on = True

    async def write(to: SqliteStorage, name: str) -> None:
        number = 0
        while go_on:
            await to.table("Rows").insert("p", f"{name}-{number}", {"n": number})
            written.add(f"{name}-{number}")
            number += 1

    async def come_and_go() -> None:
        number = 0
        while go_on:
            guest = SqliteStorage(path)
            await guest.table("Rows").insert("p", f"guest-{number}", {})
            written.add(f"guest-{number}")
            await guest.close()
            number += 1

    writers = [asyncio.create_task(each) for each in (write(store, "a"), write(beside, "b"), come_and_go())]
    for number in range(4):
        pair = [run_python(INSERT, path, f"{number}-{kind}", "40") for kind in ("ends", "dies")]
        for printed in await asyncio.gather(_ends(pair[0], lines=None), _ends(pair[1], lines=10)):
            written.update(printed)
        assert not [writer.exception() for writer in writers if writer.done()]
    go_on = False
    await asyncio.gather(*writers)
    await beside.close()
    assert not written - await _keys(store)
    await store.close()
    again = SqliteStorage(path)
    assert not written - await _keys(again), "after the last close, which folds the log into the file"
    await again.close()


@pytest.mark.timeout(120)
async def test_a_write_is_refused_once_the_log_was_deleted_under_it(path: str, store: SqliteStorage) -> None:
    """Code of this process reads the store's file, as a copy does: by POSIX that gives up the process's locks on it.
    The next process takes itself for the last, and deletes the log. What is written then would be lost: it is not
    acknowledged, and what others have written is not touched."""
    await store.table("Rows").insert("p", "before", {})
    await store.table("Rows").get("p", "before")
    shutil.copy(path, path + ".copy")
    await _ends(run_python(INSERT, path, "other", "3"), lines=None)
    for number in range(2):
        with pytest.raises(UnusableStoreError, match="log of the store"):
            await store.table("Rows").insert("p", f"late-{number}", {})
    with pytest.raises(UnusableStoreError, match="restart this process"):
        await store.table("Rows").get("p", "before")
    await _ends(run_python(INSERT, path, "third", "3"), lines=None)
    seen = await asyncio.to_thread(subprocess.check_output, [sys.executable, "-c", KEYS, path], text=True)
    others = {f"{name}-{number}" for name in ("other", "third") for number in range(3)}
    assert set(seen.split()) == {"before", *others}


KEYS = """
import sqlite3, sys
con = sqlite3.connect(sys.argv[1])
assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
print(*(key for key, in con.execute("SELECT rk FROM entity")))
"""


async def test_a_restore_from_a_store_in_use_has_what_is_in_its_log(path: str, store: SqliteStorage) -> None:
    await store.table("Rows").insert("p", "in the log", {})
    await asyncio.to_thread(restore, Path(path), Path(path + ".new"), datetime.now(UTC))
    restored = SqliteStorage(path + ".new")
    assert await _keys(restored) == {"in the log"}
    await restored.close()
    await _ends(run_python(INSERT, path, "other", "1"), lines=None)
    await store.table("Rows").insert("p", "after", {})
    assert await _keys(store) == {"in the log", "other-0", "after"}


@pytest.mark.timeout(120)
async def test_a_forked_child_is_told_that_the_store_is_its_parents() -> None:
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as folder:  # short enough for sockets beside the store
        await _forks(str(Path(folder, "hub.db")))


async def _forks(path: str) -> None:
    process = run_python(FORK, path)
    assert await asyncio.to_thread(process.wait) == 0
    process.communicate()


def _live(path: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LIVE, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def _tell(process: subprocess.Popen[str], code: str) -> str:
    """Have it run this code. Returns the line that the code prints, if any."""
    assert process.stdin is not None
    process.stdin.write(code + "\n")
    process.stdin.flush()
    printed = [_line(process)]
    while printed[-1] not in ("done", ""):
        printed.append(_line(process))
    return printed[0]


def _end(process: subprocess.Popen[str], *, killed: bool = False) -> None:
    if killed:
        process.kill()
    process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="the lock is a process's elsewhere")
async def test_a_host_lives_on_though_its_process_opens_and_closes_the_locks_file(path: str) -> None:
    """A copy of the folder opens it; another host that starts would free the leases of this one."""
    first = _live(path)
    assert [_line(first), _line(first)] == ["alone", "lives"]
    _tell(first, f"open({path + LOCK_SUFFIX!r}).close()")
    second = _live(path)
    assert _line(second) == "lives", "it took itself for the only host"
    _end(second)
    _end(first, killed=True)
    third = _live(path)
    assert _line(third) == "alone"
    _end(third)


async def test_a_child_of_a_dead_host_does_not_live_in_its_place(path: str) -> None:
    """A pool of processes outlives a host that is killed."""
    first = _live(path)
    assert [_line(first), _line(first)] == ["alone", "lives"]
    _tell(first, "import os, time; child = os.fork(); child or (os.close(1), time.sleep(60), os._exit(0))")
    child = _tell(first, "print(child, flush=True)")
    _end(first, killed=True)
    try:
        second = _live(path)
        assert _line(second) == "alone"
        _end(second)
    finally:
        os.kill(int(child), signal.SIGKILL)


async def test_the_share_of_the_lock_is_kept_when_another_host_shares_it(path: str) -> None:
    settings: Any = Settings(store=path)
    async with live_on_store(settings, _nothing):
        assert is_alone(settings)
        other = await asyncio.to_thread(_live, path)
        assert _line(other) == "lives"
        assert not is_alone(settings)
        third = await asyncio.to_thread(_live, path)
        assert _line(third) == "lives", "the share was lost when it was asked whether the host is alone"
        with pytest.raises(ConfigurationError):
            async with live_on_store(settings, _nothing):
                pass
        _end(other)
        _end(third)
        assert is_alone(settings)
    assert not is_alone(settings)
