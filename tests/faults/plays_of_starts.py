"""Interleavings about starts with a key (R36-R38)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Debounce, Deduplicate, Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.hub.instance_row import Instance
from durable_core.hub.instances import Instances
from durable_core.hub.start_keys import StartKeys
from durable_core.runtime.start import Started, Starts
from durable_core.testing.faults import HostCrashError

from .plays import Play
from .plays_of_turns import LOST
from .scenarios import Effects
from .stage import Stage

SOON = Debounce(key="k", period=timedelta(seconds=20))
ONCE = Deduplicate(key="k", window=timedelta(hours=1))
CLAIM = r"insert \w+Catalog key-"
ROW = r"insert \w+Instances "
JOIN = r"merge \w+Instances "


def starts_registry(stage: Callable[[], Stage], effects: Effects) -> Registry:
    @orchestrator
    def echo(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        yield from ctx.wait_for_external_event("Go")
        return text

    return Registry().add(echo)


async def _begun(stage: Stage) -> list[str]:
    """The inputs of all instances once no message is left; each of them must have begun."""
    await stage.settle()
    client = stage.world.client
    found = [await client.get_status(each.instance_id) for each in await client.get_status_all()]
    waiting = [status.instance_id for status in found if str(status.runtime_status) == "Pending"]
    assert not waiting, f"lost: no message is left, and these wait for ever: {waiting}"
    return sorted(str(status.input_) for status in found)


async def a_start_joins_an_instance_whose_starter_has_died_and_it_begins(stage: Stage) -> None:
    """A client dies right after it has written the row of a debounced instance. Another start joins that instance."""
    first = stage.host()
    first.crash_at(ROW, "after")
    with suppress(HostCrashError):
        await first.client.start_new("echo", client_input="a", debounce=SOON)
    await stage.client.start_new("echo", client_input="b", debounce=SOON)
    assert await _begun(stage) == ["b"]


def _rings_last(patch: pytest.MonkeyPatch) -> None:
    async def create(starts: Starts, fresh: Instance) -> Started | None:
        return await starts.create(fresh, "return")

    patch.setattr(Starts, "create_waiting", create)


async def two_starts_at_once_make_one_instance(stage: Stage) -> None:
    """A client has seen that nobody has claimed the key, and is held. Another client starts meanwhile."""
    first = stage.host()
    held = first.hold(CLAIM)
    start = asyncio.create_task(first.client.start_new("echo", client_input="a", deduplicate=ONCE))
    await held.reached()
    other = await stage.client.start_new("echo", client_input="b", deduplicate=ONCE)
    held.let_go()
    assert await start == other, "one key has two instances"
    assert await _begun(stage) == ["b"]


def _claims_anyhow(patch: pytest.MonkeyPatch) -> None:
    claim = StartKeys.claim

    async def anyhow(keys: StartKeys, *given: Any) -> bool:
        await claim(keys, *given)
        return True

    patch.setattr(StartKeys, "claim", anyhow)


async def a_start_that_is_late_does_not_join_what_has_begun(stage: Stage) -> None:
    """A client has seen that the instance of the key waits, and is held before it gives it another input. The time of
    the instance comes, and it begins."""
    first, host = stage.host(), stage.host()
    one = await stage.client.start_new("echo", client_input="a", debounce=SOON)
    held = first.hold(JOIN)
    start = asyncio.create_task(first.client.start_new("echo", client_input="b", debounce=SOON))
    await held.reached()
    await asyncio.sleep(30)
    await host.handle("control")
    held.let_go()
    two = await start
    await stage.settle()
    await stage.client.raise_event(one, "Go")
    assert two != one, "the input of a start is lost"
    await stage.client.raise_event(two, "Go")
    await stage.settle()
    assert [await stage.output(one), await stage.output(two)] == ["a", "b"]


def _joins_anyhow(patch: pytest.MonkeyPatch) -> None:
    put_off = Instances.put_off

    async def anyhow(instances: Instances, waiting: Instance, after: Instance) -> Instance:
        return await put_off(instances, waiting.but(etag=None), after)

    patch.setattr(Instances, "put_off", anyhow)


PLAYS = [
    Play(
        "R36",
        a_start_joins_an_instance_whose_starter_has_died_and_it_begins,
        _rings_last,
        LOST,
        starts_registry,
    ),
    Play("R37", two_starts_at_once_make_one_instance, _claims_anyhow, "one key has two instances", starts_registry),
    Play("R38", a_start_that_is_late_does_not_join_what_has_begun, _joins_anyhow, "is lost", starts_registry),
]
