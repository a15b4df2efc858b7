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
from tests.support.busy_hub import BusyHub

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
        # Three times: a message that is moved on while the queues are counted one by one is in none of them.
        return not any([await hub.count(name) for name in [*names, *names, *names]])

    await until(is_quiet)


async def start_healthy(hub: BusyHub, first: int, last: int) -> list[str]:
    async with aiohttp.ClientSession() as session:
        for n in range(first, last):
            await hub.start_instance(session, "busy", f"busy-{n}", n)
    return [f"busy-{n}" for n in range(first, last)]


async def check_healthy(app: DurableApp, names: list[str]) -> None:
    for name in names:
        status = await app.client.wait_for_completion(name, 240)
        assert status.output == int(name.removeprefix("busy-")) + 7, status


@pytest.mark.timeout(900)
async def test_an_orchestrator_that_kills_its_host_is_shown_and_can_be_terminated(tmp_path: Path) -> None:
    hub = BusyHub(tmp_path, [""], more_env=SETTINGS)
    (hub.bombs / "boom").touch()
    async with platform(hub) as keeper, hub.app() as app:
        early = await start_healthy(hub, 0, 5)
        async with aiohttp.ClientSession() as session:
            await hub.start_instance(session, "doomed", "bad", "boom")
            await hub.start_instance(session, "doomed", "worse", "boom")
        for name in ("bad", "worse"):
            await app.client.raise_event(name, "go")
        for name in ("bad", "worse"):
            assert "moved to the poison queue" in await until_stuck(app, name)
        await come_to_rest(hub, app)
        await check_healthy(app, await start_healthy(hub, 5, 10))
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
        await check_healthy(app, early)  # at the latest now: one that died with the others ten times is shown as stuck
        assert all(s.stuck_reason is None for s in await app.client.get_status_all())


@pytest.mark.timeout(900)
async def test_an_activity_that_kills_its_host_spares_those_packed_with_it(tmp_path: Path) -> None:
    hub = BusyHub(tmp_path, [""], more_env=SETTINGS)
    (hub.bombs / "boom").touch()
    names = [f"well-{n}" for n in range(12)]
    async with platform(hub) as keeper, hub.app() as app:
        early = await start_healthy(hub, 0, 3)
        async with aiohttp.ClientSession() as session:
            await hub.start_instance(session, "pack", "packed", [*names, "boom"])
        reason = await until_stuck(app, "packed")
        assert "may_explode" in reason
        await come_to_rest(hub, app)
        await check_healthy(app, await start_healthy(hub, 3, 6))
        history = (await app.client.get_status("packed", show_history=True)).history_events or []
        done = sum(event["EventType"] == "TaskCompleted" for event in history)
        assert len(names) // 2 <= done <= len(names), "a few may have died with it ten times, and are set aside, too"
        deaths, runs = keeper.deaths, len(hub.runs)
        assert POISONED < deaths < 20 * POISONED
        for _ in range(20):
            await app.recover()
            await asyncio.sleep(0.2)
        assert (keeper.deaths, len(hub.runs)) == (deaths, runs), "it spins"
        (hub.bombs / "boom").unlink()
        await app.client.recover()
        assert (await app.client.wait_for_completion("packed", 120)).output == [*names, "boom"]
        await check_healthy(app, early)
        tries = Counter(run.task_id for run in hub.runs if run.instance_id == "packed")
        kills = tries.pop(len(names) + 1)
        assert sorted(tries.values())[len(names) // 2] < kills, "the others are spared, but for a few that died with it"
