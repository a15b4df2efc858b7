"""What measures scale runs, in small: hosts that count, control apart from work, instances that wait."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.results import Line
from benchmarks.scale import idle, many_hosts
from benchmarks.scale.host_group import Group
from benchmarks.scale.many_hosts import Case, Load

CHAINS = Load(name="few", title="few chains", orchestrator="chain", data={"sqlite": 3}, instances={"sqlite": 6})
FAN = Load(name="narrow", title="a fan-out", orchestrator="fan", data={"sqlite": 30}, instances={"sqlite": 1})


def silent(_: str) -> None:
    pass


async def measure(load: Load, hosts: str, folder: Path, *, azure_like: bool = False) -> Line:
    case = Case(load=load, group=Group.named(hosts), variant="sqlite", azure_like=azure_like)
    return await many_hosts.measure(case, silent, 0.0, folder)


@pytest.mark.parametrize(("hosts", "azure_like"), [("1", False), ("2", True)])
async def test_hosts_count_what_they_ask_of_the_store(hosts: str, azure_like: bool, tmp_path: Path) -> None:
    line = await measure(CHAINS, hosts, tmp_path, azure_like=azure_like)
    assert (line["hosts"], line["azure_like"], line["activities"]) == (hosts, azure_like, 18)
    assert line["act_per_s"] > 0
    assert line["by_kind"]["table.insert"] >= 2 * 6, "a start inserts two rows"
    assert line["operations"] >= sum(count for kind, count in line["by_kind"].items() if kind == "table.merge") > 0
    assert not [name for name in os.listdir(tmp_path) if name.startswith("store-")], "the store was left behind"


async def test_hosts_of_control_and_hosts_of_work_share_a_fan_out(tmp_path: Path) -> None:
    line = await measure(FAN, "1+1", tmp_path)
    assert line["activities"] == 30
    assert line["by_kind"]["queue.send"] > 30, "a message for each activity, and at least one with results"
    assert line["conflicts"] == 0


async def test_instances_that_wait_are_started_and_get_their_event(tmp_path: Path) -> None:
    line = await idle.measure(5, silent, 0.0, tmp_path)
    assert line["instances"] == line["n"] == 5
    assert line["started_per_s"] > 0 and line["rss_mb"] > 0 and line["p50_ms"] > 0
