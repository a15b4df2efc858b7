"""``python -m durable_core purge``: many instances, from a machine that knows nothing of the app."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from tests.support.cli import run_cli
from tests.support.live_app import running


@orchestrator
def leaf(ctx: OrchestrationContext, wait: bool) -> Orchestration[None]:
    if wait:
        yield from ctx.wait_for_external_event("Go")


@orchestrator
def tree(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.task_all([ctx.call_sub_orchestrator(leaf, False) for _ in range(3)])


async def fill(store: Path) -> None:
    """Two trees of four instances each, and one that runs."""
    settings = Settings(store=str(store))
    storage = open_storage(settings)
    async with running(Registry().add(leaf, tree), settings, storage) as app:
        names = [await app.client.start_new(tree, f"tree {number}") for number in range(2)]
        await app.client.start_new(leaf, "runs", client_input=True)
        await asyncio.gather(*(app.client.wait_for_completion(name, 60) for name in names))
    await storage.close()


def test_what_has_ended_and_fits_is_deleted_and_counted(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    asyncio.run(fill(store))
    none = run_cli("purge", "--store", store, "--created-to", "2020-01-01")
    assert (none.returncode, none.stdout) == (3, "deleted: 0\n")
    failed = run_cli("purge", "--store", store, "--created-from", "2020-01-01T00:00:00Z", "--status", "failed", "--yes")
    assert (failed.returncode, failed.stdout) == (3, "deleted: 0\n")
    asked = run_cli("purge", "--store", store, "--created-from", "2020-01-01", "--recursive")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "instances of hub 'durable'" in asked.stderr and "--yes" in asked.stderr
    preview = run_cli("purge", "--store", store, "--created-from", "2020-01-01", "--dry-run", "--format", "json")
    assert preview.returncode == 0
    assert json.loads(preview.stdout)["matched"] == 8
    one = run_cli("purge", "tree 0", "runs", "--store", store, "--recursive", "--dry-run", "--format", "json")
    assert one.returncode == 3, "one of them has not ended"
    assert [(each["name"], each["would"]) for each in json.loads(one.stdout)] == [
        ("tree", "purge"),
        *[("leaf", "purge")] * 3,
        ("leaf", None),
    ]
    done = run_cli("purge", "--store", store, "--created-from", "2020-01-01", "--recursive", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.removeprefix("deleted: ")) >= 8
    left = run_cli("purge", "--store", store, "--created-from", "2020-01-01", "--yes")
    assert (left.returncode, left.stdout) == (3, "deleted: 0\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "select them by --created-from"),
        (["--created-from", "yesterday"], "'yesterday' is not a time"),
        (["--created-from", "2020-01-01", "--status", "Complete"], "not one of"),
        (["--created-from", "2020-01-01", "--store", "nowhere.db"], "no embedded store"),
    ],
)
def test_what_it_cannot_take_is_refused_in_a_sentence(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    asyncio.run(fill(tmp_path / "s.db"))
    refused = run_cli("purge", "--store", tmp_path / "s.db", *arguments, cwd=tmp_path)
    assert refused.returncode != 0
    assert complaint in refused.stderr
    assert "Traceback" not in refused.stderr
