"""Processes on one embedded store tell each other of messages; what nobody tells is found by polling."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any, cast

import pytest

from durable_core.hosting.local.backoff import PollingBackoff
from durable_core.hosting.local.config import QueueOptions
from durable_core.hosting.local.queue_listener import QueueListener
from durable_core.storage.ports import QueueMessage
from durable_core.storage.sqlite import SqliteStorage
from durable_core.storage.sqlite.neighbours import FOLDER_SUFFIX, Neighbours

from ..support.processes import ROOT, run_python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets on Windows")

SEND = """
import asyncio, sys
from durable_core.storage.sqlite import SqliteStorage

async def main(path, delay):
    storage = SqliteStorage(path)
    await storage.queue("messages").send("hello", float(delay))
    await storage.close()

asyncio.run(main(*sys.argv[1:]))
"""

LISTEN_FOREVER = """
import asyncio, sys
from durable_core.storage.sqlite import SqliteStorage

async def main(path):
    storage = SqliteStorage(path)
    storage.on_send("messages", lambda: print("heard", flush=True))
    print("listening", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""


def _sockets(store: Path) -> list[Path]:
    folder = Path(f"{store}{FOLDER_SUFFIX}")
    return list(folder.iterdir()) if folder.exists() else []


def _line(process: subprocess.Popen[str]) -> str:
    return cast("IO[str]", process.stdout).readline().strip()


@pytest.fixture
def store() -> Generator[str]:
    """A path that is short enough for sockets beside it, which pytest's own folders may not be."""
    with tempfile.TemporaryDirectory(prefix="d", dir="/tmp") as folder:
        yield str(Path(folder, "hub.db"))


async def _some(calls: list[Any]) -> None:
    async with asyncio.timeout(60):
        while not calls:  # noqa: ASYNC110  what calls is no code of this test
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("delay", [0, 0.2])
async def test_a_listener_hears_of_a_message_that_another_process_sends(store: str, delay: float) -> None:
    storage, heard = SqliteStorage(store), asyncio.Event()
    await storage.create([], ["messages", "others"])
    storage.on_send("messages", heard.set)
    storage.on_send("others", lambda: pytest.fail("this queue got no message"))
    process = run_python(SEND, store, str(delay))
    async with asyncio.timeout(60):
        await heard.wait()
    assert await storage.queue("messages").receive(1), "it is visible when it is told"
    process.wait()
    cast("IO[str]", process.stdout).close()
    await storage.close()
    assert not _sockets(Path(store)), "a process that ends takes its socket along"


async def test_a_listener_that_was_killed_is_forgotten(store: str) -> None:
    storage = SqliteStorage(store)
    await storage.create([], ["messages"])
    listeners = [run_python(LISTEN_FOREVER, store) for _ in range(2)]
    assert [_line(each) for each in listeners] == ["listening", "listening"]
    assert len(_sockets(Path(store))) == 2
    listeners[0].send_signal(signal.SIGKILL)
    listeners[0].wait()
    for _ in range(3):
        await storage.queue("messages").send("hello")
        assert await asyncio.to_thread(_line, listeners[1]) == "heard"
    assert len(_sockets(Path(store))) == 1
    listeners[1].kill()
    for each in listeners:
        each.wait()
        cast("IO[str]", each.stdout).close()
    await storage.close()


async def test_many_messages_of_one_moment_are_told_once(store: str) -> None:
    one, other, calls = SqliteStorage(store), SqliteStorage(store), list[int]()
    await one.create([], ["messages"])
    other.on_send("messages", lambda: calls.append(1))
    await asyncio.gather(*(one.queue("messages").send(str(number)) for number in range(200)))
    await _some(calls)
    assert len(calls) < 20
    await one.close()
    await other.close()


async def test_a_path_that_is_too_long_for_a_socket_has_another_folder(tmp_path: Path) -> None:
    store = tmp_path / ("long" * 30) / "hub.db"
    heard = list[str]()
    one, other = Neighbours(str(store), lambda queue, _: heard.append(queue)), Neighbours(str(store), print)
    one.listen()
    other.tell("messages", 0.0)
    await _some(heard)
    one.close()
    other.close()
    assert heard == ["messages"] and not store.parent.exists()


async def test_where_no_socket_can_be_made_there_is_polling(store: str) -> None:
    with open(f"{store}{FOLDER_SUFFIX}", "x"):  # noqa: ASYNC230
        pass
    storage = SqliteStorage(store)
    await storage.create([], ["messages"])
    storage.on_send("messages", lambda: None)
    await storage.queue("messages").send("hello")
    assert len(await storage.queue("messages").receive(1)) == 1
    await storage.close()


async def test_what_is_no_message_of_ours_is_passed_over(store: str) -> None:
    import socket

    heard = list[tuple[str, float]]()
    neighbours = Neighbours(store, lambda queue, delay: heard.append((queue, delay)))
    neighbours.listen()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for text in (b"", b"\xff\xff", b"nonsense", b"1.5 messages"):
            stranger.sendto(text, str(_sockets(Path(store))[0]))
    await _some(heard)
    neighbours.close()
    assert heard == [("messages", 1.5)]


class Seldom(PollingBackoff):
    """Polls once, and then in ten minutes again."""

    def next_delay(self) -> float:
        return 600.0


async def test_a_message_of_another_process_wakes_a_listener_that_polls_seldom(store: str) -> None:
    storage, got = SqliteStorage(store), list[str]()
    await storage.create([], ["messages"])

    async def take(message: QueueMessage) -> None:
        got.append(message.body)

    listener = QueueListener(storage, "messages", take, options=QueueOptions(), lease=30.0, backoff=Seldom(600.0))
    storage.on_send("messages", listener.wake)
    running = asyncio.create_task(listener.run())
    for number in range(3):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", SEND, store, "0", cwd=ROOT)
        assert await process.wait() == 0
        async with asyncio.timeout(60):
            while len(got) <= number:  # noqa: ASYNC110  as above
                await asyncio.sleep(0.01)
    listener.stop()
    await running
    await storage.close()


async def test_texts_reach_another_listener_however_many_there_are(store: str) -> None:
    """More than its buffer takes: what finds no room is sent again."""
    one, other, heard = SqliteStorage(store), SqliteStorage(store), list[str]()
    undo = other.hear("ended", heard.append)
    other.hear("others", lambda text: pytest.fail(f"nobody said {text}"))
    assert undo is not None
    texts = [f"instance {number} ☂ {'x' * 200}" for number in range(20_000)]
    for text in texts:
        one.tell("ended", text)
    async with asyncio.timeout(60):
        while len(heard) < len(texts):  # noqa: ASYNC110  what is called is no code of this test
            await asyncio.sleep(0.01)
    assert sorted(heard) == sorted(texts)
    undo()
    one.tell("ended", "late")
    await asyncio.sleep(0.1)
    assert "late" not in heard
    await one.close()
    await other.close()


async def test_a_text_to_a_listener_that_was_killed_is_no_error(store: str) -> None:
    storage = SqliteStorage(store)
    await storage.create([], ["messages"])
    process = run_python(LISTEN_FOREVER, store)
    assert _line(process) == "listening"
    process.kill()
    process.wait()
    cast("IO[str]", process.stdout).close()
    storage.tell("ended", "i")
    await asyncio.sleep(0.05)
    assert not _sockets(Path(store))
    await storage.close()


async def test_a_process_does_not_hear_itself_and_memory_tells_nobody(store: str) -> None:
    storage = SqliteStorage(store)
    assert storage.hear("ended", lambda text: pytest.fail(f"its own {text}")) is not None
    storage.tell("ended", "i")
    await asyncio.sleep(0.05)
    await storage.close()
    memory = SqliteStorage(":memory:")
    assert memory.hear("ended", print) is None
    memory.tell("ended", "i")
    await memory.close()
