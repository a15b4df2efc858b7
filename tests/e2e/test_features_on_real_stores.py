"""What an orchestrator's author reaches for works on the embedded file and on Azurite, in real time and threads.

The examples of the docs are driven by a real app with its own listeners. Those that wait for minutes and more of
virtual time run in the simulated world only (test_docs_examples.py).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from durable_core import (
    Debounce,
    Deduplicate,
    DurableClient,
    EntityId,
    Limit,
    Orchestration,
    OrchestrationContext,
    Registry,
    RuntimeStatus,
    TaskCancelledError,
    TaskTimeoutError,
    activity,
    orchestrator,
)
from durable_core.errors import CapabilityError, InstanceCompletedError, LeaseLostError
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from durable_core.storage.ports import Queue, QueueMessage, Storage
from durable_core.testing.azurite import Azurite
from durable_core.testing.simulation import PlainCallbackUrls
from tests.support.azurite import azurite
from tests.support.examples import EXAMPLES, example_module

__all__ = ["azurite"]

IN_REAL_TIME = {
    "chaining",
    "encryption",
    "entities",
    "failures",
    "fan_out",
    "heartbeat",
    "large_payloads",
    "models",
    "queries",
    "run_step",
    "saga",
    "streams",
}
T = TypeVar("T")

PATIENCE = 120.0  # seconds
LEASE = 30.0
POLL = 0.05


@pytest.fixture(params=["file", "azurite"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Storage]:
    settings = Settings(store=str(tmp_path / "hub.db"))
    if request.param == "azurite":
        server: Azurite = request.getfixturevalue("azurite")
        settings = Settings(connection={"": server.connection_string})
    opened = open_storage(settings)
    yield opened
    await opened.close()


async def listen(queue: Queue, handler: Callable[[str, int], Awaitable[None]]) -> None:
    """What the Functions host does with a queue, without its refinements."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(message: QueueMessage) -> None:
        await handler(message.body, message.dequeue_count)
        with suppress(LeaseLostError):
            await queue.delete(message)

    try:
        while True:
            for message in await queue.receive(16, LEASE):
                task = asyncio.create_task(handle(message))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(POLL)
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(ask: Callable[[], Awaitable[T]], is_right: Callable[[T], object]) -> T:
    """The first answer that is right; the caller's time limit ends a wait in vain."""
    while True:
        if is_right(answer := await ask()):
            return answer
        await asyncio.sleep(POLL)


@asynccontextmanager
async def running(registry: Registry, storage: Storage, module: object = None) -> AsyncGenerator[DurableClient]:
    """An app of a hub of its own, at work."""
    settings: Settings = getattr(module, "SETTINGS", Settings())
    settings = replace(settings, hub=f"t{uuid.uuid4().hex[:12]}", message_lease=LEASE)
    app = await DurableApp.open(
        registry, settings, storage, codec=getattr(module, "CODEC", None), callback_urls=PlainCallbackUrls()
    )
    names = app.hub.names
    listeners = [
        *(asyncio.create_task(listen(storage.queue(name), app.on_control_message)) for name in names.control),
        *(asyncio.create_task(listen(storage.queue(name), app.on_work_message)) for name in names.work),
    ]
    try:
        async with asyncio.timeout(150):  # a loaded machine is slow, and no test asserts a duration
            yield app.client
    finally:
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)
        await app.close()


@pytest.mark.parametrize("path", [p for p in EXAMPLES if p.stem in IN_REAL_TIME], ids=lambda path: path.stem)
async def test_a_feature_works_on_a_real_store(path: Path, storage: Storage) -> None:
    with example_module(path) as module:
        async with running(Registry.scan(module), storage, module) as client:
            await module.example(client)


@activity
def note(text: str) -> str:
    return text.upper()


@activity(timeout=timedelta(seconds=1))
async def never_ends() -> None:
    await asyncio.sleep(3600)


@orchestrator
def tidy(ctx: OrchestrationContext) -> Orchestration[str]:
    try:
        yield from ctx.wait_for_external_event("Never")
    except TaskCancelledError:
        return (yield from ctx.call_activity(note, "cleaned up"))
    return "heard"


@orchestrator
def asks(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    found: list[str] = []
    ctx.on_event("Note", found.append)
    try:
        yield from ctx.call_activity(never_ends)
    except TaskTimeoutError:
        found.append("slow")
    try:
        yield from ctx.wait_for_external_event("Go", timeout=timedelta(seconds=1))
    except TaskTimeoutError:
        found.append("silent")
        ctx.set_custom_status("silent")
    yield from ctx.wait_condition(lambda: "last" in found)
    return found


@orchestrator
def signs(ctx: OrchestrationContext) -> Orchestration[str]:
    callback = ctx.callback("signature", str)
    ctx.set_custom_status(callback.url)
    return (yield from callback.task)


@orchestrator
def passes_on(ctx: OrchestrationContext) -> Orchestration[str]:
    return (yield from ctx.call_sub_orchestrator(tidy, timeout=timedelta(seconds=2)))


@orchestrator(limit=Limit(name="one", concurrency=1, key=lambda text: "k" if text else ""))
def renews(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
    said = yield from ctx.call_activity(note, text)
    if said == text:
        yield from ctx.wait_for_external_event("Go")
        return said
    ctx.continue_as_new(said)
    return ""


REAL = Registry().add(note, never_ends, tidy, asks, signs, passes_on, renews)


async def test_cancel_reaches_the_code_which_cleans_up(storage: Storage) -> None:
    async with running(REAL, storage) as client:
        instance_id = await client.start_new(tidy)
        await client.cancel(instance_id, "enough")
        status = await client.wait_for_completion(instance_id, PATIENCE)
        assert (status.runtime_status, status.output) == (RuntimeStatus.COMPLETED, "CLEANED UP")


async def test_timeouts_handlers_and_conditions_hold(storage: Storage) -> None:
    async with running(REAL, storage) as client:
        await client.signal_with_start(asks, "one", "Note", "first", event_id="a")
        await client.raise_event("one", "note", "first", event_id="a")
        await eventually(lambda: client.get_status("one"), lambda found: found.custom_status == "silent")
        await client.raise_event("one", "NOTE", "last")
        status = await client.wait_for_completion("one", PATIENCE)
        assert status.output == ["first", "slow", "silent", "last"]


async def test_a_callback_is_answered_once(storage: Storage) -> None:
    async with running(REAL, storage) as client:
        instance_id = await client.start_new(signs)
        status = await eventually(lambda: client.get_status(instance_id), lambda found: found.custom_status)
        url = status.custom_status
        await client.complete_callback(url, "Ada")
        assert (await client.wait_for_completion(instance_id, PATIENCE)).output == "Ada"
        with pytest.raises((CapabilityError, InstanceCompletedError)):
            await client.complete_callback(url, "Bob")


async def test_a_run_that_overruns_ends_and_one_that_is_put_off_waits(storage: Storage) -> None:
    async with running(REAL, storage) as client:
        in_an_hour = await client.start_new(tidy, start_at=datetime.now(UTC) + timedelta(hours=1))
        at = datetime.now(UTC) + timedelta(seconds=3)
        later = await client.start_new(tidy, start_at=at, timeout=timedelta(seconds=2))
        late = await client.start_new(passes_on)
        for instance_id in (late, later):
            status = await client.wait_for_completion(instance_id, PATIENCE)
            assert status.runtime_status is RuntimeStatus.FAILED
            assert status.failure is not None
            assert status.failure.is_caused_by(TaskTimeoutError)
        assert datetime.now(UTC) > at
        assert (await client.get_status(in_an_hour)).runtime_status is RuntimeStatus.PENDING


async def test_starts_with_a_key_make_one_instance(storage: Storage) -> None:
    once = Deduplicate(key="k /\\?#", window=timedelta(hours=1))
    async with running(REAL, storage) as client:
        starts = [client.start_new(renews, client_input=f"t{n}", deduplicate=once) for n in range(8)]
        [first] = set(await asyncio.gather(*starts))
        late, soon = (Debounce(key="k", period=timedelta(seconds=seconds)) for seconds in (3600, 1))
        ids = {await client.start_new(renews, client_input=f"v{number}", debounce=late) for number in range(3)}
        [waiting] = ids
        assert (await client.get_status(waiting)).runtime_status is RuntimeStatus.PENDING
        assert await client.start_new(renews, client_input="v3", debounce=soon) == waiting
        await client.raise_event(first, "Go")
        await client.wait_for_completion(first, PATIENCE)
        assert await client.start_new(renews, client_input="t9", deduplicate=once) == first
        assert await client.purge_instance_history(first) == 1
        await client.raise_event(waiting, "Go")
        assert (await client.wait_for_completion(waiting, PATIENCE)).output == "V3"
        assert await client.start_new(renews, client_input="v4", debounce=soon) != waiting


async def test_a_limit_of_whole_orchestrations_holds_through_generations(storage: Storage) -> None:
    async with running(REAL, storage) as client:
        await client.start_new(renews, "a", "a")
        await client.start_new(renews, "b", "b")

        async def waits() -> list[str]:
            return sorted([wait.kind for name in "ab" for wait in (await client.get_status(name)).waits])

        await eventually(waits, lambda kinds: kinds == ["entity", "event"])
        await asyncio.sleep(1)
        assert await waits() == ["entity", "event"]  # one holds the slot, in its second generation; the other waits
        for _ in range(2):
            for name in "ab":
                with suppress(InstanceCompletedError):
                    await client.raise_event(name, "Go")
            await asyncio.sleep(1)
        assert [(await client.wait_for_completion(name, PATIENCE)).output for name in "ab"] == ["A", "B"]
        await eventually(lambda: client.read_entity(EntityId("durable.gate", "one:k")), lambda gate: gate is None)


async def test_a_schedule_starts_runs_until_it_is_deleted(storage: Storage) -> None:
    async with running(REAL, storage) as client:
        await client.create_schedule("often", asks, interval=timedelta(seconds=1), overlap="skip")
        runs = await eventually(client.get_status_all, len)
        assert runs[0].name == "asks"
        assert [schedule.schedule_id for schedule in await client.list_schedules()] == ["often"]
        await client.delete_schedule("often")
        assert await client.list_schedules() == []


async def test_instances_are_found_by_their_tags(storage: Storage) -> None:
    async with running(REAL, storage) as client:
        await client.start_new(tidy, "mine", tags={"team": "blue"})
        await client.start_new(tidy, "theirs", tags={"team": "red"})
        assert [found.instance_id for found in await client.get_status_by(tags={"team": "blue"})] == ["mine"]
