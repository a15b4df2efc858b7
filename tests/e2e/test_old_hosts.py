"""A host of a build that knows no rewinds, taken out of the history of this repository, beside one of this build."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from tests.support.cli import run_cli
from tests.support.hosts import PROJECT, HostProcess
from tests.support.http_client import HttpClient

APP = PROJECT / "tests" / "e2e" / "apps" / "repaired"
BEFORE_REWINDS = "49ac342^"
BEFORE_HEADERS = "c997fac"
BEFORE_CAUSES = "18ec4b9^"  # knows rewinds, and does not record which tasks have ended a run


@orchestrator
def order(ctx: OrchestrationContext) -> Orchestration[None]:
    """Stands for that of the hosts where it is started; it runs there."""
    yield from ctx.wait_for_external_event("go")


def build_of(commit: str, folder: Path) -> Path:
    """The package as it was before this commit. A copy without its history skips the test."""
    packed = subprocess.run(["git", "archive", commit, "durable_core"], cwd=PROJECT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"this copy of the repository has no commit {commit}: {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def host_of(folder: Path, name: str, package: Path = PROJECT) -> HostProcess:
    env = {"PYTHONPATH": str(package), "RAN": str(folder / "ran"), "BROKEN": str(folder / "broken")}
    return HostProcess(folder, app=APP, env=env | {"DURABLE_APP_BUILD": "one"}, name=name)


async def until_failed(http: HttpClient, instance_id: str) -> None:
    await http.wait_until(instance_id, lambda shown: shown["runtimeStatus"] == "Failed")


async def test_a_host_that_knows_no_rewinds_leaves_a_rewound_instance_to_one_that_does(tmp_path: Path) -> None:
    old = build_of(BEFORE_REWINDS, tmp_path / "package")
    (tmp_path / "broken").touch()
    with host_of(tmp_path, "old", old) as host:
        async with HttpClient(host.url) as http:
            await http.start("order", None, "one")
            await http.raise_event("one", "go", 1)
            await until_failed(http, "one")
            (tmp_path / "broken").unlink()
            rewound = run_cli("rewind", "one", "--store", tmp_path / "durable.db")
            assert rewound.returncode == 0, rewound.stderr
            await http.start("order", None, "two")  # the old host serves what it can read
            await http.raise_event("two", "go", 2)
            await http.raise_event("two", "shipped", 2)
            assert await http.output_of("two") == [2, "reserve", "pay", 2]
            shown = await http.call("GET", "/instances/one")
            assert (shown.status, shown.body["error"]["code"]) == (503, "NewerFormat")
            with host_of(tmp_path, "new") as beside:
                async with HttpClient(beside.url) as new:
                    await new.raise_event("one", "shipped", 1)
                    assert await new.output_of("one") == [1, "reserve", "pay", 1]
                    overview = (await new.call("GET", "/hub")).body
    assert sum(queue["depth"] for queue in overview["queues"] if queue["kind"] == "poison") == 0
    ran = (tmp_path / "ran").read_text().split()
    assert ran.count("reserve") == 2, "once for each order"
    assert ran.count("pay") == 3, "one failed, and was done again"


async def test_a_history_that_does_not_say_what_ended_it_is_cut_before_its_last_failure(tmp_path: Path) -> None:
    old = build_of(BEFORE_CAUSES, tmp_path / "package")
    (tmp_path / "broken").touch()
    with host_of(tmp_path, "old", old) as host:
        async with HttpClient(host.url) as http:
            await http.start("rewraps", None, "one")
            await http.raise_event("one", "noticed")
            await until_failed(http, "one")
    (tmp_path / "broken").unlink()
    with host_of(tmp_path, "new") as host:
        async with HttpClient(host.url) as http:
            rewound = await http.call("POST", "/instances/one/rewind")
            assert [task["name"] for task in rewound.body["undone"]] == ["act"]
            assert await http.output_of("one") == "pay"
    assert (tmp_path / "ran").read_text().split() == ["reserve", "pay", "pay"]


async def test_a_host_that_knows_no_headers_leaves_an_instance_with_headers_to_one_that_does(tmp_path: Path) -> None:
    old = build_of(BEFORE_HEADERS, tmp_path / "package")
    with host_of(tmp_path, "old", old) as host:
        async with HttpClient(host.url) as http:
            settings = Settings(store=str(tmp_path / "durable.db"))
            storage = open_storage(settings)
            app = await DurableApp.open(Registry().add(order), settings, storage)
            await app.client.start_new("order", "one", headers={"tenant": "acme"})
            await http.start("order", None, "two")  # the old host serves what it can read
            for name in ("go", "shipped"):
                await http.raise_event("two", name, 2)
            assert await http.output_of("two") == [2, "reserve", "pay", 2]
            shown = await http.call("GET", "/instances/one")
            assert (shown.status, shown.body["error"]["code"]) == (503, "NewerFormat")
            with host_of(tmp_path, "new") as beside:
                async with HttpClient(beside.url) as new:
                    for name in ("go", "shipped"):
                        await new.raise_event("one", name, 1)
                    assert await new.output_of("one") == [1, "reserve", "pay", 1]
                    overview = (await new.call("GET", "/hub")).body
            status = await app.client.get_status("one", show_headers=True)
            assert status.headers == {"tenant": "acme"}
            await app.close()
            await storage.close()
    assert sum(queue["depth"] for queue in overview["queues"] if queue["kind"] == "poison") == 0
    assert sorted((tmp_path / "ran").read_text().split()) == ["pay", "pay", "reserve", "reserve"]
