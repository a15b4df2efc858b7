"""The performance page: made of any lines, it says what was measured, what failed and what was not reached."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import results
from benchmarks.catalogue import USUAL, parse
from benchmarks.comparison import Peers
from benchmarks.profiles import profile_file
from benchmarks.report_page import CHART, main, render
from benchmarks.results import Line

from .test_benchmarks_comparison import line, times


def a_line_of_every_workload(variant: str, value: float) -> list[Line]:
    return [
        line(each.label, variant=variant, foreign_cores=0.01)
        | {m.key: {"host": {"rss": value}} if m.key == "mem_mb" else value for m in each.workload.metrics}
        for each in parse(USUAL)
    ]


def page_of(lines: list[Line], profiles: Path) -> str:
    return render(lines, Peers(), "a machine", profiles)[0]


def test_every_workload_has_a_row_on_either_store(tmp_path: Path) -> None:
    page = page_of([*a_line_of_every_workload("sqlite", 2.0), *a_line_of_every_workload("azurite", 3.0)], tmp_path)
    for each in parse(USUAL):
        if each.workload.name != "floor":
            assert f"| {each.title} |" in page
    assert "| Workload |  | embedded store | ratio | Azurite | ratio | best durable peer |" in page
    assert "durabletask \\*" in page  # its figures are shown, and marked


def test_the_page_says_where_a_peer_is_ahead_and_which_aims_were_missed(tmp_path: Path) -> None:
    page = page_of(times("w4", 2.88), tmp_path)
    assert "- W4 one chain of 1,000, s: 2.88, ratio 0.50" in page
    assert "- W4 one chain of 1,000, s, embedded store: 2.88, aim at most 0.4" in page
    good = page_of(times("w4", 0.1), tmp_path)
    assert "On no row is a durable peer ahead of the embedded store." in good
    assert "All of our own aims were reached." in good


def test_a_workload_that_failed_is_shown_as_failed_and_missed(tmp_path: Path) -> None:
    page = page_of([line("w6", wall_s=0.01, lost=2)], tmp_path)
    assert "| failed |" in page
    assert "W6 200 waiting instances get their event, s, embedded store: failed, aim at most 0.1" in page
    assert "1 repetitions, of which 1 failed" in page


def test_a_disturbed_machine_is_said_to_be_one(tmp_path: Path) -> None:
    page = page_of([line("w4", wall_s=1.0, foreign_cores=1.2), line("w4", 1, wall_s=1.0, foreign_cores=0.1)], tmp_path)
    assert "1 of 2 repetitions were disturbed" in page
    assert "The machine was busy" in page
    assert "The machine was busy" not in page_of([line("w4", wall_s=1.0, foreign_cores=0.1)], tmp_path)


def test_the_floor_stands_beside_what_is_built_on_it(tmp_path: Path) -> None:
    lines = [line("floor", merge_ms=0.5, transaction_ms=0.25), *times("w4", 1.0), line("w2", act_per_s=4000.0)]
    page = page_of(lines, tmp_path)
    assert "| W4, for each activity | 1.000 | 2 | 4 |" in page
    assert "| W2, for each activity | 0.250 | 0.5 | 1 |" in page


def test_profiles_that_were_kept_are_shown(tmp_path: Path) -> None:
    profile_file(tmp_path, "sqlite", "w2").write_text("the dearest function\n")
    assert "```text\nthe dearest function\n```" in page_of(times("w4", 1.0), tmp_path)


def test_the_command_writes_the_page_and_the_same_chart_each_time(tmp_path: Path) -> None:
    for each in a_line_of_every_workload("sqlite", 0.5):
        results.keep(each, tmp_path / "results")
    arguments = ["--results", str(tmp_path / "results"), "--docs", str(tmp_path / "docs")]
    charts: list[str] = []
    for _ in range(2):
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        charts.append((tmp_path / "docs" / CHART).read_text())
    assert charts[0] == charts[1]
    assert ElementTree.fromstring(charts[0]).tag.endswith("}svg")
    assert "w4 s" in charts[0]
    assert f"]({CHART})" in (tmp_path / "docs" / "performance.md").read_text()


def test_peers_lines_come_into_the_page(tmp_path: Path) -> None:
    for each in times("w4", 0.5):
        results.keep(each, tmp_path / "results")
    for each in times("w4", 1.5, engine="other", variant="disk"):
        results.keep(each, tmp_path / "peers")
    arguments = ["--results", str(tmp_path / "results"), "--docs", str(tmp_path), "--peers", str(tmp_path / "peers")]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert "other disk" in (tmp_path / "performance.md").read_text()


@pytest.mark.parametrize("others", [[], times("w4", 1.0, engine="other")])
def test_without_lines_of_ours_there_is_no_page(tmp_path: Path, others: list[Line]) -> None:
    for each in others:
        results.keep(each, tmp_path)
    done = CliRunner().invoke(main, ["--results", str(tmp_path), "--docs", str(tmp_path)])
    assert done.exit_code != 0
    assert "run make bench first" in done.output
    assert not (tmp_path / "performance.md").exists()
