"""The embedded store's file: copied under running hosts, put back, damaged, not a store, on a disk that is full."""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from durable_core.hub.taskhub import TaskHub
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from tests.support.busy_hub import BusyHub, completed
from tests.support.cli import run_cli
from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient

INSTANCES = 12


@pytest.mark.timeout(600)
async def test_a_backup_of_a_busy_store_is_a_state_from_which_everything_completes(tmp_path: Path) -> None:
    hub = BusyHub(tmp_path, ("", ""))
    store, copy = Path(hub.settings.store), tmp_path / "copy.db"
    try:
        hub.start()
        async with aiohttp.ClientSession() as session:
            for n in range(INSTANCES):
                await hub.start_instance(session, "busy", f"busy-{n}", n)
        await hub.until(lambda: len(hub.runs) > INSTANCES)
        made = await asyncio.to_thread(run_cli, "backup", copy, "--store", store)
        assert made.returncode == 0, made.stderr
        assert copy.stat().st_mode & 0o777 == 0o600
        at_backup = len(hub.runs)
        refused = await asyncio.to_thread(run_cli, "restore", copy, "--store", store)
        assert refused.returncode == 2
        assert "in use; stop every host" in refused.stderr
        again = await asyncio.to_thread(run_cli, "backup", copy, "--store", store)
        assert again.returncode == 2
        assert "already exists; name another file" in again.stderr
        async with hub.app() as app:
            completed(await hub.until_all_ended(app.client))
        for host in hub.hosts:
            await asyncio.to_thread(host.kill9)
        put_back = await asyncio.to_thread(run_cli, "restore", copy, "--store", store)
        assert put_back.returncode == 0, put_back.stderr
        assert _kept(tmp_path).name != store.name
        assert not _hidden(tmp_path), "a draft was left behind"
        for host in hub.hosts:
            host.start()
        async with hub.app() as app:
            completed(await hub.until_all_ended(app.client))
            for n in range(INSTANCES):
                assert (await app.client.get_status(f"busy-{n}")).output == n + 7
        print(f"{INSTANCES} instances, {at_backup} runs before the backup, {len(hub.runs)} in the end")
    finally:
        hub.stop()


def _kept(folder: Path) -> Path:
    (kept,) = folder.glob("durable.db.before-*Z")
    return kept


def _hidden(folder: Path) -> list[Path]:
    return list(folder.glob(".*"))


async def _make(path: Path) -> None:
    storage = SqliteStorage(str(path))
    await TaskHub(storage, Settings(store=str(path))).create()
    await storage.create(["rows"], ["messages"])
    for n in range(200):
        await storage.table("rows").insert(f"p{n}", "r", {"text": "x" * 2000})
    await storage.close()


async def test_what_still_lies_in_the_log_beside_the_file_is_in_the_backup(tmp_path: Path) -> None:
    storage = SqliteStorage(str(tmp_path / "durable.db"))
    await storage.create(["rows"], [])
    await storage.table("rows").insert("p", "r", {"n": 7})
    shutil.copy(tmp_path / "durable.db", tmp_path / "file_alone.db")
    assert run_cli("backup", tmp_path / "copy.db", "--store", tmp_path / "durable.db").returncode == 0
    await storage.close()
    assert (tmp_path / "file_alone.db").stat().st_size < (tmp_path / "copy.db").stat().st_size
    copied = SqliteStorage(str(tmp_path / "copy.db"))
    row = await copied.table("rows").get("p", "r")
    await copied.close()
    assert row is not None
    assert row.props["n"] == 7


@pytest.mark.parametrize("verb", ["host", "recover", "backup", "history"])
def test_a_damaged_store_is_refused_with_what_to_do_and_restore_keeps_it(verb: str, tmp_path: Path) -> None:
    store = tmp_path / "durable.db"
    asyncio.run(_make(store))
    copy = tmp_path / "copy.db"
    assert run_cli("backup", copy, "--store", store).returncode == 0
    with store.open("r+b") as file:
        for page in range(2, store.stat().st_size // 4096, 3):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
    damaged = store.read_bytes()
    arguments = {
        "host": ["host", "--port", "0"],
        "recover": ["recover"],
        "backup": ["backup", tmp_path / "second.db"],
        "history": ["history", "export", "one"],
    }
    done = run_cli(*arguments[verb], "--store", store)
    assert done.returncode in (1, 2)
    assert f"the store {store} is damaged" in done.stderr
    assert f"restore FILE --store {store}" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    told = json.loads(run_cli("restore", copy, "--store", store, "--format", "json").stdout)
    assert told == {"store": str(store), "file": str(copy), "kept": str(_kept(tmp_path))}
    assert _kept(tmp_path).read_bytes()[4096:] == damaged[4096:], "but for the header, where the log is folded in"
    assert run_cli("recover", "--store", store).returncode == 0


@pytest.mark.parametrize("what", ["text", "database", "folder", "nothing"])
@pytest.mark.parametrize("verb", ["host", "recover", "backup", "restore"])
def test_what_is_no_store_is_refused_in_a_sentence_and_stays_as_it_is(verb: str, what: str, tmp_path: Path) -> None:
    place = tmp_path / "other"
    match what:
        case "text":
            place.write_text("name,price\n" * 500)
        case "database":
            with closing(sqlite3.connect(place)) as con:
                con.execute("CREATE TABLE products (name)")
        case "folder":
            place.mkdir()
        case _:
            place = tmp_path / "file" / "durable.db"
            place.parent.write_text("")
    content = place.read_bytes() if place.is_file() else None
    arguments = {
        "host": ["host", "--port", "0", "--store", place],
        "recover": ["recover", "--store", place],
        "backup": ["backup", tmp_path / "copy.db", "--store", place],
        "restore": ["restore", place, "--store", tmp_path / "durable.db"],
    }
    done = run_cli(*arguments[verb])
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert content is None or place.read_bytes() == content
    assert not (tmp_path / "copy.db").exists()
    assert not (tmp_path / "durable.db").exists()


def test_recover_of_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    done = run_cli("recover", "--store", tmp_path / "wrong.db")
    assert done.returncode == 2
    assert "there is no embedded store" in done.stderr
    assert not list(tmp_path.iterdir())


def test_backup_is_for_the_embedded_store(tmp_path: Path) -> None:
    done = run_cli("backup", tmp_path / "copy.db", env={"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    assert done.returncode == 2
    assert "docs/backup.md" in done.stderr


@pytest.mark.timeout(300)
async def test_a_full_disk_holds_work_up_until_there_is_room_again(tmp_path: Path) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    with HostProcess(tmp_path) as host:
        async with HttpClient(host.url) as http:
            request = {"request": {"days": 3}, "deadline_seconds": 3600}
            await http.start("approval", request, "first")
            room_for_the_log = len(host.log) + 2000  # the limit is one of every file
            resource.prlimit(host.pid, resource.RLIMIT_FSIZE, (room_for_the_log, resource.RLIM_INFINITY))
            starting = asyncio.create_task(http.start("approval", request, "second"))
            give_up_at = time.monotonic() + 60
            while "is the disk full?" not in host.log:
                assert time.monotonic() < give_up_at, host.log
                await asyncio.sleep(0.05)
            assert (await http.call("GET", "/instances/nobody")).status == 404, "what needs no disk is answered"
            resource.prlimit(host.pid, resource.RLIMIT_FSIZE, unlimited)
            await starting
            for name in ("first", "second"):
                await http.raise_event(name, "Approved", {})
                await http.wait_until(name, lambda status: status["runtimeStatus"] == "Completed")
    assert "Traceback" not in host.log
