"""``kill -9`` of hosts at seeded moments while orchestrations signal, call and lock entities.

Each operation takes effect once, those of one sender in their order, and a number that is read and written in a
critical section counts every orchestration.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import pytest

from durable_core import DurableClient, EntityId
from durable_core.testing.azurite import Azurite
from tests.support.busy_hub import BusyHub, completed, patiently

APP = Path(__file__).parent / "apps" / "tallying"
WORDS, NUMBER = EntityId("tally", "words"), EntityId("tally", "number")
INSTANCES, KILLS = {"embedded": 40, "azurite": 12}, {"embedded": 5, "azurite": 3}


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True, limit=8)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as opened:
        yield opened


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("store", ["embedded", "azurite"])
async def test_operations_take_effect_once_and_sections_exclude_each_other_when_hosts_are_killed(
    store: str, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    azurite = Azurite(tmp_path / "azurite").start() if store == "azurite" else None
    hub = BusyHub(tmp_path / "hosts", ("", ""), azurite=azurite, app=APP)
    names = [f"one-{number}" for number in range(INSTANCES[store])]
    draw = random.Random(store)
    moments = sorted(draw.randrange(1, 4 * len(names) * 3 // 4) for _ in range(KILLS[store]))
    try:
        hub.start()
        async with hub.app() as app:

            async def words() -> list[str]:
                found = await patiently(lambda: app.client.read_entity(WORDS))
                return [] if found is None else found.state["words"]

            starting = asyncio.gather(*(hub.start_instance(session, "tallies", name, name) for name in names))
            for moment in moments:
                async with asyncio.timeout(240):
                    while len(await words()) < moment:  # noqa: ASYNC110  the entity is in other processes
                        await asyncio.sleep(0.05)
                await hub.kill(draw.choice(hub.hosts))
            await starting
            ended = completed(await hub.until_all_ended(app.client))
            assert len(ended) == len(names)
            async with asyncio.timeout(240):
                while len(await words()) < 4 * len(names):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            told = await words()
            for name in names:
                assert [word for word in told if word.startswith(f"{name}.")] == [f"{name}.{n}" for n in range(4)]
            assert len(told) == 4 * len(names), "each word once"
            number = await app.client.read_entity(NUMBER)
            assert number is not None
            assert number.state["number"] == len(names), "an update is lost: two were in the section at once"
            for entity_id in (WORDS, NUMBER):
                async with asyncio.timeout(60):
                    while not await _is_at_rest(app.client, entity_id):  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
            for queue in app.hub.names.poison_queues:
                assert await hub.count(queue) == 0
    finally:
        hub.stop()
        if azurite is not None:
            azurite.stop()


async def _is_at_rest(client: DurableClient, entity_id: EntityId) -> bool:
    found = await patiently(lambda: client.entity_details(entity_id))
    return found is not None and found.queue_length == 0 and found.entity.lock is None
