"""``host --reload``: the host ends when a source file changes, and a process that watches over it starts the next one.

Files are found by their modification times, polled in a thread: those of the modules that the app has loaded from
outside of Python's libraries, and the Python files and settings in the app's folder. Nothing has to be installed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ...source_location import is_library

CHANGED = 75
"""The exit code of a host that ended because a file has changed. (``EX_TEMPFAIL`` of sysexits.h: try again.)"""

WATCHED_BY = "DURABLE_RELOAD_PARENT"
"""The environment variable by which a host knows that a process watches over it and starts the next one."""

POLL_SECONDS = 0.3
MOST_FILES = 10_000
_SETTINGS = ("host.json", "local.settings.json")
_SKIPPED = ("__pycache__", "node_modules", "site-packages")

Stamps = Mapping[Path, tuple[int, int]]


def stamps(folder: Path) -> Stamps:
    """The time and size of each watched file."""
    found: dict[Path, tuple[int, int]] = {}
    for path in (*_in_folder(folder), *_of_modules()):
        try:
            known = path.stat()
        except OSError:  # an editor replaces it at this moment, or it is gone
            continue
        found[path] = (known.st_mtime_ns, known.st_size)
        if len(found) >= MOST_FILES:
            break
    return found


def changed(before: Stamps, after: Stamps, folder: Path) -> list[Path]:
    """The files that were changed, removed, or added to the folder. A new path elsewhere is a module just loaded."""
    return sorted(
        path
        for path in {*before, *after}
        if before.get(path) != after.get(path) and (path in before or path.is_relative_to(folder))
    )


async def wait_for_change(folder: Path, before: Stamps, poll: float = POLL_SECONDS) -> list[Path]:
    """Wait until files have changed, and then until no more of them do: an editor writes several.

    before: taken before the app was loaded, so that no change is missed that is made meanwhile.
    """
    while True:
        await asyncio.sleep(poll)
        after = await asyncio.to_thread(stamps, folder)
        if not (found := changed(before, after, folder)):
            before = after
            continue
        while True:
            await asyncio.sleep(poll)
            again = await asyncio.to_thread(stamps, folder)
            if not changed(after, again, folder):
                return found
            after = again


def shown(paths: Sequence[Path], folder: Path) -> str:
    """The changed files, for one line."""
    names = [str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path) for path in paths]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more files" if len(names) > 3 else "")


def watch_over(command: Sequence[str], say: Callable[[str], None]) -> int:
    """Run the host by this command, again and again while it ends with CHANGED. Returns its last exit code.

    A signal that ends this process is passed on to the host. A host at a terminal gets Ctrl-C by itself as well; it
    takes two signals within a moment for one.
    """
    environment = {**os.environ, WATCHED_BY: str(os.getpid())}
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: object) -> None:
        for process in running:
            if sys.platform != "win32" or number != signal.SIGINT:  # there terminate() leaves no time to stop
                process.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    while True:
        begun = time.monotonic()
        process = subprocess.Popen(command, env=environment)
        running[:] = [process]
        code = process.wait()
        running.clear()
        if code != CHANGED:
            return code if code >= 0 else 128 - code
        if time.monotonic() - begun < POLL_SECONDS:  # a clock that is set wrong must not make this a busy loop
            time.sleep(POLL_SECONDS)
        say("restarting")


def _in_folder(folder: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and name not in _SKIPPED and not Path(at, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(at, name) for name in files if name.endswith(".py") or name in _SETTINGS)


def _of_modules() -> Iterator[Path]:
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if isinstance(name, str) and name.endswith(".py") and not is_library(name):
            yield Path(name)
