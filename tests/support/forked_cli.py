"""``python -m durable_core`` in a fork of a process that has imported it already: a tenth of the time of a new process.

What a fork cannot show stays with ``cli.run_cli``: the start of the interpreter, and what a verb imports.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from .cli import PROJECT

TIMEOUT = 120.0  # seconds for one verb

_IMPORTED = (
    "azure.functions",
    "durable_core.cli.api.in_process",
    "durable_core.cli.api.over_http",
    "durable_core.hosting.functions",
    "durable_core.runtime.app",
    "durable_core.storage.azure.store",
    "durable_core.storage.sqlite.store",
)


class ForkedCli:
    """Runs verbs, one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("r", encoding="ascii")

    def run(
        self, *arguments: object, stdin: str = "", env: Mapping[str, str] | None = None, cwd: Path = PROJECT
    ) -> subprocess.CompletedProcess[str]:
        """As ``run_cli``."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DURABLE_", "AzureWebJobs"))}
        shown = [str(each) for each in arguments]
        asked: dict[str, Any] = {
            "arguments": shown,
            "stdin": stdin,
            "env": {**inherited, "PYTHONPATH": str(PROJECT), **(env or {})},
            "cwd": str(cwd),
        }
        self._connection.sendall(json.dumps(asked).encode() + b"\n")
        line = self._answers.readline()
        assert line, "the process that forks has ended"
        return subprocess.CompletedProcess(shown, **json.loads(line))

    def close(self) -> None:
        """Let the process that forks end."""
        self._answers.close()
        self._connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def forked_cli() -> Generator[ForkedCli]:
    """Start the process that forks, and end it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(TIMEOUT)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked_cli", str(theirs.fileno())],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        cli = ForkedCli(ours)
        try:
            yield cli
        finally:
            cli.close()
            ours.close()
            process.wait(TIMEOUT)


# ---------------------------------------------------------------- the process that forks


def _serve(connection: socket.socket) -> None:
    from durable_core.cli.verbs import VERBS

    for module in (
        *_IMPORTED,
        *(f"durable_core.cli.{name}" for name in sorted({verb.module for verb in VERBS.values()})),
    ):
        import_module(module)
    for line in connection.makefile("r", encoding="ascii"):
        connection.sendall(json.dumps(_answer(json.loads(line))).encode() + b"\n")


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    with TemporaryFile() as given, TemporaryFile() as output, TemporaryFile() as complaints:
        given.write(asked["stdin"].encode())
        given.seek(0)
        child = os.fork()
        if child == 0:
            _become(asked, [given.fileno(), output.fileno(), complaints.fileno()])
        _, status = os.waitpid(child, 0)
        return {
            "returncode": os.waitstatus_to_exitcode(status),
            "stdout": _text(output),
            "stderr": _text(complaints),
        }


def _text(file: Any) -> str:
    file.seek(0)
    return file.read().decode()


def _become(asked: dict[str, Any], files: list[int]) -> None:
    """Run the verb as ``__main__`` does, in this process, and end it."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.path[0] = asked["cwd"]
    sys.argv = ["durable_core", *asked["arguments"]]
    code: Any = 1
    try:
        from durable_core.cli import main

        main(prog_name="python -m durable_core")
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001  as the interpreter reports it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
