"""Local hosts in processes of their own, for tests that start, kill and restart them."""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO

PROJECT = Path(__file__).resolve().parents[2]
SCRUBBED = ("DURABLE_", "AzureWebJobs", "AzureFunctionsJobHost", "SMTP_", "TINY_")
READY = "listening on "
START_TIMEOUT = 180.0  # seconds; a loaded machine imports slowly
STOP_TIMEOUT = 120.0


# A port is chosen before its host listens, and is free while its host is killed and started again. So it is none that
# the system gives to connections, and none of another process that runs tests: each has a block of ports, and its lock.
_PORTS, _OF_A_PROCESS = range(20_000, 32_000), 100
_turns = itertools.count()


@cache
def _block() -> tuple[int, IO[bytes]]:
    """The first port of this process's block, and the file whose lock keeps the block until the process ends."""
    folder = Path(tempfile.gettempdir(), "durable_core-ports-of-tests")
    folder.mkdir(exist_ok=True)
    for first in _PORTS[::_OF_A_PROCESS]:
        lock = (folder / str(first)).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return first, lock
    raise RuntimeError(f"all blocks of ports are in use: {folder}")


def free_port() -> int:
    """A port on which nobody listens, and which nobody takes before a hundred others were chosen."""
    first, _ = _block()
    for _ in range(_OF_A_PROCESS):
        port = first + next(_turns) % _OF_A_PROCESS
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has ended leaves no trace that counts
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"every port from {first} on is in use")


class HostProcess:
    """``python -m durable_core host`` on a port and a folder of its own.

    folder: holds the store, the shop, the outbox and the log; a second host on the same folder shares them.
    env: settings on top of these. app: the folder with the ``function_app.py`` to run. options: of the command line.
    As a context manager it starts the host, waits until it listens, and ends it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        app: Path = PROJECT,
        name: str = "host",
        options: Sequence[str] = (),
    ) -> None:
        self._options = list(options)
        self.folder, self.app, self.port = folder, app, free_port()
        self.log_file = folder / f"{name}.log"
        folder.mkdir(parents=True, exist_ok=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(SCRUBBED)}
        self._env = inherited | {
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            "DURABLE_STORE": str(folder / "durable.db"),
            "SHOP_DB": str(folder / "shop.db"),
            "OUTBOX": str(folder / "outbox"),
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the host does not run"
        return self._process.pid

    @property
    def has_died(self) -> bool:
        """Whether the process ended though nobody here ended it."""
        return self._process is not None and self._process.poll() is not None

    def start_again(self) -> None:
        """Start in the place of a process that has died."""
        assert self._process is not None and self._process.poll() is not None
        self._process = None
        self.start()

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self) -> HostProcess:
        """Start the process, on the same port each time. It is not waited for."""
        assert self._process is None, "the host runs already"
        self._log_from = len(self.log)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "durable_core", "host", "--port", str(self.port), *self._options],
                cwd=self.app,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the tests alone, which then stop their hosts
            )
        return self

    def wait_ready(self, timeout: float = START_TIMEOUT) -> HostProcess:
        """Return when the host has said that it listens. RuntimeError with its log if it ends or takes too long."""
        assert self._process is not None
        give_up_at = time.monotonic() + timeout
        while READY not in self.log[self._log_from :]:
            if self._process.poll() is not None:
                raise RuntimeError(f"the host ended with {self._process.returncode}:\n{self.log}")
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"the host does not listen after {timeout} s:\n{self.log}")
            time.sleep(0.02)
        return self

    def kill9(self) -> None:
        """SIGKILL: the host gets no chance to write or release anything."""
        self._end(signal.SIGKILL)

    def stand_still(self) -> None:
        """SIGSTOP: the process does nothing until ``go_on``, as on a laptop that sleeps."""
        self.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.send_signal(signal.SIGCONT)

    def send_signal(self, which: signal.Signals) -> None:
        """Send a signal, and do not wait for its effect."""
        assert self._process is not None, "the host does not run"
        self._process.send_signal(which)

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """SIGINT, as Ctrl-C sends it, or SIGTERM; returns the exit code."""
        return self._end(how)

    def _end(self, how: signal.Signals) -> int:
        self.send_signal(how)
        return self.wait_exit()

    def wait_exit(self) -> int:
        """Wait until the process ends; returns its exit code. RuntimeError with its log if that takes too long."""
        assert self._process is not None, "the host does not run"
        try:
            return self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"the host does not stop within {STOP_TIMEOUT} s:\n{self.log}") from None
        finally:
            self._process = None

    def __enter__(self) -> HostProcess:
        self.start()
        try:
            return self.wait_ready()
        except BaseException:
            self.kill_if_alive()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.kill_if_alive()
        elif self._process is not None:
            self.stop()

    def kill_if_alive(self) -> None:
        """End it however it stands, and expect nothing of it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
