"""Standard output and error of a process that must not wait for who reads them.

A pipe that nobody empties, or a terminal that is held (Ctrl-S), makes whoever writes wait. On an event loop everything
waits then: every request, every lease, and the SIGTERM that is to end the process. So a thread writes. Who prints or
logs waits for it a moment, in order that a line is out before what follows it (a crash, say); while the reader is
behind, lines are kept up to a limit, then dropped and counted. Knows nothing of hosts.
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
        """Have these bytes written, or dropped where too much is kept already. Never waits longer than ``PATIENCE``."""
        with self._changed:
            if self._size + len(data) > LIMIT:
                self._dropped += 1
                return
            self._keep(data)
            if not self._is_behind:
                self._is_behind = not self._changed.wait_for(self._is_empty, PATIENCE)

    def wait(self, seconds: float) -> None:
        """Until all is written, or so long."""
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
                            f"(nobody read this output for a while: {self._dropped} lines are left out)\n".encode()
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
        """For bytes; who writes there waits for the reader."""
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
        """Send what is there of a line. Does not wait either."""
        with self._lock:
            part, self._part = self._part, ""
        if part:
            self._send(part)

    def finish(self) -> None:
        """Send what is there, and give the reader ``LAST_WORDS`` seconds to take it."""
        self.flush()
        self._output.wait(LAST_WORDS)

    def _send(self, text: str) -> None:
        self._output.write(text.encode(self.encoding, errors="backslashreplace"))


def unblock_output() -> None:
    """Let nothing that is printed or logged wait for its reader, from now to the end of the process."""
    outputs: dict[tuple[int, int], OutputThread] = {}
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        try:
            descriptor = stream.fileno() if stream is not None else -1
            status = os.fstat(descriptor)
        except (OSError, ValueError):  # closed, or nothing of the system's: nobody is waited for there
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
        except BlockingIOError:  # another process that shares the pipe has made it so
            select.select([], [descriptor], [])
        except OSError:  # the reader is gone: there is nobody to tell
            return
