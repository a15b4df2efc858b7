"""Many senders to one instance: every event is delivered once, and in order to whoever awaits each answer."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from durable_core.testing.azurite import Azurite
from tests.support.busy_hub import BusyHub
from tests.support.http_client import BASE

SENDERS = 20
SOAK = "DURABLE_SOAK" in os.environ


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("store", "each"), [("embedded", 50), ("azurite", 50 if SOAK else 8)])
async def test_events_of_many_senders_arrive_once_and_in_order(
    store: str, each: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    azurite: Azurite | None = request.getfixturevalue("azurite") if store == "azurite" else None
    hub = BusyHub(tmp_path, ("", ""), azurite=azurite, lease=60.0)
    try:
        hub.start()
        async with hub.app() as app, aiohttp.ClientSession() as session:
            await hub.start_instance(session, "inbox", "one", SENDERS * each)

            async def send(sender: int) -> None:
                """Half of them through the client, half over HTTP at either host."""
                for number in range(each):
                    item = [sender, number]
                    if sender % 2:
                        await app.client.raise_event("one", "item", item)
                    else:
                        url = f"{hub.hosts[sender // 2 % 2].url}{BASE}/instances/one/raiseEvent/item"
                        async with session.post(url, json=item) as response:
                            assert response.status == 202, await response.text()

            await asyncio.gather(*(send(sender) for sender in range(SENDERS)))
            ended = await app.client.wait_for_completion("one", 900)
        got = [tuple(item) for item in ended.output]
        assert set(Counter(got).values()) == {1}
        assert len(got) == SENDERS * each
        for sender in range(SENDERS):
            assert [number for who, number in got if who == sender] == list(range(each))
        print(f"{store}: {len(got)} events of {SENDERS} senders")
    finally:
        hub.stop()
