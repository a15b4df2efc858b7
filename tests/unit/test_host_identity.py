"""Every process has an id of its own, which is short and stays the same."""

from __future__ import annotations

import os
import subprocess
import sys

from durable_core.runtime.host_identity import ID_LENGTH, this_process

PRINT = "from durable_core.runtime.host_identity import this_process; print(this_process().id)"


def test_a_process_has_one_identity() -> None:
    mine = this_process()
    assert mine == this_process()
    assert mine.pid == os.getpid()
    assert mine.name
    assert len(mine.id) == ID_LENGTH
    int(mine.id, 16)


def test_another_process_has_another_id() -> None:
    other = subprocess.run([sys.executable, "-c", PRINT], check=True, capture_output=True, text=True).stdout.strip()
    assert len(other) == ID_LENGTH
    assert other != this_process().id


def test_a_forked_process_has_an_id_of_its_own() -> None:
    code = f"{PRINT.partition('; ')[0]}\nimport os\nmine = this_process().id\n"
    code += "child = os.fork()\n"
    code += "assert (this_process().id == mine) == bool(child)\n"
    code += "if child:\n    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
