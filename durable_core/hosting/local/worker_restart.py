"""What Azure does when a function overruns functionTimeout: the worker process ends, with every invocation in it.

The Functions host then starts another. Here host and worker are one process, which is replaced by a new one of the same
command line: no clean-up runs, nothing is handed back, and messages in work are found again as after a crash.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

Expired = Callable[[str], None]


class TimeoutWatch:
    """Reports the first invocation that runs for longer than ``seconds``, from a thread: the loop may be blocked."""

    def __init__(self, seconds: float, expired: Expired) -> None:
        """``expired`` gets the function's name, once, on the thread of the watch."""
        self._seconds, self._expired = seconds, expired
        self._begun: dict[int, tuple[str, float]] = {}
        self._numbers = itertools.count()
        threading.Thread(target=self._watch, name="functionTimeout", daemon=True).start()

    def begin(self, function: str) -> int:
        """An invocation begins; what is returned ends it."""
        number = next(self._numbers)
        self._begun[number] = (function, time.monotonic())
        return number

    def end(self, number: int) -> None:
        del self._begun[number]

    def _watch(self) -> None:
        while True:
            time.sleep(min(1.0, self._seconds / 4))
            too_old = time.monotonic() - self._seconds
            late = [function for function, begun in list(self._begun.values()) if begun < too_old]
            if late:
                self._expired(late[0])
                return


class Restart:
    """Replaces this process by one of the same command line, folder and environment, as they are when this is made."""

    def __init__(self) -> None:
        self._folder, self._environment = Path.cwd(), dict(os.environ)

    def __call__(self, function: str) -> None:
        log.error(
            "%s did not end within functionTimeout; as in Azure, "
            "the worker process is ended with all functions that it runs, "
            "and started again",
            function,
        )
        os.chdir(self._folder)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], self._environment)
