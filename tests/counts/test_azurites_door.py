"""What goes over the wire to Azurite, counted by a proxy: the SDK adds nothing to what the ports are asked for.

The numbers may only go down. Left out is what is sent while somebody waits: receives, whose deletes are counted, and
the client's looks at the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

import pytest

from durable_core.settings import Settings
from durable_core.storage.azure.store import AzureStorage
from durable_core.storage.counting import CountingStorage
from durable_core.testing.azurite import Azurite
from tests.support.counting_proxy import UNCOUNTED, Door, counting_door
from tests.support.live_app import running
from tests.support.programs import make_registry

PATIENCE = 120.0


async def _wire(azurite: Azurite, orchestrator: str, data: int, output: int) -> tuple[Door, CountingStorage]:
    """One run of an orchestrator, from its start until all is at rest, at the door and at the ports."""
    async with counting_door(azurite) as door:
        settings = Settings(hub="t" + uuid4().hex[:12], connection={"": door.connection_string})
        storage = AzureStorage(settings.connection)
        counted = CountingStorage(storage)
        async with running(make_registry(), settings, counted) as app:
            before = len(door.requests)
            assert before > 0, "the tables and queues were not made through the proxy"
            counted.reset()
            instance_id = await app.client.start_new(orchestrator, None, data)
            status = await app.client.wait_for_completion(instance_id, PATIENCE)
            assert status.output == output
        await storage.close()
        del door.requests[:before]
    return door, counted


@dataclass(frozen=True)
class Most:
    """``requests`` and ``body_bytes``: at most so many."""

    orchestrator: str
    data: int
    output: int
    requests: int
    body_bytes: int


@pytest.mark.parametrize(
    "most",
    [
        # Start 3 (catalogue, instance, wake-up), a commit for the first turn and each result, the message's delete,
        # the load, the catalogue's last word.
        Most("chain", 5, 5, requests=12, body_bytes=7_850),
        # A message for each activity, which is sent and deleted; how few commits take 50 results depends on how they
        # arrive: 3 to 5 were seen.
        Most("fan", 50, 1275, requests=116, body_bytes=25_000),
    ],
    ids=["a chain of 5", "a fan-out of 50"],
)
async def test_the_wire_carries_what_the_ports_were_asked_for_and_no_more(azurite: Azurite, most: Most) -> None:
    door, counted = await _wire(azurite, most.orchestrator, most.data, most.output)
    ports = {kind.replace(".", " "): count for kind, count in counted.counts.by_kind.items()}
    for kind in (*UNCOUNTED, "queue idle_poll"):
        ports.pop(kind, None)
    assert door.by_kind == ports
    assert door.by_kind["table merge"] > 1, "nothing went through the proxy"
    assert door.total <= most.requests, door
    assert door.body_bytes <= most.body_bytes, door
