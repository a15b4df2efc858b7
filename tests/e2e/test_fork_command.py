"""``python -m durable_core fork``, from a machine that knows nothing of the app."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.models import OrchestrationStatus
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from tests.support.cli import run_cli
from tests.support.live_app import running


@activity
def double(number: int) -> int:
    return 2 * number


@orchestrator
def sums(ctx: OrchestrationContext) -> Orchestration[int]:
    asked = yield from ctx.wait_for_external_event("Number", int)
    doubled = yield from ctx.call_activity(double, asked)
    return doubled + 1


async def ended(store: Path, *ids: str, resume: str = "") -> list[OrchestrationStatus]:
    """The statuses of these instances once they have ended; 'first' is started before."""
    settings = Settings(store=str(store))
    storage = open_storage(settings)
    async with running(Registry().add(sums, double), settings, storage) as app:
        if "first" in ids:
            await app.client.start_new(sums, "first")
            while not (await app.client.get_status("first")).waits:  # noqa: ASYNC110  else it may come with the start
                await asyncio.sleep(0.01)
            await app.client.raise_event("first", "Number", 4)
        if resume:
            await app.client.resume(resume)
        found = [await app.client.wait_for_completion(each, 60) for each in ids]
    await storage.close()
    return found


def test_a_fork_goes_on_with_another_result_once_it_is_resumed_and_a_repeated_command_finds_it(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    asyncio.run(ended(store, "first"))
    place = ("fork", "first", "--until-task", "1", "--store", store)
    dry = run_cli(*place, "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert "would copy: commits before 2\nwould run: #1 double (" in dry.stdout
    wanted = (*place, "--override", "1.result=100", "--suspended", "--request-id", "mine", "--format", "json")
    done = [json.loads(run_cli(*wanted).stdout) for _ in range(2)]
    assert done[0] == done[1]
    fork_id = done[0]["instanceId"]
    shown = run_cli("show", fork_id, "--store", store)
    assert "Suspended" in shown.stdout
    [status] = asyncio.run(ended(store, fork_id, resume=fork_id))
    assert status.output == 101
    assert status.forked_from is not None
    assert status.forked_from.instance_id == "first"


def test_a_fork_until_an_event_waits_for_it_again(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    asyncio.run(ended(store, "first"))
    place = ("fork", "first", "--until-event", "number", "--store", store)
    assert run_cli(*place, "--event-number", "2").returncode == 2
    forked = run_cli(*place, "--event-number", "1", "--id", "second")
    assert (forked.returncode, forked.stdout) == (0, "second\n")
    raised = run_cli("raise", "second", "Number", "--data", "5", "--store", store)
    assert raised.returncode == 0, raised.stderr
    [status] = asyncio.run(ended(store, "second"))
    assert status.output == 11


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nobody", "--until-task", "1"], "there is no instance 'nobody'"),
        (["first"], "choose one of --until-task, --until-event and --until-failure"),
        (["first", "--until-task", "1", "--until-failure"], "choose one of"),
        (["first", "--until-task", "9"], "has no task 9"),
        (["first", "--until-task", "1", "--event-number", "1"], "--event-number is for --until-event"),
        (["first", "--until-task", "1", "--override", "1=2"], "is not TASK.result=JSON"),
        (["first", "--until-task", "1", "--override", "1.result={"], "is not JSON"),
        (["first", "--until-task", "1", "--override", "7.result=1"], "task 7 is not open"),
        (["first", "--until-failure"], "has not failed"),
    ],
)
def test_what_it_cannot_do_is_refused_in_a_sentence(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    store = tmp_path / "s.db"
    asyncio.run(ended(store, "first"))
    refused = run_cli("fork", *arguments, "--store", store)
    assert refused.returncode == (3 if arguments[0] == "nobody" else 2)
    assert complaint in refused.stderr
    assert "Traceback" not in refused.stderr
