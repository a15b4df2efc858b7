"""The types that users see are part of the product: pyright, in strict mode, is the judge."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parent / "cases"
ROOT = Path(__file__).parents[2]


def complaints(case: Path, folder: Path) -> dict[int, str]:
    """What pyright says of a file, by line."""
    pyright = shutil.which("pyright") or str(Path(sys.executable).with_name("pyright"))
    shutil.copy(case, folder)
    settings = {"include": ["."], "strict": ["**"], "extraPaths": [str(ROOT)], "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1, done.stdout + done.stderr
    return {
        entry["range"]["start"]["line"] + 1: entry["message"]
        for entry in report["generalDiagnostics"]
        if entry["severity"] == "error"
    }


def named(ending: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", sorted(CASES.glob(f"*{ending}.py")), ids=lambda case: case.stem)


@named("accepted")
def test_the_types_that_an_orchestrator_sees_are_those_of_its_activities(case: Path, tmp_path: Path) -> None:
    assert complaints(case, tmp_path) == {}


@named("refused")
def test_a_wrong_input_and_a_wrong_use_of_a_result_are_refused_where_they_stand(case: Path, tmp_path: Path) -> None:
    marked = {at for at, line in enumerate(case.read_text().splitlines(), 1) if line.endswith("# refused")}
    assert set(complaints(case, tmp_path)) == marked
