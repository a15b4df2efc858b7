"""SIGTERM: what is in flight finishes within the grace time, or is handed back for another host to take at once."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from durable_core.testing.azurite import Azurite
from tests.support.busy_hub import BusyHub, completed

COUNT = 6
LEASE = 900.0  # seconds: longer than a test may take, so that nothing comes back by itself


def make_hub(store: str, folder: Path, request: pytest.FixtureRequest, grace: float) -> BusyHub:
    azurite: Azurite | None = request.getfixturevalue("azurite") if store == "azurite" else None
    return BusyHub(folder, ("", ""), azurite=azurite, lease=LEASE, grace=grace)


async def start_patients(hub: BusyHub, seconds: float) -> None:
    """Their activities take so long, and have begun."""
    async with aiohttp.ClientSession() as session:
        for n in range(COUNT):
            await hub.start_instance(session, "patient", f"p{n}", seconds)
    await hub.until(lambda: any(run.event == "begin" for run in hub.runs))


@pytest.mark.parametrize("store", ["embedded", "azurite"])
async def test_what_is_in_flight_finishes_within_the_grace_time(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    hub = make_hub(store, tmp_path, request, grace=120.0)
    leaving, staying = hub.hosts
    try:
        leaving.start().wait_ready()
        pid = leaving.pid
        await start_patients(hub, 2.0)
        assert await asyncio.to_thread(leaving.stop, signal.SIGTERM) == 0
        mine = Counter(run.event for run in hub.runs if run.pid == pid)
        assert mine["begin"] == mine["end"] > 0, "what it had begun it has finished"
        assert "returning their messages" not in leaving.log
        staying.start().wait_ready()
        async with hub.app() as app:
            assert len(completed(await hub.until_all_ended(app.client))) == COUNT
        assert set(Counter(run.key for run in hub.runs if run.event == "begin").values()) == {1}, "none ran twice"
    finally:
        hub.stop()


@pytest.mark.parametrize("store", ["embedded", "azurite"])
async def test_what_does_not_finish_is_handed_back_and_not_left_to_its_lease(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    hub = make_hub(store, tmp_path, request, grace=0.5)
    leaving, staying = hub.hosts
    try:
        leaving.start().wait_ready()
        pid = leaving.pid
        await start_patients(hub, 3600.0)
        staying.start().wait_ready()  # while the other lives: no host frees the leases of the dead
        assert await asyncio.to_thread(leaving.stop, signal.SIGTERM) == 0
        assert "returning their messages" in leaving.log
        assert not any(run.event == "end" and run.pid == pid for run in hub.runs)
        (hub.bombs / "open").touch()
        async with hub.app() as app:
            assert len(completed(await hub.until_all_ended(app.client))) == COUNT
        ends = Counter(run.key for run in hub.runs if run.event == "end")
        assert len(ends) == COUNT
        assert set(ends.values()) == {1}
    finally:
        hub.stop()
