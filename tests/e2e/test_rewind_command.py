"""``python -m durable_core rewind``, from a machine that knows nothing of the app."""

from __future__ import annotations

import asyncio
from pathlib import Path

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.errors import TaskFailedError
from durable_core.models import OrchestrationStatus
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from tests.support.cli import run_cli
from tests.support.live_app import running


@activity
def note(text: str) -> str:
    return text


@orchestrator
def pays(ctx: OrchestrationContext) -> Orchestration[str]:
    paid = yield from ctx.call_activity("pay")
    return paid


@orchestrator
def refunds(ctx: OrchestrationContext) -> Orchestration[str]:
    try:
        paid = yield from ctx.call_activity("pay")
    except TaskFailedError:
        yield from ctx.call_activity(note, "refunded")
        raise
    return paid


async def ended(store: Path, *, broken: bool, start: bool = False) -> list[OrchestrationStatus]:
    @activity(name="pay")
    def pay() -> str:
        if broken:
            raise ValueError("no connection")
        return "paid"

    settings = Settings(store=str(store))
    storage = open_storage(settings)
    async with running(Registry().add(pays, refunds, note, pay), settings, storage) as app:
        for orchestrator_ in (pays, refunds) if start else ():
            await app.client.start_new(orchestrator_, orchestrator_.__name__)
        found = [await app.client.wait_for_completion(name, 60) for name in ("pays", "refunds")]
    await storage.close()
    return found


def test_an_instance_goes_on_from_before_its_failure_once_nothing_stands_against_it(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    assert [status.runtime_status for status in asyncio.run(ended(store, broken=True, start=True))] == ["Failed"] * 2
    dry = run_cli("rewind", "pays", "--dry-run", "--store", store)
    assert dry.returncode == 0
    assert "would be void: commits from 1 on\nundone: #1 pay (" in dry.stdout
    for _ in range(2):  # a command that is repeated with its request id finds its own rewind
        done = run_cli("rewind", "pays", "--reason", "mended", "--request-id", "mine", "--store", store)
        assert (done.returncode, done.stderr) == (0, "")
        assert "undone: #1 pay (" in done.stdout
    refused = run_cli("rewind", "refunds", "--store", store)
    assert refused.returncode == 2
    assert "force rewinds it all the same" in refused.stderr
    assert "note #2 ran and is not undone" in refused.stderr
    forced = run_cli("rewind", "refunds", "--force", "--store", store)
    assert "not undone: note #2 ran and is not undone" in forced.stdout
    assert [status.output for status in asyncio.run(ended(store, broken=False))] == ["paid"] * 2
    again = run_cli("rewind", "pays", "--store", store)
    assert again.returncode == 2
    assert "has completed: there is nothing to rewind" in again.stderr
    assert "Traceback" not in again.stderr
