"""``kill -9`` of hosts at seeded moments while clients send updates and wait: each is carried out once, and answered.

Half of the senders are in this process, which is not killed, and wait at the store; the others ask over HTTP, and lose
their answer with the host. Who has no answer asks again with the same id.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from durable_core import DurableClient
from durable_core.errors import StorageUnavailableError, UpdateNotEndedError
from durable_core.testing.azurite import Azurite
from tests.support.busy_hub import PATIENCE, BusyHub, completed
from tests.support.http_client import BASE

APP = Path(__file__).parent / "apps" / "booking"
INSTANCES = 3
UPDATES, KILLS = {"embedded": 36, "azurite": 12}, {"embedded": 6, "azurite": 3}  # of each instance; in all


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True, limit=16)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as opened:
        yield opened


class Senders:
    """Those who send updates. answers: what each was told, by instance and update id."""

    def __init__(self, hub: BusyHub, client: DurableClient, session: aiohttp.ClientSession) -> None:
        self._hub, self._client, self._session = hub, client, session
        self.answers: dict[tuple[str, str], Any] = {}
        self.asked_again = 0

    async def send(self, instance_id: str, name: str, update_id: str, *, over_http: bool) -> None:
        ask = self._over_http if over_http else self._at_the_store
        self.answers[instance_id, update_id] = await ask(instance_id, name, update_id)

    async def repeated(self, instance_id: str, name: str, update_id: str) -> Any:
        return await self._at_the_store(instance_id, name, update_id)

    async def _at_the_store(self, instance_id: str, name: str, update_id: str) -> Any:
        give_up_at = time.monotonic() + PATIENCE
        while True:
            try:
                return await self._client.update(instance_id, name, update_id, update_id=update_id, timeout=30)
            except (UpdateNotEndedError, StorageUnavailableError):
                assert time.monotonic() < give_up_at, f"{instance_id}: {update_id} is not answered"
                self.asked_again += 1

    async def _over_http(self, instance_id: str, name: str, update_id: str) -> Any:
        give_up_at, tries = time.monotonic() + PATIENCE, 0
        while True:
            door = self._hub.doors[(tries + int(update_id[1:])) % len(self._hub.doors)]
            url = f"{door.url}{BASE}/instances/{instance_id}/updates/{name}"
            tries += 1
            try:
                query = {"updateId": update_id, "timeout": "30"}
                async with self._session.post(url, params=query, json=update_id) as response:
                    said = await response.text()
                    if response.status == 200:
                        return json.loads(said)
                    assert response.status in (202, 503), f"{response.status} {said}"
            except (aiohttp.ClientError, TimeoutError) as error:
                said = repr(error)
            self.asked_again += 1
            assert time.monotonic() < give_up_at, f"{instance_id}: {update_id} is not answered: {said}"
            await asyncio.sleep(0.2)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("store", ["embedded", "azurite"])
async def test_each_update_is_carried_out_once_and_answered_when_hosts_are_killed(
    store: str, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    azurite = Azurite(tmp_path / "azurite").start() if store == "azurite" else None
    hub = BusyHub(tmp_path / "hosts", ("", ""), azurite=azurite, app=APP)
    instances = [f"ledger-{number}" for number in range(INSTANCES)]
    draw = random.Random(store)
    sent = [
        (instance_id, "book" if number % 3 else "note", f"u{number}", bool(number % 2))
        for number in range(UPDATES[store])
        for instance_id in instances
    ]
    moments = sorted(draw.randrange(1, len(sent) * 3 // 4) for _ in range(KILLS[store]))
    try:
        hub.start()
        async with hub.app() as app:
            for instance_id in instances:
                await hub.start_instance(session, "ledger", instance_id, [])
            senders = Senders(hub, app.client, session)
            crowd = asyncio.Semaphore(12)

            async def send(instance_id: str, name: str, update_id: str, over_http: bool) -> None:
                async with crowd:
                    await senders.send(instance_id, name, update_id, over_http=over_http)

            sending = asyncio.gather(*(send(*each) for each in sent))
            for moment in moments:
                while len(senders.answers) < moment and not sending.done():  # noqa: ASYNC110  progress of others
                    await asyncio.sleep(0.02)
                await hub.kill(draw.choice(hub.hosts))
            await sending

            # Whoever asks again with the id gets the answer that there is, also from a host that knows nothing of it.
            for instance_id, name, update_id, _ in draw.sample(sent, 12):
                again = await senders.repeated(instance_id, name, update_id)
                assert again == senders.answers[instance_id, update_id], f"{instance_id}: another answer to {update_id}"
            for instance_id in instances:
                assert await app.client.update(instance_id, "close", update_id="close", timeout=200) == UPDATES[store]
            assert completed(await hub.until_all_ended(app.client)).keys() == set(instances)
            for instance_id in instances:
                lines: list[str] = (await app.client.get_status(instance_id)).output
                assert Counter(lines) == Counter(f"u{number}" for number in range(UPDATES[store])), "each once"
                for of, name, update_id, _ in sent:
                    if of == instance_id:
                        line = lines.index(update_id) + 1
                        expected = line if name == "note" else [line, f"receipt of {update_id}"]
                        assert senders.answers[of, update_id] == expected, f"{of}: {update_id} was told another line"
            assert hub.kills == KILLS[store]
            for queue in app.hub.names.poison_queues:
                assert await hub.count(queue) == 0
    finally:
        hub.stop()
        if azurite is not None:
            azurite.stop()
