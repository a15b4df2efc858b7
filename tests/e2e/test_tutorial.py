"""The tutorial and the README's project work when typed as they stand: real hosts, a real ``kill -9``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.cli import PROJECT
from tests.support.hosts import free_port

PAGES = {"tutorial": PROJECT / "docs" / "tutorial.md", "README": PROJECT / "README.md"}
PATIENCE = 180.0  # seconds; a loaded machine is slow, and no test asserts a duration

_BLOCK = re.compile(
    r"<!-- (?:file: (?P<file>\S+)|run) -->\n```\w+\n(?P<text>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)
_END_OF_BLOCK = "--- end of a block ---"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_when_it_is_typed_as_it_stands(page: str, tmp_path: Path) -> None:
    """Its files are written, its commands run in one shell; each prints the lines that the page shows below
    it, in that order.

    The virtual environment is the one that the tests run in: installing into a new one takes a network.
    """
    (tmp_path / ".venv").symlink_to(sys.prefix)
    text = PAGES[page].read_text("utf-8")
    for given in re.findall(r"--port (\d+) > host.log", text)[:1]:
        text = text.replace(given, str(free_port()))
    blocks = list(_BLOCK.finditer(text))
    runs = [block for block in blocks if block["file"] is None]
    for block in blocks:
        if block["file"] is not None:
            (tmp_path / block["file"]).parent.mkdir(exist_ok=True)
            (tmp_path / block["file"]).write_text(block["text"], "utf-8")

    outputs = run_in_one_shell([block["text"] for block in runs], tmp_path)

    assert len(outputs) == len(runs) > 0
    for block, output in zip(runs, outputs, strict=True):
        at = 0
        for line in (block["shown"] or "").splitlines():
            at = output.find(line, at) + len(line)
            assert at >= len(line), f"the page shows {line!r} after\n{block['text']}\nbut it was\n{output}"


def run_in_one_shell(commands: list[str], folder: Path) -> list[str]:
    """What each block of commands prints, in one bash; what they leave running is killed."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DURABLE_", "AzureWebJobs"))}
    script = f"\necho '{_END_OF_BLOCK}'\n".join(["set -u", *commands, ""])
    shell = subprocess.Popen(
        ["bash", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(PROJECT)},
        start_new_session=True,
    )
    try:
        printed, _ = shell.communicate(timeout=PATIENCE)
    finally:
        with suppress(ProcessLookupError):  # everything has ended by itself
            os.killpg(shell.pid, signal.SIGKILL)
    return printed.split(_END_OF_BLOCK)[1:-1]
