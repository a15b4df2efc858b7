"""The append log: what a row, its chunks and its payload rows hold together is the history that was committed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from durable_core.engine.events import ContinueAsNew, EventRaised, EventSent, Segment
from durable_core.errors import PreconditionFailedError
from durable_core.hub import instances as module
from durable_core.hub.ids import Ids
from durable_core.hub.inbox import InboxKind
from durable_core.hub.instance_row import Instance
from durable_core.hub.instances import Carried, Carry, Commit, HistoryMovedError
from durable_core.hub.past_generations import PastGeneration
from durable_core.hub.payloads import PayloadGoneError
from durable_core.hub.taskhub import TaskHub
from durable_core.models import RuntimeStatus
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def hub() -> AsyncIterator[TaskHub]:
    storage = SqliteStorage(":memory:")
    hub = TaskHub(storage, Settings(), Random(1))
    await hub.create()
    yield hub
    await storage.close()


async def begin(hub: TaskHub, execution_id: str = "x") -> Instance:
    fresh = Instance(
        instance_id="one",
        execution_id=execution_id,
        name="orch",
        version="",
        status=RuntimeStatus.RUNNING,
        created=NOW,
        updated=NOW,
        input="null",
    )
    return await hub.instances.create(fresh)


def a_commit(hub: TaskHub, text: str, *consumed: str) -> Commit:
    return Commit(
        commit_id=hub.ids.commit_id(),
        timestamp=NOW,
        events=(EventRaised("E", text),),
        status=RuntimeStatus.RUNNING,
        consumed=consumed,
        dispatched=-1,
    )


async def texts(hub: TaskHub) -> list[object]:
    loaded = (await hub.instances.load("one")).instance
    assert loaded is not None
    segments = await hub.instances.history(loaded)
    assert [segment.seq for segment in segments] == list(range(loaded.first, loaded.seq))
    return [event.data for segment in segments for event in segment.events if isinstance(event, EventRaised)]


def noise(size: int) -> str:
    return Random(size).randbytes(size // 2).hex()


@pytest.mark.parametrize("size", [1, 4_000, 5_000, 130_000, 400_000, 700_000, 3_000_000])
async def test_a_segment_of_any_size_is_read_as_it_was_written(hub: TaskHub, size: int) -> None:
    instance = await begin(hub)
    await hub.instances.commit(instance, a_commit(hub, noise(size)))
    assert await texts(hub) == [noise(size)]


@pytest.mark.parametrize("count", [127, 128, 129, 130, 257, 300])
async def test_a_log_that_rolls_keeps_every_commit(hub: TaskHub, count: int) -> None:
    instance = await begin(hub)
    for number in range(count):
        instance = await hub.instances.commit(instance, a_commit(hub, str(number)))
    assert await texts(hub) == [str(number) for number in range(count)]
    assert (instance.base > 0) == (count > 128)


async def test_a_log_that_rolls_by_size_keeps_every_commit(hub: TaskHub) -> None:
    instance = await begin(hub)
    for number in range(12):
        instance = await hub.instances.commit(instance, a_commit(hub, noise(90_000 + number)))
    assert await texts(hub) == [noise(90_000 + number) for number in range(12)]
    assert instance.base > 0


async def test_a_segment_over_the_logs_limit_is_not_lost_to_the_next_roll(
    hub: TaskHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_BYTES", 100)
    instance = await begin(hub)
    for number in range(4):
        instance = await hub.instances.commit(instance, a_commit(hub, f"{number}" * 200))
    assert await texts(hub) == [f"{number}" * 200 for number in range(4)]


async def test_a_warm_and_a_cold_host_roll_alike(hub: TaskHub) -> None:
    await begin(hub)
    for number in range(140):
        loaded = (await hub.instances.load("one")).instance
        assert loaded is not None
        await hub.instances.commit(loaded, a_commit(hub, str(number)))
    assert await texts(hub) == [str(number) for number in range(140)]


async def test_a_row_that_rolled_while_it_was_read_is_noticed(hub: TaskHub) -> None:
    instance = await begin(hub)
    for number in range(129):
        instance = await hub.instances.commit(instance, a_commit(hub, str(number)))
    stale = (await hub.instances.load("one")).instance
    assert stale is not None
    await hub.instances.drop_generation(stale)
    with pytest.raises(HistoryMovedError):
        await hub.instances.history(stale)


async def test_a_commit_on_a_row_that_moved_on_changes_nothing(hub: TaskHub) -> None:
    instance = await begin(hub)
    await hub.instances.commit(instance, a_commit(hub, "first"))
    with pytest.raises(PreconditionFailedError):
        await hub.instances.commit(instance, a_commit(hub, "second"))
    assert await texts(hub) == ["first"]


async def test_a_commit_consumes_its_inbox_rows_or_none(hub: TaskHub) -> None:
    instance = await begin(hub)
    for key in ("ia", "ib"):
        await hub.inbox.put("one", "x", key, InboxKind.EVENT, "E")
    await hub.instances.commit(instance, a_commit(hub, "1", "ia"))
    with pytest.raises(PreconditionFailedError):
        await hub.instances.commit(instance, a_commit(hub, "2", "ib"))
    assert [row.key for row in (await hub.instances.load("one")).inbox] == ["ib"]


async def test_a_new_generation_begins_empty_and_knows_what_is_left_to_do(hub: TaskHub) -> None:
    instance = await begin(hub)
    instance = await hub.instances.commit(instance, a_commit(hub, "old"))
    left = Carried(0, NOW + timedelta(microseconds=123457), EventSent(3, "two", "Hello", 5))
    carry = Carry((EventRaised("Kept", 1, "ikey"),), (left,))
    ending = ContinueAsNew({"round": 2})
    history = [Segment(0, "c0", NOW - timedelta(days=1), (EventRaised("E"),) * 3)]
    instance = await hub.instances.next_generation(instance, a_commit(hub, ""), ending, carry, history, "2")
    loaded = (await hub.instances.load("one")).instance
    assert loaded is not None
    assert (loaded.generation, loaded.first, loaded.base, loaded.seq) == (1, 2, 2, 2)
    assert (loaded.is_unstarted, loaded.version) == (True, "2")
    assert loaded.ended == ("c0", instance.last_commit)
    assert await hub.instances.history(loaded) == []
    assert await hub.instances.carry(loaded) == carry
    assert replace(loaded, log={}) == replace(instance, log={})
    assert loaded.past == (PastGeneration(0, NOW - timedelta(days=1), NOW, 4),)


async def test_the_last_twenty_generations_are_remembered(hub: TaskHub) -> None:
    instance = await begin(hub)
    for _ in range(25):
        carry = Carry((), ())
        instance = await hub.instances.next_generation(instance, a_commit(hub, ""), ContinueAsNew(), carry, [], "")
    loaded = (await hub.instances.load("one")).instance
    assert loaded is not None
    assert [past.number for past in loaded.past] == list(range(5, 25))
    row = instance.props()["past"]
    assert len(str(row)) < 20 * 50


async def test_a_purge_leaves_no_row(hub: TaskHub) -> None:
    instance = await begin(hub)
    for number in range(131):
        instance = await hub.instances.commit(instance, a_commit(hub, noise(1000 * number)))
    await hub.inbox.put("one", "x", "ia", InboxKind.EVENT, "E")
    reference = await hub.payloads.put("one", "x", b"large")
    await hub.instances.purge(instance)
    loaded = await hub.instances.load("one")
    assert loaded.instance is None
    assert not loaded.inbox
    with pytest.raises(PayloadGoneError):
        await hub.payloads.get("one", reference)


async def test_a_restart_collects_what_the_ended_execution_stored(hub: TaskHub) -> None:
    ended = await begin(hub)
    old = await hub.payloads.put("one", "x", b"old")
    fresh = await hub.instances.restart(ended, replace(ended, execution_id="y"))
    new = await hub.payloads.put("one", "y", b"new")
    await hub.instances.drop_execution("one", fresh.execution_id)
    assert await hub.payloads.get("one", new) == b"new"
    with pytest.raises(PayloadGoneError):
        await hub.payloads.get("one", old)


def test_ulids_sort_by_time() -> None:
    ids = Ids(Random(3))
    made = [ids.ulid(NOW + timedelta(milliseconds=number)) for number in range(300)]
    assert made == sorted(made)
    assert {len(each) for each in made} == {26}
