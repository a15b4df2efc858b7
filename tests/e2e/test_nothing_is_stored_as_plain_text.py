"""With a payload codec no plain text of the user's is written to any table or queue, on both stores."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet, MultiFernet

from durable_core import (
    ActivityContext,
    ActivityFailedError,
    NonRetriableError,
    Orchestration,
    OrchestrationContext,
    PayloadCodec,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    SubOrchestrationFailedError,
    activity,
    orchestrator,
)
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from durable_core.storage.ports import Storage
from durable_core.testing.azurite import Azurite

from ..support.live_app import running
from ..support.recording_store import RecordingStorage

SECRET = "Sécret-4711"
STORES = ("embedded", "azurite")


class Encrypted:
    """The first key encrypts, all of them decrypt."""

    def __init__(self, *keys: bytes) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys or [Fernet.generate_key()]])

    def encode(self, data: bytes) -> bytes:
        return self._fernet.encrypt(data)

    def decode(self, data: bytes) -> bytes:
        return self._fernet.decrypt(data)


def noise(size: int) -> str:
    """Text that does not compress."""
    return base64.b64encode(random.Random(size).randbytes(size * 3 // 4)).decode()


@activity
def echo(ctx: ActivityContext, text: str) -> str:
    if ctx.attempt == 1:
        raise OSError(f"not yet: {text[:40]}")
    return f"{text} {SECRET}"


@activity
def refuse(text: str) -> str:
    raise NonRetriableError(f"no: {text}") from ValueError(f"because of {text}")


@orchestrator
def child(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
    try:
        yield from ctx.call_activity(refuse, text)
    except ActivityFailedError as error:
        raise LookupError(f"{SECRET} and {error}") from error
    return text


@orchestrator
def secretive(ctx: OrchestrationContext, state: dict[str, str]) -> Orchestration[list[str]]:
    quick = RetryPolicy(max_attempts=2, first_interval=ctx.current_utc_datetime - ctx.current_utc_datetime)
    ctx.set_custom_status({"now": f"{state['text']} {SECRET}"})
    if state["round"] == "1":
        yield from ctx.wait_for_external_event("go", str)
        ctx.continue_as_new({"round": "2", "text": f"{SECRET} again"})  # and carries the events that came before
        return []
    told = yield from ctx.wait_for_external_event("tell", str)
    results = yield from ctx.task_all(
        [ctx.call_activity(echo, f"{SECRET} {told} {n} {noise(n)}", retry=quick) for n in (10, 50_000, 700_000)]
    )
    try:
        yield from ctx.call_sub_orchestrator(child, f"{SECRET} for a child")
    except SubOrchestrationFailedError as error:
        results.append(error.failure.message)
    ctx.send_event(ctx.instance_id, "tell", f"{SECRET} to myself")
    results.append((yield from ctx.wait_for_external_event("tell", str)))
    return results


@orchestrator
def waits(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
    return (yield from ctx.wait_for_external_event("never", str))


@orchestrator
def fails(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
    yield from ctx.call_activity(refuse, text)
    return text


REGISTRY = Registry().add(echo, refuse, child, secretive, waits, fails)


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Settings, RecordingStorage]]:
    settings = Settings(store=str(tmp_path / "store.db"), hub="t" + uuid4().hex[:12])
    if request.param == "azurite":
        emulator: Azurite = request.getfixturevalue("azurite")
        settings = Settings(connection={"": emulator.connection_string}, hub=settings.hub)
    storage = RecordingStorage(open_storage(settings))
    yield settings, storage
    await storage.close()


async def run_all(settings: Settings, storage: Storage, codec: PayloadCodec | None) -> None:
    async with running(REGISTRY, settings, storage, codec) as app:
        client = app.client
        one = await client.start_new(secretive, "one", {"round": "1", "text": SECRET})
        for number in range(2):
            await client.raise_event(one, "Tell", f"{SECRET} {number} {noise(20_000)}")
        await client.raise_event(one, "go", SECRET)
        ended = await client.start_new(waits, "two", SECRET, tags={"ward": "readable tag"})
        await client.suspend(ended, f"{SECRET} suspends")
        await client.terminate(ended, f"{SECRET} ends it")
        failed = await client.start_new(fails, "three", SECRET)

        status = await client.wait_for_completion(one, 60)
        assert status.runtime_status is RuntimeStatus.COMPLETED, status
        assert [len(text) > 50_000 for text in status.output] == [False, True, True, False, False]
        assert all(SECRET in text for text in status.output)
        assert status.custom_status == {"now": f"{SECRET} again {SECRET}"}
        status = await client.wait_for_completion(ended, 60)
        assert (status.runtime_status, status.output) == (RuntimeStatus.TERMINATED, f"{SECRET} ends it")
        status = await client.wait_for_completion(failed, 60)
        assert status.failure is not None
        assert f"no: {SECRET}" in status.failure.message
        assert status.failure.is_caused_by(ValueError)
        history = (await client.get_status(one, show_history=True, show_history_output=True)).history_events
        assert SECRET in str(history)


async def test_no_table_and_no_queue_ever_held_plain_text(store: tuple[Settings, RecordingStorage]) -> None:
    settings, storage = store
    await run_all(settings, storage, Encrypted())
    assert storage.places_of(SECRET) == set()
    assert storage.places_of("readable tag") == {f"{settings.hub}Instances.tags", f"{settings.hub}Catalog.tags"}
    assert {f"{settings.hub}-control", f"{settings.hub}-work"} <= {place for place, _ in storage.written}


async def test_without_a_codec_the_same_search_finds_it_everywhere(store: tuple[Settings, RecordingStorage]) -> None:
    settings, storage = store
    await run_all(settings, storage, None)
    found = storage.places_of(SECRET)
    columns = {"input", "output", "custom", "failure", "carry", "data", "name", "p0", "q1", "s0_0"}
    assert {f"{settings.hub}Instances.{column}" for column in columns} <= found
    assert {f"{settings.hub}-control", f"{settings.hub}-work"} <= found


@pytest.mark.parametrize("first_key", ["none", "another"])
async def test_data_from_before_the_codec_or_the_key_stays_readable(
    store: tuple[Settings, RecordingStorage], first_key: str
) -> None:
    settings, storage = store
    old, new = Fernet.generate_key(), Fernet.generate_key()
    async with running(REGISTRY, settings, storage, None if first_key == "none" else Encrypted(old)) as app:
        await app.client.start_new(secretive, "one", {"round": "1", "text": SECRET})
        await app.client.raise_event("one", "go", "on")
        for _ in range(200):
            if (await app.client.get_status("one")).custom_status == {"now": f"{SECRET} again {SECRET}"}:
                break
            await asyncio.sleep(0.05)
    async with running(REGISTRY, settings, storage, Encrypted(new, old)) as app:
        await app.client.raise_event("one", "tell", "b")
        status = await app.client.wait_for_completion("one", 60)
        assert status.runtime_status is RuntimeStatus.COMPLETED
        assert status.output[0].startswith(f"{SECRET} b 10")
