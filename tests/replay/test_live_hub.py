"""The gate looks at a hub whose hosts run: it finds what is there, disturbs nothing, and raises no false alarm."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from durable_core import DurableClient
from durable_core.errors import ConfigurationError
from durable_core.hub.taskhub import TaskHub
from durable_core.replay.deploy_check import DeployReport, check_deploy
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from durable_core.testing.azurite import Azurite
from tests.replay.programs import CHANGED, DEPLOYED, collect, count, pinned_1
from tests.support.azurite import azurite
from tests.support.cli import run_cli
from tests.support.live_app import running
from tests.support.refusing_store import RefusingStorage

__all__ = ["azurite"]

APPS = Path(__file__).parent / "apps"


@pytest.fixture(params=["embedded", "azurite"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    hub = "t" + uuid4().hex[:12]
    if request.param == "embedded":
        return Settings(hub=hub, store=str(tmp_path / "durable.db"))
    emulator: Azurite = request.getfixturevalue("azurite")
    return Settings(hub=hub, connection={"": emulator.connection_string})


@asynccontextmanager
async def reading(settings: Settings) -> AsyncGenerator[TaskHub]:
    """A second storage object, as a process beside the hosts has it."""
    storage = RefusingStorage(open_storage(settings))
    try:
        yield TaskHub(storage, settings)
    finally:
        await storage.close()


async def busy(client: DurableClient, enough: asyncio.Event) -> None:
    """Instances that move all the time: through generations, to their end, and new ones begin; the last three stay."""
    await client.start_new(collect, "rounds", 2)
    for number in itertools.count():
        await client.raise_event("rounds", "item")
        await client.start_new(count, f"moving-{number}", 4)
        if number >= 3:
            await client.raise_event(f"moving-{number - 3}", "go")
            await client.wait_for_completion(f"moving-{number - 3}", 60)
            if enough.is_set():
                return


async def test_a_hub_whose_hosts_run_is_checked(settings: Settings) -> None:
    storage = open_storage(settings)
    reports: list[DeployReport] = []
    async with running(DEPLOYED, settings, storage) as app, reading(settings) as hub:
        for number in range(3):
            await app.client.start_new(count, f"waits-{number}", number + 1)
        await app.client.start_new(pinned_1, "pinned")
        enough = asyncio.Event()
        moving = asyncio.create_task(busy(app.client, enough))
        while len(reports) < 3 or len({report.checked for report in reports}) < 2:  # until it has moved between checks
            reports.append(await check_deploy(hub, DEPLOYED))
            await asyncio.wait({moving}, timeout=0.0 if settings.is_embedded else 1.0)  # the emulator is slow
            assert not moving.done(), moving.exception()
        enough.set()
        await moving
        for instance_id in ("waits-0", "waits-1", "waits-2", "pinned"):
            assert not (await app.client.get_status(instance_id)).stuck_reason
        after = await check_deploy(hub, CHANGED)
        with pytest.raises(ConfigurationError, match="no task hub"):
            async with reading(Settings(hub="absent", store=settings.store, connection=settings.connection)) as absent:
                await check_deploy(absent, DEPLOYED)
    await storage.close()

    assert all(report.is_fine for report in reports), reports
    (broken,) = after.breaking
    (missing,) = after.missing
    assert broken.orchestrator == "count" and broken.count >= 3 + 3 and missing.count == 1


async def test_the_verb_finds_the_hub_of_a_storage_account(azurite: Azurite) -> None:
    hub = "t" + uuid4().hex[:12]
    settings = Settings(hub=hub, connection={"": azurite.connection_string})
    storage = open_storage(settings)
    async with running(DEPLOYED, settings, storage) as app:
        await app.client.start_new(count, "waits", 1)
        while len((await app.client.get_status("waits", show_history=True)).history_events or ()) < 3:
            await app.client.wait_for_completion("waits", 0.05)
        for app_folder, code in (("deployed", 0), ("changed", 1)):
            found = await asyncio.to_thread(
                run_cli,
                *("check-deploy", "--hub", hub, "--app", APPS / app_folder),
                env={"AzureWebJobsStorage": azurite.connection_string},
            )
            assert found.returncode == code, found.stdout + found.stderr
            assert "1 open instances" in found.stdout
    await storage.close()
