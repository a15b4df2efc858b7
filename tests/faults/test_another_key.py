"""A host without the right key changes nothing and loses nothing: the instance is shown as stuck, and goes on later."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    CodecError,
    Orchestration,
    OrchestrationContext,
    PayloadCodec,
    Registry,
    RuntimeStatus,
    activity,
    orchestrator,
)
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each


class Shift:
    """A toy cipher, deterministic and with a check of its key."""

    def __init__(self, key: int, *, checks: bool = True) -> None:
        self._key = bytes([key])
        self._checks = checks

    def encode(self, data: bytes) -> bytes:
        return self._key + bytes(b ^ self._key[0] for b in data)

    def decode(self, data: bytes) -> bytes:
        if self._checks and data[:1] != self._key:
            raise ValueError("wrong key")
        return bytes(b ^ self._key[0] for b in data[1:])


@activity
def double(ctx: ActivityContext, number: int) -> int:
    return number * 2


@activity
def blow_up(size: int) -> str:
    return random.Random(size).randbytes(size // 2).hex()


@orchestrator
def steps(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    ctx.set_custom_status("waiting")
    number += yield from ctx.wait_for_external_event("add", int)
    number = yield from ctx.call_activity(double, number)
    yield ctx.create_timer(timedelta(hours=2))
    doubled = yield from ctx.task_all([ctx.call_activity(double, number + n) for n in range(3)])
    text = yield from ctx.call_activity(blow_up, 120_000, inline=False)
    return sum(doubled) + len(text)


REGISTRY = Registry().add(double, blow_up, steps)
EXPECTED = 44 + 46 + 48 + 120_000


async def end_of(world: World) -> Any:
    for _ in range(40):
        await asyncio.sleep(300)
        status = await world.client.get_status("one")
        if status.is_terminal:
            return status.output
    raise AssertionError(str(await world.client.get_status("one")))


def in_world(scenario: Callable[[World], Any], codec: PayloadCodec | None, warm_cache: int = 1 << 26) -> Any:
    world = World(REGISTRY, settings=Settings(warm_cache=warm_cache), codec=codec)
    result = world.run(scenario)
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    return result


WRONG: list[PayloadCodec | None] = [Shift(7), Shift(7, checks=False), None]


@pytest.mark.parametrize("wrong", WRONG, ids=["wrong key", "wrong key, unchecked", "no codec"])
@pytest.mark.parametrize("hours", [0, 3], ids=["before the event", "after the timer"])
def test_an_instance_of_another_key_is_shown_as_stuck_and_goes_on_when_the_key_is_back(
    wrong: PayloadCodec | None, hours: int
) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(steps, "one", 1)
        if hours:
            await world.client.raise_event("one", "add", 10)
        await asyncio.sleep(300)
        await world.replace_hosts(wrong)
        if not hours:
            await world.client.raise_event("one", "add", 10)
        await asyncio.sleep(60 + hours * 3600)
        status = await world.hosts[0].app.client.get_status("one")
        assert status.runtime_status is RuntimeStatus.RUNNING
        assert "payload codec" in (status.stuck_reason or "")
        listed = await world.hosts[0].app.client.get_status_all()
        assert "payload codec" in (listed[0].stuck_reason or "")
        await asyncio.sleep(7200)  # longer than anybody's patience
        await world.replace_hosts(Shift(3))
        assert await end_of(world) == EXPECTED
        assert (await world.client.get_status("one")).stuck_reason is None

    in_world(scenario, Shift(3))


def test_an_event_that_comes_to_a_host_without_the_key_is_passed_to_one_that_has_it() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(steps, "one", 1)
        await asyncio.sleep(5)
        await world.replace_hosts(Shift(7))
        await world.client.raise_event("one", "unrelated")
        await asyncio.sleep(35)
        assert "payload codec" in ((await world.hosts[0].app.client.get_status("one")).stuck_reason or "")
        await world.client.raise_event("one", "add", 10)
        await asyncio.sleep(1)  # the host has received it, alone
        world.codec = Shift(3)
        world.add_host()
        await world.hosts.pop(0).stop()
        await asyncio.sleep(60)  # recovery comes after minutes
        assert (await world.client.get_status("one")).stuck_reason is None, "the event was not delivered"
        assert await end_of(world) == EXPECTED

    in_world(scenario, Shift(3))


@pytest.mark.parametrize("wrong", WRONG, ids=["wrong key", "wrong key, unchecked", "no codec"])
def test_messages_on_their_way_while_the_key_is_missing_are_not_lost(wrong: PayloadCodec | None) -> None:
    """Every few seconds another key: results, work and large messages meet hosts that cannot read them."""

    async def scenario(world: World) -> None:
        await world.client.start_new(steps, "one", 1)
        await world.client.raise_event("one", "add", 10)
        for number in range(40):
            await world.replace_hosts(Shift(3) if number % 2 else wrong)
            await asyncio.sleep(0.01 if number % 4 else 400)
        await world.replace_hosts(Shift(3))
        assert await end_of(world) == EXPECTED

    in_world(scenario, Shift(3), warm_cache=0)


def test_a_client_without_the_key_gets_an_error_that_says_so() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(steps, "one", 1)
        await world.client.raise_event("one", "add", 10)
        assert await end_of(world) == EXPECTED
        await world.replace_hosts(Shift(7))
        stranger = world.hosts[0].app.client
        with pytest.raises(CodecError, match="if the key of the codec has changed"):
            await stranger.get_status("one")
        assert [status.runtime_status for status in await stranger.get_status_all()] == [RuntimeStatus.COMPLETED]
        assert await stranger.purge_instance_history("one") == 1

    in_world(scenario, Shift(3))


def test_a_codec_that_cannot_encode_refuses_the_start() -> None:
    class Broken(Shift):
        def encode(self, data: bytes) -> bytes:
            raise OSError("the key vault does not answer")

    async def scenario(world: World) -> None:
        with pytest.raises(CodecError, match="failed to encode a payload: OSError"):
            await world.client.start_new(steps, "one", 1)
        assert not await world.client.get_status("one")

    in_world(scenario, Broken(1))


@pytest.mark.parametrize("fault", list(Fault))
def test_with_a_codec_a_fault_at_any_storage_operation_changes_no_outcome(fault: Fault, totals: Totals) -> None:
    async def scenario(world: World) -> Any:
        await world.client.start_new(steps, "one", 1)
        await world.client.raise_event("one", "add", 10)
        return await end_of(world)

    def run(plan: FaultPlan) -> tuple[Any, World]:
        world = World(REGISTRY, codec=Shift(3))
        outcome = world.run(scenario, plan)
        assert not world.errors, world.errors
        return outcome, world

    strike_each(run, fault, EXPECTED, totals)
