"""Standard output and error of a process that must not wait for their readers.

A write to a full pipe, or to a terminal that is held (Ctrl-S), blocks. On an event loop that would block every request,
the renewal of every lease, and the handling of SIGTERM. So a thread writes. A print or log call waits a moment for the
thread, so that a line is written before the next event (a crash, for example). While the reader is behind, lines are
kept up to a limit, then dropped and counted.
"""

from __future__ import annotations

import atexit
import io
import os
import select
import sys
import threading
from collections import deque
from typing import Any, TextIO

PATIENCE = 0.05  # seconds that a line is waited for, once, before its reader counts as behind
LIMIT = 1024 * 1024  # bytes kept for a reader that is behind
LAST_WORDS = 1.0  # seconds for what is kept when the process ends


class OutputThread:
    """Writes to a file descriptor for others. Its methods may be called from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = deque[bytes]()
        self._size = 0  # bytes kept or being written
        self._dropped = 0
        self._is_behind = False
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name=f"output {descriptor}", daemon=True).start()

    def write(self, data: bytes) -> None:
        """Write these bytes, or drop them if too much is kept already. Never waits longer than ``PATIENCE``."""
        with self._changed:
            if self._size + len(data) > LIMIT:
                self._dropped += 1
                return
            self._keep(data)
            if not self._is_behind:
                self._is_behind = not self._changed.wait_for(self._is_empty, PATIENCE)

    def wait(self, seconds: float) -> None:
        """Wait until all is written, or for so many seconds."""
        with self._changed:
            self._changed.wait_for(self._is_empty, seconds)

    def _is_empty(self) -> bool:
        return self._size == 0

    def _keep(self, data: bytes) -> None:
        self._kept.append(data)
        self._size += len(data)
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._kept)
                data = self._kept.popleft()
            _write_all(self._descriptor, data)
            with self._changed:
                self._size -= len(data)
                if self._is_empty():
                    self._is_behind = False
                    if self._dropped:
                        self._keep(
                            f"(this output was not read for a while: {self._dropped} lines are left out)\n".encode()
                        )
                        self._dropped = 0
                self._changed.notify_all()


class UnblockedStream(io.TextIOBase):
    """Stands in for ``sys.stdout`` or ``sys.stderr``: whole lines go to the thread, and nothing waits for them."""

    def __init__(self, stream: TextIO, output: OutputThread) -> None:
        self._stream, self._output = stream, output
        self._part = ""  # of a line that is not whole
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  a plain attribute there
        return self._stream.encoding

    @property
    def buffer(self) -> Any:
        """The stream for bytes; a write to it waits for the reader."""
        return self._stream.buffer

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str, /) -> int:
        with self._lock:
            lines, newline, self._part = (self._part + text).rpartition("\n")
        if newline:
            self._send(lines + newline)
        return len(text)

    def flush(self) -> None:
        """Send an incomplete line. Does not wait either."""
        with self._lock:
            part, self._part = self._part, ""
        if part:
            self._send(part)

    def finish(self) -> None:
        """Send an incomplete line, and wait at most ``LAST_WORDS`` seconds until all is written."""
        self.flush()
        self._output.wait(LAST_WORDS)

    def _send(self, text: str) -> None:
        self._output.write(text.encode(self.encoding, errors="backslashreplace"))


def unblock_output() -> None:
    """Let no print or log call wait for its reader, from now to the end of the process."""
    outputs: dict[tuple[int, int], OutputThread] = {}
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        try:
            descriptor = stream.fileno() if stream is not None else -1
            status = os.fstat(descriptor)
        except (OSError, ValueError):  # closed, or not a file of the system: a write to it does not block
            continue
        assert stream is not None
        stream.flush()
        # One thread for both where they are one pipe or file, which keeps the order of their lines.
        place = (status.st_dev, status.st_ino)
        if place not in outputs:
            outputs[place] = OutputThread(descriptor)
        unblocked = UnblockedStream(stream, outputs[place])
        setattr(sys, name, unblocked)
        atexit.register(unblocked.finish)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # another process that shares the pipe has set it to non-blocking
            select.select([], [descriptor], [])
        except OSError:  # the reader has closed the pipe
            return
