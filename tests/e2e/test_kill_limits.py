"""``kill -9`` of hosts while their activities have a limit: never more at once, nothing lost, every slot given back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import pytest

from durable_core import EntityId
from durable_core.limits import GATE
from tests.support.busy_hub import BusyHub, completed, patiently

APP = Path(__file__).parent / "apps" / "limited"
INSTANCES, WIDTH, KILLS = 10, 6, 4


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True, limit=8)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as opened:
        yield opened


@pytest.mark.timeout(600)
async def test_a_limit_holds_and_every_slot_is_given_back_when_hosts_are_killed(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    hub = BusyHub(tmp_path / "hosts", ("", ""), app=APP)
    draw = random.Random("limits")
    moments = sorted(draw.randrange(1, INSTANCES * WIDTH * 3 // 4) for _ in range(KILLS))
    try:
        hub.start()
        async with hub.app() as app:
            names = [f"one-{number}" for number in range(INSTANCES)]
            starting = asyncio.gather(*(hub.start_instance(session, "fan", name, WIDTH) for name in names))
            for moment in moments:
                async with asyncio.timeout(240):
                    while len(hub.runs) < moment:  # noqa: ASYNC110  the log is of other processes
                        await asyncio.sleep(0.02)
                await hub.kill(draw.choice(hub.hosts))
            await starting
            ended = completed(await hub.until_all_ended(app.client))
            assert set(ended) == set(names)
            for name in names:
                status = await patiently(lambda name=name: app.client.get_status(name))
                assert status.output == sum(range(WIDTH))
            assert "too many" not in {run.event for run in hub.runs}, "more calls at once than the limit permits"
            assert len({run.key for run in hub.runs}) == INSTANCES * WIDTH, "each call at least once"
            async with asyncio.timeout(120):
                while await patiently(lambda: app.client.read_entity(EntityId(GATE, "two"))) is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
    finally:
        hub.stop()
