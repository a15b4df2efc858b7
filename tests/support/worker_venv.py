"""A Python with what Azure installs, and Azure's worker library: made once, kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
LIBRARY = "azure-functions-runtime>=1.3,<2"  # needs Python 3.13
STREAMING = "azurefunctions-extensions-http-fastapi>=1,<2"
CACHE = Path.home() / ".cache" / "durable_core" / "worker-venv"


def find_python() -> str | None:
    """A Python 3.13 of pyenv or on the PATH that really starts (pyenv's stand-ins on the PATH may not), else None."""
    installed = sorted(Path.home().glob(".pyenv/versions/3.13*/bin/python3.13"), reverse=True)
    on_path = shutil.which("python3.13")
    for candidate in [*map(str, installed), *([on_path] if on_path else [])]:
        if subprocess.run([candidate, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def worker_python(base: str) -> str:
    """The Python of the cached environment, made on first use. CalledProcessError with pip's words if that fails."""
    wanted = (PROJECT / "requirements.txt").read_text() + LIBRARY + STREAMING + base
    folder = CACHE / hashlib.sha256(wanted.encode()).hexdigest()[:16]
    python, finished = folder / "bin" / "python", folder / "finished"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs must not build the same environment
        if not finished.exists():
            subprocess.run([base, "-m", "venv", "--clear", folder], check=True)
            requirements = ["-r", str(PROJECT / "requirements.txt"), LIBRARY, STREAMING]
            subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
            finished.touch()
    return str(python)


def run_in_worker(
    python: str, app: Path, steps: Sequence[Mapping[str, Any]], env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Take the steps (see ``worker_library``) with this app in a process of its own; returns what it printed."""
    scrubbed = ("DURABLE_", "AzureWebJobs", "AzureFunctionsJobHost", "TINY_", "PYTHON")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(scrubbed)}
    done = subprocess.run(
        [python, str(PROJECT / "tests" / "support" / "worker_library.py"), str(app)],
        input=json.dumps(list(steps)),
        env=inherited | {"PYTHONPATH": str(PROJECT), **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
