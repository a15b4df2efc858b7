"""What is installed says that it is typed, and holds every module."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_build_ships_py_typed_and_every_module(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "durable_core", source / "durable_core", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "requirements.txt", "LICENSE"):
        shutil.copy(ROOT / name, source)
    built = subprocess.run(  # what a wheel packs, without the package that makes a zip of it
        [sys.executable, "-c", "from setuptools import setup; setup()", "build_py", "--build-lib", "built"],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    shipped = {str(path.relative_to(source / "built")) for path in (source / "built").rglob("*")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "durable_core").rglob("*.py")}
    assert modules <= shipped
    assert "durable_core/py.typed" in shipped
