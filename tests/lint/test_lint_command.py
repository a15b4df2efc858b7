"""``python -m durable_core lint``: its exit codes, its formats, and what it says of rules."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from durable_core.cli import main
from durable_core.linter import RULES

CORPUS = Path(__file__).parent / "corpus"

WRONG = """\
import time
from durable_core import orchestrator
@orchestrator
def order(ctx):
    if time.time() > 5:
        print("late")
        yield from ctx.call_activity("a")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.py").write_text(WRONG, "utf-8")
    (tmp_path / "right.py").write_text("x = 1\n", "utf-8")
    return tmp_path


def lint(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["lint", *arguments], prog_name="durable_core")


def test_clean_files_exit_with_0(folder: Path) -> None:
    result = lint("right.py")
    assert (result.exit_code, result.output) == (0, "All checks passed: 0 orchestrators in 1 file.\n")


def test_where_a_path_is_missing_not_all_checks_have_passed(folder: Path) -> None:
    result = lint("right.py", "rihgt.py")
    assert result.exit_code == 2
    assert "No problem found in what was read: 0 orchestrators in 1 file." in result.output
    assert "All checks passed" not in result.output


def test_a_finding_exits_with_1_and_names_file_line_and_column(folder: Path) -> None:
    result = lint(".")
    assert result.exit_code == 1
    first, last = result.output.splitlines()
    assert first == "wrong.py:5:8: DC101 time.time() reads the clock; use ctx.current_utc_datetime"
    assert last.startswith("Found 1 problem (1 orchestrator in 2 files).")


def test_hints_are_told_when_asked_for_and_fail_nothing(folder: Path) -> None:
    (folder / "wrong.py").write_text(WRONG.replace("time.time() > 5", "ctx.version"), "utf-8")
    assert "DC309" not in lint("wrong.py").output
    result = lint("wrong.py", "--hints")
    assert "wrong.py:6:9: DC309 (hint) print()" in result.output
    assert result.exit_code == 0


def test_a_path_that_is_not_there_exits_with_2_and_the_rest_is_linted(folder: Path) -> None:
    result = lint("nowhere", "wrong.py")
    assert result.exit_code == 2
    assert "nowhere: there is no such file or folder" in result.output
    assert "DC101" in result.output


def test_a_file_that_cannot_be_parsed_exits_with_2_and_names_the_line(folder: Path) -> None:
    (folder / "broken.py").write_text("x = 1\ndef (:\n", "utf-8")
    (folder / "binary.py").write_bytes(b"\xff\xfe\x00")
    result = lint(".")
    assert result.exit_code == 2
    assert "broken.py:2: cannot be parsed" in result.output
    assert "binary.py: cannot be read as text" in result.output
    assert "DC101" in result.output


def test_nothing_to_lint_and_unknown_rules_are_usage_errors(folder: Path) -> None:
    assert lint().exit_code == 2
    unknown = lint("--explain", "DC000")
    assert unknown.exit_code == 2
    assert "there is no rule 'DC000'" in unknown.output


@pytest.mark.parametrize("code", RULES)
def test_a_rule_is_explained_with_what_why_instead_and_how_to_silence_it(code: str, folder: Path) -> None:
    result = lint("--explain", code.lower())
    assert result.exit_code == 0
    for part in ("What:", "Why:", "Instead:", "Wrong:", "Right:"):
        assert part in result.output
    assert (f"# durable: ignore[{code}]" in result.output) is not code.startswith("DC9")


def test_json_has_every_field(folder: Path) -> None:
    result = lint("wrong.py", "--format", "json", "--hints")
    found = json.loads(result.output)
    assert [(entry["path"], entry["line"], entry["code"], entry["hint"]) for entry in found] == [
        ("wrong.py", 5, "DC101", False),
        ("wrong.py", 6, "DC309", True),
    ]
    assert found[0]["orchestrator"] == "order"
    assert found[0]["replacement"] == "ctx.current_utc_datetime"
    assert json.loads(lint("right.py", "--format", "json").output) == []


def test_github_annotations_are_escaped(folder: Path) -> None:
    (folder / "100%, wrong.py").write_text(WRONG, "utf-8")
    first = lint("100%, wrong.py", "--format", "github").output.splitlines()[0]
    assert first.startswith("::error file=100%25%2C wrong.py,line=5,col=8,title=DC101::time.time() reads")


def test_a_finding_in_a_called_function_names_the_orchestrator_and_the_way_to_it() -> None:
    output = lint(str(CORPUS / "bad" / "shop")).output
    assert re.search(
        r"pricing\.py:\d+:\d+: DC201 random\.uniform\(\) draws random numbers; use ctx\.random "
        r"\(called from orchestrator 'order' through 'price_of' and 'base_price'\)",
        output,
    )


def test_functions_outside_of_the_paths_are_followed_but_their_comments_are_not_judged(folder: Path) -> None:
    (folder / "flow.py").write_text(
        "from durable_core import orchestrator\nfrom helper import late\n"
        "@orchestrator\ndef flow(ctx):\n    if late():\n        yield from ctx.call_activity('a')\n",
        "utf-8",
    )
    (folder / "helper.py").write_text(
        "import time\ndef late():\n    return time.time() > 5\nx = 1  # durable: ignore[DC101]\n", "utf-8"
    )
    output = lint("flow.py").output
    assert "helper.py:3:12: DC101" in output
    assert "DC901" not in output
    assert "DC901" in lint("flow.py", "helper.py").output


def test_virtual_environments_and_hidden_folders_are_passed_over(folder: Path) -> None:
    for name in (".venv", "venv", "__pycache__", ".python_packages"):
        (folder / name).mkdir()
        (folder / name / "wrong.py").write_text(WRONG, "utf-8")
    assert "in 2 files" in lint(".").output


def test_a_function_within_the_orchestrator_is_the_orchestrator_itself(folder: Path) -> None:
    (folder / "wrong.py").write_text(
        "import time\nfrom durable_core import orchestrator\n@orchestrator\ndef order(ctx):\n"
        "    def inner():\n        return time.time()\n    def outer():\n        return inner()\n"
        "    yield from ctx.wait_condition(outer)\n",
        "utf-8",
    )
    first = lint("wrong.py").output.splitlines()[0]
    assert first == "wrong.py:6:16: DC101 time.time() reads the clock; use ctx.current_utc_datetime"
