"""``python -m durable_core entities`` on the store of a running app, from a process that knows nothing of the app."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from durable_core import EntityId, Orchestration, OrchestrationContext, Registry, entity, orchestrator
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from tests.support.cli import run_cli
from tests.support.live_app import running


@entity(name="purse")
class Purse:
    coins: int = 0

    def put(self, coins: int) -> int:
        self.coins += coins
        return self.coins


@orchestrator
def holds(ctx: OrchestrationContext) -> Orchestration[None]:
    with (yield from ctx.lock(EntityId("purse", "held"))):
        yield from ctx.wait_for_external_event("Go")


async def serve(store: Path, *, until: str, start: bool = False) -> None:
    """Run the app until the purse of this key has coins."""
    settings = Settings(store=str(store))
    storage = open_storage(settings)
    async with running(Registry().add(Purse, holds), settings, storage) as app:
        if start:
            await app.client.signal_entity(EntityId("purse", "other"), Purse.put, 1)
            await app.client.start_new(holds, "holder")
        async with asyncio.timeout(60):
            while True:
                found = await app.client.read_entity(EntityId("purse", until))
                held = await app.client.entity_details(EntityId("purse", "held"))
                is_held = held is not None and held.entity is not None and held.entity.lock is not None
                if found is not None and (is_held or not start):
                    break
                await asyncio.sleep(0.05)
    await storage.close()


def test_entities_are_listed_shown_signaled_and_deleted(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    asyncio.run(serve(store, until="other", start=True))

    def cli(*arguments: object) -> str:
        done = run_cli("entities", *arguments, "--store", store)
        assert done.returncode == 0, done
        return done.stdout

    cli("signal", "purse", "mine", "put", "--input", "3", "--id", "request 1")
    cli("signal", "purse", "mine", "put", "--input", "3", "--id", "request 1")
    cli("signal", "purse", "held", "put", "--input", "5")
    asyncio.run(serve(store, until="mine"))
    assert json.loads(cli("show", "purse", "mine", "--format", "json"))["state"] == {"coins": 3}
    listed = cli("list", "Purse")
    assert "mine" in listed and "other" in listed and "holder" in listed
    shown = cli("show", "purse", "held")
    assert "locked by  holder since" in shown
    assert "1 parcels" in shown and "the entity is locked by 'holder'" in shown
    assert "coins" in cli("delete", "purse", "mine", "--dry-run")
    cli("delete", "purse", "mine", "--yes")
    asyncio.run(serve(store, until="other"))
    nothing = run_cli("entities", "show", "purse", "nothing", "--store", store)
    assert nothing.returncode == 3
    assert "there is no entity @purse@nothing" in nothing.stderr
    assert run_cli("entities", "list", "nobody", "--store", store).returncode == 3
