"""The group of verbs: quick to start, complete in the documentation, and the names that the package exports."""

from __future__ import annotations

import platform
import resource
import sqlite3
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

import durable_core
from durable_core.cli import installed, main
from durable_core.cli.verbs import VERBS
from tests.support.cli import run_cli

PROJECT = Path(__file__).resolve().parents[2]


def test_help_imports_no_runtime_no_sdk_and_no_server() -> None:
    code = (
        "import sys\nfrom durable_core.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit as end: assert end.code == 0\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=PROJECT)
    own = {f"durable_core.{part}" for part in ("runtime", "hosting", "engine", "storage")}
    loaded = set(done.stderr.split())
    assert not {"azure", "aiohttp", "asyncio", "logging", "sqlite3", "pydantic", "rich", *own} & loaded
    assert not {f"durable_core.cli.{verb.module}" for verb in VERBS.values()} & loaded
    assert len([name for name in loaded if name.startswith("durable_core")]) <= 12


def test_help_takes_less_time_than_the_import_of_the_client() -> None:
    """Of the processor, so that a busy machine does not matter much."""

    def seconds_of(*arguments: str) -> float:
        taken: list[float] = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True, cwd=PROJECT)
            taken.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
        return min(taken)

    assert seconds_of("-m", "durable_core", "--help") < seconds_of("-c", "from durable_core import DurableClient")


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_is_found_and_documented(verb: str) -> None:
    command = main.get_command(click.Context(main), verb)
    assert command is not None and command.name == verb
    assert command.get_short_help_str(1000) == VERBS[verb].summary
    page = (PROJECT / "docs" / "cli.md").read_text("utf-8")
    assert f"`{verb}`" in page or f"`{verb} " in page


def test_every_option_of_a_place_and_a_filter_is_documented() -> None:
    page = (PROJECT / "docs" / "cli.md").read_text("utf-8")
    command = main.get_command(click.Context(main), "list")
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in ("top", "every"):
            assert parameter.opts[0] in page, parameter.opts


def test_the_exported_names_are_those_that_are_imported_on_demand() -> None:
    code = "import durable_core as d; print(len([getattr(d, name) for name in d.__all__]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert int(done.stdout) == len(durable_core.__all__) == len(set(durable_core.__all__))
    assert set(durable_core.__all__) <= set(dir(durable_core))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        getattr(durable_core, "Nonsense")  # noqa: B009


def test_the_version_is_printed() -> None:
    lines = run_cli("--version").stdout.splitlines()
    assert lines[0] == f"durable_core {durable_core.__version__}"
    assert lines[1].startswith(f"Python {platform.python_version()} (")
    assert lines[2] == f"SQLite {sqlite3.sqlite_version}"
    assert {line.split(" ")[0] for line in lines[3:]} == set(installed.SHOWN)
    assert f"aiohttp {version('aiohttp')}" in lines
    assert run_cli("--version", "list").stdout.splitlines() == lines


def test_a_package_that_is_missing_is_printed_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "SHOWN", ("no-such-package-of-ours",))
    assert installed.versions().splitlines()[-1] == "no-such-package-of-ours is not installed"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_asks_the_command(shell: str) -> None:
    script = run_cli("completion", shell)
    assert script.returncode == 0
    assert "_DURABLE_CORE_COMPLETE" in script.stdout


def test_the_shell_completes_verbs_and_options() -> None:
    asked = {"_DURABLE_CORE_COMPLETE": "bash_complete", "COMP_WORDS": "durable_core ter", "COMP_CWORD": "1"}
    code = "import sys; sys.argv[0] = 'durable_core'; from durable_core.cli import main; main(prog_name='durable_core')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**asked, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,terminate"], done.stderr


@pytest.mark.parametrize("arguments", [["\x1b[2Jverb"], ["list", "--\x1b[2J"], ["list", "--status", "\x1b[2J"]])
def test_what_is_typed_wrongly_is_shown_escaped(arguments: list[str]) -> None:
    refused = run_cli(*arguments)
    assert refused.returncode == 2
    assert "\\x1b[2J" in refused.stderr and "\x1b" not in refused.stderr
