"""The local host as a child process of the demo: started, killed, restarted, and its log kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parents[1]
READY = "listening on "
START_TIMEOUT = 60.0  # seconds


class HostFailedError(Exception):
    """The host did not come up; the text holds what it said last."""


class DemoHost:
    """``python -m durable_core host`` whose output goes to a log file and, once ``is_shown``, to the terminal."""

    def __init__(self, port: int, *, store: str | None, env: Mapping[str, str], log_file: Path) -> None:
        self.is_shown = False
        self._command = [sys.executable, "-m", "durable_core", "host", "--app", str(PROJECT), "--port", str(port)]
        if store:
            self._command += ["--store", store]
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **env}
        self._process: subprocess.Popen[str] | None = None
        self._last_lines: deque[str] = deque(maxlen=15)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        self._log = log_file.open("a", encoding="utf-8")
        self.url = ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the host and wait until it listens. HostFailedError if it does not come up."""
        ready = threading.Event()
        process = subprocess.Popen(
            self._command,
            cwd=PROJECT,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops its host in good order
        )
        assert process.stdout is not None
        self._process = process
        threading.Thread(target=self._read, args=(process.stdout, ready), daemon=True).start()
        has_answered = ready.wait(START_TIMEOUT)
        if not (has_answered and self.url):
            raise HostFailedError("the host did not start:\n" + "\n".join(self._last_lines))

    def kill9(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.url = ""

    def wait(self) -> int:
        """Wait until the host ends by itself."""
        assert self._process is not None
        return self._process.wait()

    def stop(self) -> None:
        """Let the host end what it does, as Ctrl-C would."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self, output: IO[str], ready: threading.Event) -> None:
        for line in output:
            self._log.write(line)
            self._log.flush()
            self._last_lines.append(line.rstrip())
            if self.is_shown:
                print(line, end="", flush=True)
            if line.startswith(READY):
                self.url = line.removeprefix(READY).strip()
                ready.set()
        ready.set()  # it has ended: whoever waits for it must look
