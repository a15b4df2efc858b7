"""``python -m durable_core restart``, from a machine that knows nothing of the app."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.models import OrchestrationStatus
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from tests.support.cli import run_cli
from tests.support.live_app import running


@orchestrator
def echo(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
    yield from ctx.task_all([])
    return text


async def ended(store: Path, *ids: str) -> list[OrchestrationStatus]:
    """The statuses of these instances once they have ended; 'first' is started before."""
    settings = Settings(store=str(store))
    storage = open_storage(settings)
    async with running(Registry().add(echo), settings, storage) as app:
        if "first" in ids:
            await app.client.start_new(echo, "first", "a", tags={"shop": "berlin"})
        found = [await app.client.wait_for_completion(each, 60) for each in ids]
    await storage.close()
    return found


def test_an_instance_is_started_again_with_the_same_input_or_another(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    asyncio.run(ended(store, "first"))
    random_id = run_cli("restart", "first", "--store", store)
    assert (random_id.returncode, random_id.stderr) == (0, "")
    named = run_cli("restart", "first", "--id", "second", "--input", '"b"', "--store", store)
    assert (named.returncode, named.stdout) == (0, "second\n")
    same, other = asyncio.run(ended(store, random_id.stdout.strip(), "second"))
    assert (same.output, other.output) == ("a", "b")
    assert same.tags == other.tags == {"shop": "berlin"}
    assert same.restarted_from is not None
    assert same.restarted_from.instance_id == "first"
    before = run_cli("show", "first", "--format", "json", "--store", store).stdout
    preview = run_cli("restart", "first", "--same-id", "--dry-run", "--store", store)
    assert preview.returncode == 0
    assert preview.stdout.splitlines() == [
        "would start: 'echo' as first",
        'input: "a"',
        "would delete: the history of 'first', which is Completed",
    ]
    asked = run_cli("restart", "first", "--same-id", "--store", store)
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "delete the history, and start again: 1 instance" in asked.stderr
    assert run_cli("show", "first", "--format", "json", "--store", store).stdout == before
    again = run_cli("restart", "first", "--same-id", "--yes", "--store", store)
    assert (again.returncode, again.stdout) == (0, "first\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nobody"], "there is no instance 'nobody'"),
        (["first", "--id", "first/2"], "an instance id must not hold"),
        (["first", "--id", "x", "--same-id"], "choose one of"),
        (["first", "--input", "{"], "is not JSON"),
    ],
)
def test_what_it_cannot_do_is_refused_in_a_sentence(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    store = tmp_path / "s.db"
    asyncio.run(ended(store, "first"))
    refused = run_cli("restart", *arguments, "--store", store)
    assert refused.returncode != 0
    assert complaint in refused.stderr
    assert "Traceback" not in refused.stderr
