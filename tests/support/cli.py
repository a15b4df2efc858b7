"""``python -m durable_core`` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def run_cli(
    *arguments: object, stdin: str = "", env: Mapping[str, str] | None = None, cwd: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end, with none of this machine's own settings."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DURABLE_", "AzureWebJobs"))}
    return subprocess.run(
        [sys.executable, "-m", "durable_core", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**inherited, "PYTHONPATH": str(PROJECT), **(env or {})},
        timeout=120,
        check=False,
    )
