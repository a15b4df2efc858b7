"""``python -m durable_core limits`` on the store of a running app, from a process that knows nothing of the app."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from durable_core import Limit, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from tests.support.cli import run_cli
from tests.support.live_app import running


def test_a_limit_is_shown_with_who_holds_it_and_who_waits(tmp_path: Path) -> None:
    gate = asyncio.Event()

    @activity(limit=Limit(name="printer", concurrency=1))
    async def use_printer(page: str) -> str:
        await gate.wait()
        return page

    @orchestrator
    def printing(ctx: OrchestrationContext, page: str) -> Orchestration[str]:
        return (yield from ctx.call_activity(use_printer, page))

    async def work() -> None:
        settings = Settings(store=str(tmp_path / "s.db"))
        storage = open_storage(settings)

        async def cli(*arguments: str) -> tuple[int, str, str]:
            done = await asyncio.to_thread(run_cli, "limits", *arguments, "--store", tmp_path / "s.db")
            return done.returncode, done.stdout, done.stderr

        async with running(Registry().add(use_printer, printing), settings, storage) as app:
            assert await cli() == (3, "", "")
            for name in ("p-1", "p-2"):
                await app.client.start_new(printing, name, client_input=name)
            async with asyncio.timeout(60):
                while True:
                    code, out, _ = await cli("--format", "json")
                    found = json.loads(out)
                    if code == 0 and found[0]["waiting"]:
                        break
            (shown,) = found
            assert shown["permits"]["concurrency"] == 1
            assert {each["instanceId"] for each in shown["holders"] + shown["waiting"]} == {"p-1", "p-2"}
            code, table, _ = await cli()
            assert code == 0 and shown["limit"] in table and "1 at once" in table
            code, lines, _ = await cli(shown["limit"])
            assert [line.split()[0] for line in lines.splitlines()[2:]] == ["holds", "waits"]
            assert shown["holders"][0]["instanceId"] in lines.splitlines()[2]
            code, _, complaint = await cli("plotter")
            assert code == 3 and "nobody holds a slot of the limit 'plotter'" in complaint
            gate.set()
            await asyncio.gather(*(app.client.wait_for_completion(name, 60) for name in ("p-1", "p-2")))
        await storage.close()

    asyncio.run(work())
