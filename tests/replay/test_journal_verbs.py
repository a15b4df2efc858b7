"""The verbs that run the code of a journaled activity over its recorded steps, as processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from tests.e2e.apps.journaled.function_app import STEPS, durable
from tests.support.cli import PROJECT, run_cli
from tests.support.live_app import running

APP = PROJECT / "tests" / "e2e" / "apps" / "journaled"
PLACE = ("--hub", "shop", "--app", APP)


async def _fill(store: Path, lines: Path) -> None:
    storage = SqliteStorage(str(store))
    async with running(durable.registry, Settings(hub="shop"), storage) as app:
        await app.client.start_new("writing", "one", str(lines))
        async with asyncio.timeout(60):
            while "Last" not in str((await app.client.get_status("one", show_history=True)).history_events):
                await app.client.wait_for_completion("one", 0.05)
    await storage.close()


def test_the_verbs_run_the_code_over_its_steps_and_nothing_else(tmp_path: Path) -> None:
    store, lines = tmp_path / "durable.db", tmp_path / "lines"
    asyncio.run(_fill(store, lines))
    written = lines.read_text()

    found = run_cli("debug", "one", "--call", 1, "--store", store, *PLACE, stdin="n\np file\nc\n")
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"(Pdb) '{lines}'" in found.stdout
    assert found.stdout.count("step 'line'") == STEPS
    assert "the code waits for 'ctx.wait_for_event 'Last''" in found.stdout.splitlines()[-1]
    assert "durable_core/runtime" not in found.stdout and "asyncio/" not in found.stdout

    wrong = run_cli("debug", "one", "--call", 2, "--store", store, *PLACE, stdin="")
    assert wrong.returncode == 2 and "it has: 1 ('write_lines')" in wrong.stderr

    check = run_cli("check-deploy", "--store", store, *PLACE)
    assert check.returncode == 0, check.stdout + check.stderr
    assert "the code of 1 open call of journaled activities was run over the steps" in check.stdout

    file = tmp_path / "one.json"
    assert run_cli("history", "export", "one", "--out", file, "--store", store, "--hub", "shop").returncode == 0
    replayed = run_cli("replay", file, "--app", APP)
    assert replayed.returncode == 0 and "were not replayed" in replayed.stdout
    no_steps = run_cli("debug", file, "--call", 1, "--app", APP)
    assert no_steps.returncode == 2 and "has no recorded steps" in no_steps.stderr

    assert lines.read_text() == written, "a step has run"
