"""Rewinds, forks and restarts on the embedded file and on Azurite, in real time."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.errors import OperationRefusedError
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from durable_core.storage.ports import Storage
from durable_core.testing.azurite import Azurite
from tests.support.azurite import azurite
from tests.support.live_app import running

__all__ = ["azurite"]

LARGE = random.Random(7).randbytes(150_000).hex()  # does not fit a property, nor with others a row


@dataclass
class Shop:
    is_open: bool = False
    keys: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    runs: Counter[str] = field(default_factory=Counter[str])

    def registry(self) -> Registry:
        def note(ctx: ActivityContext, what: str) -> None:
            self.keys.setdefault(what, set()).add(ctx.idempotency_key)
            self.runs[what] += 1

        @activity
        def pack(ctx: ActivityContext, item: str) -> str:
            note(ctx, f"pack {item[:5]}")
            return item

        @activity
        def pay(ctx: ActivityContext, sum: int) -> int:
            note(ctx, f"pay {sum}")
            if not self.is_open:
                raise ValueError("no connection")
            return sum

        @orchestrator
        def pays(ctx: OrchestrationContext, sum: int) -> Orchestration[int]:
            paid = yield from ctx.call_activity(pay, sum)
            return paid

        @orchestrator
        def order(ctx: OrchestrationContext, item: str) -> Orchestration[list[object]]:
            packed = yield from ctx.call_activity(pack, item)
            told = yield from ctx.wait_for_external_event("Address", str)
            paid = yield from ctx.call_sub_orchestrator(pays, 7)
            return [len(packed), told, paid, str(ctx.new_uuid())]

        return Registry().add(pack, pay, pays, order)


@pytest.fixture(params=["file", "azurite"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Storage]:
    settings = Settings(store=str(tmp_path / "hub.db"))
    if request.param == "azurite":
        server: Azurite = request.getfixturevalue("azurite")
        settings = Settings(connection={"": server.connection_string})
    opened = open_storage(settings)
    yield opened
    await opened.close()


@pytest.mark.parametrize("item", ["small", LARGE], ids=["small", "large"])
async def test_an_order_that_has_failed_is_rewound_forked_and_started_again(storage: Storage, item: str) -> None:
    shop, settings = Shop(), Settings(hub=f"t{uuid.uuid4().hex[:12]}")
    async with running(shop.registry(), settings, storage) as app, asyncio.timeout(120):
        client = app.client
        await client.start_new("order", "one", item)
        await client.raise_event("one", "Address", "Berlin")
        assert (await client.wait_for_completion("one", 60)).runtime_status == "Failed"
        child = next(each for each in await client.get_status_all() if each.name == "pays")
        with pytest.raises(OperationRefusedError, match="rewind that"):
            await client.rewind(child.instance_id)
        other = await client.fork("one", until_failure=True, overrides={2: {"result": 99}}, suspended=True)
        again = await client.restart("one", new_instance_id="again")
        shop.is_open = True
        dry = await client.rewind("one", dry_run=True)
        assert [task.name for task in dry.undone] == ["pays"]
        await client.rewind("one", "it is open", request_id="r")
        await client.rewind("one", "it is open", request_id="r")
        first = await client.wait_for_completion("one", 60)
        assert first.output[:3] == [len(item), "Berlin", 7]
        assert len(shop.keys["pay 7"]) == 1, "the child was rewound, under its id"
        assert (await client.get_status(other.instance_id)).runtime_status == "Suspended"
        await client.resume(other.instance_id)
        forked = await client.wait_for_completion(other.instance_id, 60)
        assert forked.output[:3] == [len(item), "Berlin", 99]
        assert forked.output[3] != first.output[3], "ids after the copy are the fork's own"
        await client.raise_event(again, "Address", "Rome")
        assert (await client.wait_for_completion(again, 60)).output[:3] == [len(item), "Rome", 7]
        assert shop.runs[f"pack {item[:5]}"] == 2, "once for the first, none for the fork, once for the restart"
        for name in ("one", other.instance_id, again):
            assert await client.purge_instance_history(name, recursive=True) >= 1
        assert not await client.get_status_all()
