"""Code that kills its host: the instance is shown as stuck, the others go on, and nothing spins. Real processes.

A stand-in for the platform starts a host again whenever it has died.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from durable_core.models import RuntimeStatus
from durable_core.runtime import recovery
from durable_core.runtime.app import DurableApp
from tests.support.busy_hub import BusyHub, completed

POISONED = 5  # deliveries, after which a message is set aside
SECOND_CHANCE = 4.0  # seconds, instead of two minutes
SETTINGS = {
    "SECOND_CHANCE": f"{SECOND_CHANCE}",
    "DURABLE_GUARD": "false",  # it would stop the orchestrator that looks for its bomb
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "SECOND_CHANCE", SECOND_CHANCE)


class Platform:
    """Starts the host again when it has died, and counts."""

    def __init__(self, hub: BusyHub) -> None:
        self._host = hub.hosts[0]
        self.deaths = 0

    async def run(self) -> None:
        while True:
            if self._host.has_died:
                self.deaths += 1
                self._host.start_again()
            await asyncio.sleep(0.05)


@asynccontextmanager
async def platform(hub: BusyHub) -> AsyncGenerator[Platform]:
    hub.start()
    keeper = Platform(hub)
    running = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        hub.stop()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(2000):
        if await holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not come true")


async def until_stuck(app: DurableApp, instance_id: str) -> str:
    async def is_stuck() -> bool:
        await app.recover()  # what the timer does every five minutes
        return bool((await app.client.get_status(instance_id)).stuck_reason)

    await until(is_stuck)
    return str((await app.client.get_status(instance_id)).stuck_reason)


async def come_to_rest(hub: BusyHub, app: DurableApp) -> None:
    """Until no message is left. There may be several copies of the one that kills: whoever died while it was sent, or
    while its pack was split, has sent it again. Each is set aside in its turn."""
    names = [*app.hub.names.queues, *app.hub.names.poison_queues]

    async def is_quiet() -> bool:
        await app.recover()
        return sum([await hub.count(name) for name in names]) == 0

    await until(is_quiet)


async def start_healthy(hub: BusyHub, count: int) -> None:
    async with aiohttp.ClientSession() as session:
        for n in range(count):
            await hub.start_instance(session, "busy", f"busy-{n}", n)


@pytest.mark.timeout(900)
async def test_an_orchestrator_that_kills_its_host_is_shown_and_can_be_terminated(tmp_path: Path) -> None:
    hub = BusyHub(tmp_path, [""], more_env=SETTINGS)
    (hub.bombs / "boom").touch()
    async with platform(hub) as keeper, hub.app() as app:
        await start_healthy(hub, 5)
        async with aiohttp.ClientSession() as session:
            await hub.start_instance(session, "doomed", "bad", "boom")
            await hub.start_instance(session, "doomed", "worse", "boom")
        for name in ("bad", "worse"):
            await app.client.raise_event(name, "go")
        for name in ("bad", "worse"):
            assert "set aside" in await until_stuck(app, name)
        completed([s for s in await hub.until_all_ended(app.client, but=2) if s.name == "busy"])
        await come_to_rest(hub, app)
        deaths = keeper.deaths
        assert deaths >= POISONED
        for _ in range(20):  # rounds of the timer
            await app.recover()
            await asyncio.sleep(0.2)
        assert keeper.deaths == deaths, "it spins"
        await app.client.terminate("worse", "enough")
        assert (await app.client.wait_for_completion("worse", 120)).runtime_status is RuntimeStatus.TERMINATED
        assert keeper.deaths == deaths, "its code does not run again"
        assert await app.client.purge_instance_history("worse") == 1
        (hub.bombs / "boom").unlink()
        await app.client.recover()
        assert (await app.client.wait_for_completion("bad", 120)).output == "boom"
        assert all(s.stuck_reason is None for s in await app.client.get_status_all())


@pytest.mark.timeout(900)
async def test_an_activity_that_kills_its_host_spares_those_packed_with_it(tmp_path: Path) -> None:
    hub = BusyHub(tmp_path, [""], more_env=SETTINGS)
    (hub.bombs / "boom").touch()
    names = [f"well-{n}" for n in range(12)]
    async with platform(hub) as keeper, hub.app() as app:
        await start_healthy(hub, 3)
        async with aiohttp.ClientSession() as session:
            await hub.start_instance(session, "pack", "packed", [*names, "boom"])
        reason = await until_stuck(app, "packed")
        assert "may_explode" in reason
        completed([s for s in await hub.until_all_ended(app.client, but=1) if s.name == "busy"])
        history = (await app.client.get_status("packed", show_history=True)).history_events or []
        assert sum(event["EventType"] == "TaskCompleted" for event in history) == len(names), "all but the one"
        await come_to_rest(hub, app)
        deaths, runs = keeper.deaths, len(hub.runs)
        assert POISONED < deaths < 20 * POISONED
        for _ in range(20):
            await app.recover()
            await asyncio.sleep(0.2)
        assert (keeper.deaths, len(hub.runs)) == (deaths, runs), "it spins"
        (hub.bombs / "boom").unlink()
        await app.client.recover()
        assert (await app.client.wait_for_completion("packed", 120)).output == [*names, "boom"]
        tries = Counter(run.task_id for run in hub.runs if run.instance_id == "packed")
        assert max(tries.values()) == tries[len(names) + 1]
