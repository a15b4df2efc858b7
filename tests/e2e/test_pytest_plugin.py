"""A user's project gets the fixture ``durable`` from the installed package, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

GREETING = """
from durable_core import Orchestration, OrchestrationContext, activity, orchestrator


@activity
def hello(name: str) -> str:
    return f"Hello, {name}"


@orchestrator
def greet(ctx: OrchestrationContext, name: str) -> Orchestration[str]:
    return (yield from ctx.call_activity(hello, name))
"""

TESTS = """
import random
import sys

from durable_core import Orchestration, OrchestrationContext, orchestrator


def test_the_settings_register_the_app(durable):
    assert durable.result(durable.start("greet", "Ada")) == "Hello, Ada"


@orchestrator
def gamble(ctx: OrchestrationContext) -> Orchestration[str]:
    return (yield from ctx.call_activity("hello", str(random.random())))


def test_a_mistake_is_found_when_the_test_has_ended(durable):
    durable.register(gamble)
    durable.start(gamble)
"""


def run_pytest(folder: Path, *arguments: str, path: Path | None = None) -> str:
    """Its output, in this folder, with no plugin but what an installed durable_core brings."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DURABLE_"))}
    environ["PYTHONPATH"] = str(path or folder)
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:timeout", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=240)
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "greeting.py").write_text(GREETING)
    (tmp_path / "test_greeting.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\ndurable_modules = greeting\nfilterwarnings = error\n")
    return tmp_path


def test_an_installed_package_brings_the_fixture(project: Path) -> None:
    output = run_pytest(project, "-v")
    assert "test_the_settings_register_the_app PASSED" in output, output
    assert "test_a_mistake_is_found_when_the_test_has_ended ERROR" in output, output
    assert "DeterminismError: orchestrator code used random.random at" in output, output


def test_whoever_does_not_use_it_does_not_load_the_package(project: Path) -> None:
    test = "import sys\n\n\ndef test_it():\n    assert not {'durable_core', 'pydantic'} & sys.modules.keys()\n"
    (project / "test_other.py").write_text(test)
    assert "1 passed" in (output := run_pytest(project, "test_other.py")), output


def test_the_fixture_is_listed_with_what_it_is(project: Path) -> None:
    assert "A ``durable_core.testing.TestEnvironment``" in run_pytest(project, "--fixtures", "-v")


def test_the_page_on_testing_shows_code_of_these_files() -> None:
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    shown = re.findall(r"<!-- (testing/\w+\.py) -->\n```python\n(.*?)```\n", page, re.DOTALL)
    assert len(shown) >= 5
    for file, code in shown:
        source = (ROOT / "docs" / "examples" / file).read_text("utf-8")
        assert _lines(code) in _lines(source), f"{file} no longer holds:\n{code}"


def _lines(code: str) -> str:
    """Without the indentation that a part of a function has in its file, and without empty lines."""
    return "\n".join(line.strip() for line in code.splitlines() if line.strip())


def test_the_tests_that_the_docs_show_pass_in_a_project_of_their_own(tmp_path: Path) -> None:
    shown = sorted((ROOT / "docs" / "examples" / "testing").glob("test_*.py"))
    assert shown
    for file in shown:
        shutil.copy(file, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    output = run_pytest(tmp_path, path=ROOT)
    assert " passed" in output, output
    assert "failed" not in output, output
    assert "error" not in output, output
