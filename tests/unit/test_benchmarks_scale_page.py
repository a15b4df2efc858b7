"""The section on scale: made of any lines, it says how cost grows, what waiting costs, and what more hosts bring."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from click.testing import CliRunner

from benchmarks import results
from benchmarks.report_page import main
from benchmarks.results import Line
from benchmarks.scale.lines import Part, folder_of
from benchmarks.scale.page import CURVES, draw_curves, section

from .test_benchmarks_comparison import times


def keep(folder: Path, part: Part, lines: list[Line]) -> None:
    for each in lines:
        results.keep(each, folder_of(folder, part))


def page_of(folder: Path) -> str:
    return "\n".join(section(folder))


def grown(power: float) -> list[Line]:
    return [
        {
            "engine": "durable_core",
            "variant": "simulated",
            "w": "growth-length",
            "size": size,
            "operations": round(10 * size**power),
            "written": 400 * size,
            "calls": 700 * size,
        }
        for size in (10, 100, 1000)
    ]


def waiting(instances: int, p50: float) -> Line:
    line: Line = {"engine": "durable_core", "variant": "sqlite", "w": "idle-waiting", "instances": instances}
    line |= {"rss_mb": 60.0 + instances / 1000, "p50_ms": p50, "p99_ms": 2 * p50, "file_mb": 1.0, "foreign_cores": 0.0}
    return line | ({"bytes_each": 1048.6, "accepted_per_s": 900.0, "started_per_s": 800.0} if instances else {})


def hosted(hosts: str, rate: float, operations: int, conflicts: int = 0) -> Line:
    return {
        "engine": "durable_core",
        "variant": "sqlite",
        "w": "hosts-chains",
        "hosts": hosts,
        "azure_like": False,
        "act_per_s": rate,
        "activities": 1000,
        "operations": operations,
        "conflicts": conflicts,
        "cpu_s": {"driver": 5.0, "host0": 0.5, "host1": 0.5},
        "foreign_cores": 0.0,
    }


def test_without_lines_there_is_no_section(tmp_path: Path) -> None:
    assert page_of(tmp_path) == ""
    draw_curves(tmp_path, tmp_path)
    assert not (tmp_path / CURVES).exists()


def test_exponents_are_those_of_the_lines(tmp_path: Path) -> None:
    keep(tmp_path / "a", "growth", grown(1.0))
    assert "| length of a chain | 10 to 1,000 | 1.00 | 1.00 | 1.00 | 10.00 | 10.00 |" in page_of(tmp_path / "a")
    keep(tmp_path / "b", "growth", grown(2.0))
    assert "| length of a chain | 10 to 1,000 | 2.00 |" in page_of(tmp_path / "b")


def test_the_curves_are_the_same_file_each_time_and_name_their_exponents(tmp_path: Path) -> None:
    keep(tmp_path, "growth", grown(1.5))
    texts: list[str] = []
    for _ in range(2):
        draw_curves(tmp_path, tmp_path)
        texts.append((tmp_path / CURVES).read_text())
    assert texts[0] == texts[1]
    assert ElementTree.fromstring(texts[0]).tag.endswith("}svg")
    assert "length of a chain: 1.50" in texts[0]


def test_an_event_among_many_is_held_against_one_alone(tmp_path: Path) -> None:
    keep(tmp_path, "idle", [waiting(10_000, 5.0), waiting(0, 4.0), waiting(10_000, 7.0)])
    rows = [line for line in page_of(tmp_path).splitlines() if line.startswith(("| 0 ", "| 10,000 "))]
    assert rows == [
        "| 0 | 60 | - | - | - | - | 1 | 4.0 | 8.0 | 1.00 |",
        "| 10,000 | 70 | 1,049 | 900 | 800 | - | 1 | 6.0 | 12.0 | 1.50 |",
    ]


def test_a_group_is_held_against_one_host(tmp_path: Path) -> None:
    keep(tmp_path, "hosts", [hosted("1", 800, 3000), hosted("2", 1200, 3600, 36), hosted("1+1", 400, 4500)])
    page = page_of(tmp_path)
    assert "| chains of 10 | one host | 800 | 1.00 | 1.00 | 3.00 | 1.00 | 0 | 0.0% |" in page
    assert "| chains of 10 | 2 hosts | 1,200 | 1.50 | 1.00 | 3.60 | 1.20 | 36 | 1.0% |" in page
    assert "No group takes more than 1.50 times the operations of one host, nor more than 1.00 times the CPU" in page
    assert "Less work gets done than by one host: chains of 10, 1 for control, 1 for work (0.50)." in page


def test_more_than_twice_the_operations_is_said_aloud(tmp_path: Path) -> None:
    keep(tmp_path, "hosts", [hosted("1", 800, 3000), hosted("4", 900, 6300)])
    assert "**A group takes 2.10 times the operations of one host: more than twice**" in page_of(tmp_path)


def test_on_a_busy_machine_nobody_is_called_slower(tmp_path: Path) -> None:
    busy = [line | {"foreign_cores": 1.5} for line in (hosted("1", 800, 3000), hosted("2", 400, 3000))]
    keep(tmp_path, "hosts", busy)
    page = page_of(tmp_path)
    assert "The machine was busy" in page
    assert "Less work" not in page


def test_the_section_stands_in_the_page_with_its_image(tmp_path: Path) -> None:
    for each in times("w4", 0.5):
        results.keep(each, tmp_path / "results")
    keep(tmp_path / "results", "growth", grown(1.0))
    arguments = ["--results", str(tmp_path / "results"), "--docs", str(tmp_path / "docs")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "docs" / "performance.md").read_text()
    assert "## Scale on this machine" in page
    assert f"]({CURVES})" in page
    assert (tmp_path / "docs" / CURVES).exists()
    assert "1 repetitions" in page, "lines of scale are no repetitions of the workloads"
