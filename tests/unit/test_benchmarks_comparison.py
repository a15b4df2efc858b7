"""What the benchmarks make of result lines: medians, failed repetitions, the best durable peer, ratios."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import results
from benchmarks.catalogue import USUAL, WORKLOADS, parse
from benchmarks.comparison import Peer, Peers, Row, number, rows
from benchmarks.results import FAILED, Line, median
from benchmarks.workloads import percentile


def line(w: str, rep: int = 0, *, engine: str = "durable_core", variant: str = "sqlite", **figures: Any) -> Line:
    return {"engine": engine, "variant": variant, "w": w, "rep": rep, **figures}


def times(w: str, *walls: float, engine: str = "durable_core", variant: str = "sqlite") -> list[Line]:
    return [line(w, rep, engine=engine, variant=variant, wall_s=wall) for rep, wall in enumerate(walls)]


def only_row(w: str, ours: list[Line], peers: list[Line]) -> Row:
    (found,) = [row for row in rows(ours, parse(w), ["sqlite"], Peers(lines=peers)) if row.metric.compared]
    return found


class TestMedians:
    metric = parse("w3")[0].workload.metrics[0]

    def test_the_median_is_of_the_repetitions_that_succeeded(self) -> None:
        lines = [*times("w3", 3.0, 1.0, 2.0), line("w3", 3, error="TimeoutError: ")]
        assert median(lines, self.metric) == 2.0

    def test_a_workload_has_failed_when_half_of_its_repetitions_have(self) -> None:
        assert median([*times("w3", 1.0), line("w3", 1, error="TimeoutError: ")], self.metric) is FAILED

    @pytest.mark.parametrize("figure", ["lost", "missing", "not_completed"])
    def test_a_repetition_that_lost_something_has_failed_however_fast_it_was(self, figure: str) -> None:
        assert median([line("w3", wall_s=0.1) | {figure: 1}], self.metric) is FAILED
        assert median([line("w3", wall_s=0.1) | {figure: 0}], self.metric) == 0.1

    def test_activities_that_ran_twice_are_counted_and_are_no_failure(self) -> None:
        assert median([line("w3", wall_s=0.1, dups=3)], self.metric) == 0.1

    def test_no_line_is_no_median(self) -> None:
        assert median([], self.metric) is None

    def test_memory_is_the_sum_of_an_engines_processes(self) -> None:
        (memory,) = parse("idle")[0].workload.metrics
        assert memory.of(line("idle", mem_mb={"server": {"rss": 100.5, "pss": 90}, "worker": {"rss": 50}})) == 150.5

    def test_percentiles_are_of_the_nearest_rank(self) -> None:
        assert [percentile([4, 1, 3, 2], share) for share in (1, 50, 75, 99)] == [1, 2, 3, 4]


class TestRatios:
    def test_of_times_it_is_theirs_to_ours(self) -> None:
        # of a size that nobody has published, so that only these lines count
        row = only_row("w3x77", times("w3x77", 0.5), times("w3x77", 2.0, engine="other"))
        assert (row.best, row.ratio("sqlite")) == (Peer("other", "sqlite"), 4.0)

    def test_of_rates_it_is_ours_to_theirs(self) -> None:
        row = only_row("w2hx77", [line("w2hx77", act_per_s=300.0)], [line("w2x77", engine="other", act_per_s=100.0)])
        assert row.ratio("sqlite") == 3.0

    def test_below_one_we_are_behind(self) -> None:
        row = only_row("w3x77", times("w3x77", 4.0), times("w3x77", 2.0, engine="other"))
        assert row.ratio("sqlite") == 0.5

    def test_the_best_peer_is_the_best_that_is_durable(self) -> None:
        fast = [*times("w3x77", 0.1, engine="other", variant="memory"), *times("w3x77", 0.2, engine="durabletask")]
        row = only_row("w3x77", times("w3x77", 1.0), [*fast, *times("w3x77", 2.0, engine="other")])
        assert (row.best, row.ratio("sqlite")) == (Peer("other", "sqlite"), 2.0)
        assert row.peers[Peer("other", "memory")].value == 0.1  # shown all the same

    def test_where_no_store_takes_part_every_peer_counts(self) -> None:
        ours = [line("w8chainx77", wall_ms=10.0)]
        row = only_row("w8chainx77", ours, [line("w8chainx77", engine="durabletask", wall_ms=20.0)])
        assert row.ratio("sqlite") == 2.0

    def test_a_peer_that_failed_is_never_the_best(self) -> None:
        failed = [line("w6x77", engine="quick", wall_s=0.1, lost=1)]
        row = only_row("w6x77", times("w6x77", 1.0), [*failed, *times("w6x77", 3.0, engine="other")])
        assert (row.best, row.ratio("sqlite")) == (Peer("other", "sqlite"), 3.0)
        assert row.peers[Peer("quick", "sqlite")].value is FAILED

    def test_where_we_failed_there_is_no_ratio(self) -> None:
        row = only_row("w6x77", [line("w6x77", wall_s=0.1, lost=1)], times("w6x77", 3.0, engine="other"))
        assert (number(row.ours["sqlite"]), row.ratio("sqlite")) == ("failed", None)

    def test_of_two_ways_to_write_a_workload_a_peers_better_one_counts(self) -> None:
        both = [*times("w3x77", 38.0, engine="other"), *times("w3callx77", 3.4, engine="other")]
        assert only_row("w3x77", times("w3x77", 1.0), both).ratio("sqlite") == 3.4

    def test_a_library_is_compared_in_process_and_a_server_over_the_network(self) -> None:
        peers = [line("w2x77", engine="dbos", act_per_s=50.0), line("w2x77", engine="server", act_per_s=100.0)]
        assert only_row("w2x77", [line("w2x77", act_per_s=150.0)], peers).ratio("sqlite") == 3.0
        assert only_row("w2hx77", [line("w2hx77", act_per_s=150.0)], peers).ratio("sqlite") == 1.5
        both = [*times("w6x77", 3.0, engine="dbos"), *times("w6x77", 2.0, engine="server")]
        assert only_row("w6x77", times("w6x77", 1.0), both).ratio("sqlite") == 2.0  # elsewhere with the best of all

    def test_what_was_measured_along_with_us_goes_before_what_was_measured_elsewhere(self) -> None:
        peers = times("w4", 9.0, engine="dbos")  # published: Restate at 1.44, on another machine
        assert only_row("w4", times("w4", 3.0), peers).ratio("sqlite") == 3.0


class TestPublishedFigures:
    def test_they_stand_in_where_no_lines_are_given(self) -> None:
        (row,) = rows(times("w4", 0.72), parse("w4"), ["sqlite"], Peers())
        assert (row.best, row.ratio("sqlite")) == (Peer("restate", "default"), pytest.approx(2.0))

    def test_lines_go_before_them_and_what_is_older_is_marked(self) -> None:
        peers = Peers(lines=times("w4", 0.9, engine="restate", variant="default"))
        (row,) = rows(times("w4", 0.3), parse("w4"), ["sqlite"], peers)
        assert row.ratio("sqlite") == pytest.approx(3.0)
        shown = {str(peer): peers.text(value) for peer, value in row.peers.items()}
        assert (shown["restate"], shown["dbos sqlite"]) == ("0.9", "2.84†")

    def test_every_figure_of_them_belongs_to_a_workload(self) -> None:
        from benchmarks.published import MEDIANS

        known = {(name, metric.key) for each in WORKLOADS for name in each.against for metric in each.metrics}
        for figures in MEDIANS.values():
            assert {(w.partition("x")[0], key) for w, key in figures} <= known


class TestLines:
    def test_a_kept_line_is_read_again(self, tmp_path: Path) -> None:
        for rep in (0, 1):
            results.keep(line("w3", rep, wall_s=1.23456789), tmp_path)
        assert results.read(tmp_path) == [line("w3", 0, wall_s=1.2346), line("w3", 1, wall_s=1.2346)]

    def test_earlier_lines_are_put_aside_and_not_read(self, tmp_path: Path) -> None:
        results.keep(line("w3", wall_s=9.0), tmp_path)
        results.forget(tmp_path, "sqlite")
        results.keep(line("w3", wall_s=1.0), tmp_path)
        assert [each["wall_s"] for each in results.read(tmp_path)] == [1.0]
        assert (tmp_path / "durable_core-sqlite.earlier").exists()

    @pytest.mark.parametrize("text", ["{", "[]", json.dumps({"engine": "x", "w": "w1"})])
    def test_a_broken_line_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "other.jsonl").write_text(json.dumps(line("w1")) + "\n" + text + "\n")
        with pytest.raises(ValueError, match=r"other\.jsonl, line 2"):
            results.read(tmp_path)

    def test_a_folder_without_lines_of_others_is_refused(self, tmp_path: Path) -> None:
        results.keep(line("w3", wall_s=9.0), tmp_path)
        with pytest.raises(ValueError, match="no result lines of other engines"):
            Peers.read(tmp_path)

    def test_our_own_lines_among_theirs_are_left_out(self, tmp_path: Path) -> None:
        results.keep(line("w3", wall_s=9.0), tmp_path)
        results.keep(line("w3", engine="other", wall_s=2.0), tmp_path)
        assert {each["engine"] for each in Peers.read(tmp_path).lines} == {"other"}


class TestNames:
    def test_the_usual_workloads_are_all_of_them(self) -> None:
        assert {each.workload.name for each in parse(USUAL)} == {each.name for each in WORKLOADS}

    def test_a_size_follows_an_x_unless_it_is_the_usual_one(self) -> None:
        assert [(each.label, each.size) for each in parse("w3x5000,w3x1000,w1")] == [
            ("w1", 200),
            ("w3", 1000),
            ("w3x5000", 5000),
        ]

    @pytest.mark.parametrize("name", ["w99", "w1x0", "w1xmany", ""])
    def test_what_is_none_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="no workload"):
            parse(name)
