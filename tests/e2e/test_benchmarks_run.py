"""Every workload runs, in small, through the command that measures: a benchmark that nobody runs rots."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.catalogue import WORKLOADS
from benchmarks.results import Line

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"w3": 20, "w3short": 20, "w4": 10, "w8chain": 20, "w8fan": 20, "floor": 3, "idle": 1}


def measure(folder: Path, *arguments: str) -> list[Line]:
    """One repetition of workloads on the embedded store, measured at once; the result lines."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DURABLE_", "AzureWebJobs"))}
    always = ["--store", "sqlite", "--reps", "1", "--quiet", "0", "--results", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *always, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(folder.glob("store-*")), "the store was left behind"
    return results.read(folder)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Line]:
    """The line of each workload, of one run."""
    names = ",".join(f"{each.name}x{SMALL.get(each.name, 3)}" for each in WORKLOADS)
    found = measure(tmp_path_factory.mktemp("results"), "--workloads", names)
    return {line["w"].partition("x")[0]: line for line in found}


@pytest.mark.parametrize("name", [each.name for each in WORKLOADS])
def test_a_workload_gives_every_figure_that_is_shown_of_it(lines: dict[str, Line], name: str) -> None:
    line = lines[name]
    assert not results.has_failed(line), line
    for metric in next(each.metrics for each in WORKLOADS if each.name == name):
        assert metric.of(line) is not None, f"{metric.key} is missing: {line}"
    assert "foreign_cores" in line and "cpu_s" in line


def test_nothing_is_missing_after_a_kill_and_what_ran_twice_is_counted(lines: dict[str, Line]) -> None:
    line = lines["w7"]
    assert (line["missing"], line["not_completed"]) == (0, 0)
    assert line["executions"] == 30 + line["dups"]
    assert 15 <= line["lines_at_kill"] <= line["executions"]


def test_a_workload_that_fails_is_kept_as_failed_and_stops_no_other(tmp_path: Path) -> None:
    found = measure(tmp_path, "--workloads", "w1x1,w3x2,w1hx1", "--timeout", "0.001")
    assert [line["w"] for line in found] == ["w1x1", "w3x2", "w1hx1"]
    assert all(line["error"].startswith("TimeoutError") for line in found)
