"""Values of any size up to the limit travel like small ones, on both stores; above it there is a clear error."""

from __future__ import annotations

import base64
import random
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from durable_core import (
    Orchestration,
    OrchestrationContext,
    PayloadTooLargeError,
    Registry,
    RuntimeStatus,
    TaskFailedError,
    activity,
    orchestrator,
)
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from durable_core.storage.ports import Storage
from durable_core.testing.azurite import Azurite
from durable_core.testing.simulation import World

from ..support.live_app import running

KIB, MIB = 1024, 1024 * 1024
LIMIT = 10 * MIB
SIZES = [4 * KIB, 47 * KIB, 60 * KIB, 81 * KIB, 300 * KIB, 350 * KIB, MIB, 1_150_000, LIMIT - 2]


def noise(size: int, seed: int = 0) -> str:
    """Text of this length that compresses by a quarter only: six bits a character."""
    return base64.b64encode(random.Random(size + seed).randbytes(size)).decode()[:size]


@activity
def same(text: str) -> str:
    return text


@activity
def make(size: int) -> str:
    return noise(size)


@orchestrator
def through(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
    """The value goes through everything there is."""
    ctx.set_custom_status(text)
    told = yield from ctx.wait_for_external_event("tell", str)
    text = yield from ctx.call_activity(same, told)
    text = yield from ctx.call_activity(same, text, inline=False)
    return (yield from ctx.call_sub_orchestrator(passes, text))


@orchestrator
def passes(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
    if not text.startswith("again"):
        ctx.continue_as_new("again" + text[5:])
        yield ctx.create_timer(ctx.current_utc_datetime)
        return ""
    yield ctx.create_timer(ctx.current_utc_datetime)
    return text


@orchestrator
def collects(ctx: OrchestrationContext, sizes: list[int]) -> Orchestration[list[int]]:
    """Many large results and events at once."""
    texts = yield from ctx.task_all([ctx.call_activity(make, size) for size in sizes])
    yield from ctx.wait_for_external_event("all are there")
    events = yield from ctx.task_all([ctx.wait_for_external_event("page", str) for _ in sizes])
    return [len(text) for text in texts] + [len(text) for text in events]


@orchestrator
def too_large(ctx: OrchestrationContext, where: str) -> Orchestration[object]:
    match where:
        case "input":
            ctx.call_activity(same, "x" * LIMIT)
        case "child":
            ctx.call_sub_orchestrator(through, "x" * LIMIT)
        case "event":
            ctx.send_event("another", "e", "x" * LIMIT)
        case "status":
            ctx.set_custom_status("x" * LIMIT)
        case "again":
            ctx.continue_as_new("x" * LIMIT)
        case "result":
            try:
                yield from ctx.call_activity(make, LIMIT)
            except TaskFailedError as error:
                return [error.is_caused_by(PayloadTooLargeError), error.failure.retriable, error.failure.message]
        case _:
            yield ctx.create_timer(ctx.current_utc_datetime)
            return "x" * LIMIT
    yield ctx.create_timer(ctx.current_utc_datetime)
    return None


REGISTRY = Registry().add(same, make, through, passes, collects, too_large)


@pytest.fixture(params=["embedded", "azurite"])
async def live(request: pytest.FixtureRequest) -> AsyncIterator[tuple[DurableApp, Storage]]:
    connection: dict[str, str] = {}
    if request.param == "azurite":
        emulator: Azurite = request.getfixturevalue("azurite")
        connection[""] = emulator.connection_string
    settings = Settings(store=":memory:", hub="t" + uuid4().hex[:12], connection=connection)
    storage: Storage = open_storage(settings)
    async with running(REGISTRY, settings, storage) as found:
        yield found, storage
    await storage.close()


@pytest.mark.parametrize("size", SIZES)
async def test_a_value_of_any_size_goes_through_everything(live: tuple[DurableApp, Storage], size: int) -> None:
    app, storage = live
    client, text = app.client, noise(size)
    instance_id = await client.start_new(through, client_input=text)
    await client.raise_event(instance_id, "tell", text)
    status = await client.wait_for_completion(instance_id, 120)
    assert status.runtime_status is RuntimeStatus.COMPLETED, status.failure
    assert status.output == "again" + text[5:]
    assert status.input_ == status.custom_status == text
    for listed in await client.get_status_all():
        assert await client.purge_instance_history(listed.instance_id) == 1
    assert (await storage.table(app.hub.names.instances).read_range(instance_id)).rows == []


async def test_many_large_results_and_events_in_one_turn_are_taken_in_portions(
    live: tuple[DurableApp, Storage],
) -> None:
    client = live[0].client
    sizes = [700_000] * 20 + [2_500_000] * 4
    instance_id = await client.start_new(collects, client_input=sizes)
    for seed, size in enumerate(sizes):
        await client.raise_event(instance_id, "page", noise(size, seed))
    await client.raise_event(instance_id, "all are there")
    status = await client.wait_for_completion(instance_id, 240)
    assert status.runtime_status is RuntimeStatus.COMPLETED, status.failure
    assert status.output == sizes + sizes
    history = await client.get_status(instance_id, show_history=True)
    assert len(history.history_events or []) > 2 * len(sizes)


@pytest.mark.parametrize("where", ["input", "child", "event", "status", "again", "output"])
def test_a_value_over_the_limit_fails_the_orchestrator_at_its_line(where: str) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(too_large, "one", where)
        status = await world.client.wait_for_completion("one", 60)
        assert status.runtime_status is RuntimeStatus.FAILED
        assert status.failure is not None
        assert status.failure.is_caused_by(PayloadTooLargeError)
        assert "test_large_payloads.py:" in status.failure.message
        assert "over the limit of 10,485,760" in status.failure.message

    World(REGISTRY).run(scenario)


def test_an_activity_whose_result_is_too_large_fails_once_and_says_so() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(too_large, "one", "result")
        output = (await world.client.wait_for_completion("one", 60)).output
        assert output[:2] == [True, False]
        assert output[2].startswith("the result of activity 'make' (")
        with pytest.raises(PayloadTooLargeError, match="the input is"):
            await world.client.start_new(through, "two", "x" * LIMIT)
        with pytest.raises(PayloadTooLargeError, match="the event's data is"):
            await world.client.raise_event("one", "e", "x" * LIMIT)
        assert not await world.client.get_status("two")

    World(REGISTRY).run(scenario)


def test_a_burst_of_large_events_is_told_in_order_over_several_turns() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(collects, "one", [10] * 12)
        for hosts in world.hosts:
            await hosts.stop()
        for number in range(12):
            await world.client.raise_event("one", "page", f"{number:02}" + "x" * (2 * MIB + number))
        await world.client.raise_event("one", "all are there")
        await world.replace_hosts(None)
        status = await world.client.wait_for_completion("one", 6000)
        assert status.output == [10] * 12 + [2 * MIB + 2 + number for number in range(12)]
        instance = (await world.outside.hub.instances.load("one")).instance
        assert instance is not None
        largest = max(
            sum(len(str(getattr(event, "data", ""))) for event in segment.events)
            for segment in await world.outside.hub.instances.history(instance)
        )
        assert largest < 12 * MIB

    World(REGISTRY).run(scenario)
