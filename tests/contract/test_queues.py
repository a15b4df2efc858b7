"""What ``ports.Queue`` promises, on every adapter.

Leases and delays of the shared server are waited for with receives in a loop, never with one long sleep.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from durable_core.errors import LeaseLostError, QueueNotFoundError
from durable_core.storage.ports import Queue, QueueMessage, Storage


async def receive_soon(queue: Queue, lease: float = 30.0) -> QueueMessage:
    """The next message that becomes visible."""
    async with asyncio.timeout(60):
        while True:
            found = await queue.receive(1, lease)
            if found:
                return found[0]
            await asyncio.sleep(0.05)


async def test_a_body_comes_back_as_it_was(queue: Queue) -> None:
    bodies = ["", "plain", '{"a": "<b>&amp;"}', "Grüße 世界 🚚\r\n\t\x00 end"]
    for body in bodies:
        await queue.send(body)
    found = await queue.receive(32)
    assert sorted(message.body for message in found) == sorted(bodies)


async def test_a_received_message_is_hidden_from_others(queue: Queue) -> None:
    await queue.send("one")
    (message,) = await queue.receive()
    assert (message.body, message.dequeue_count) == ("one", 1)
    assert await queue.receive() == []
    assert await queue.count() == 1
    await queue.delete(message)
    assert await queue.count() == 0


async def test_one_receive_takes_several_and_no_more_than_asked(queue: Queue) -> None:
    for n in range(5):
        await queue.send(str(n))
    first = await queue.receive(3)
    rest = await queue.receive(32)
    assert (len(first), len(rest)) == (3, 2)
    assert sorted(message.body for message in [*first, *rest]) == list("01234")
    assert await queue.receive(32) == []


async def test_a_message_whose_lease_ran_out_is_delivered_again(queue: Queue) -> None:
    await queue.send("again")
    (first,) = await queue.receive(1, lease=1)
    second = await receive_soon(queue)
    assert (second.id, second.body, second.dequeue_count) == (first.id, "again", 2)
    assert second.inserted_at == first.inserted_at
    with pytest.raises(LeaseLostError):
        await queue.delete(first)
    with pytest.raises(LeaseLostError):
        await queue.extend(first, 30)
    await queue.delete(second)


async def test_an_extended_message_stays_hidden_and_takes_only_its_new_receipt(queue: Queue) -> None:
    await queue.send("long")
    (message,) = await queue.receive(1, lease=5)
    renewed = await queue.extend(message, 60)
    assert renewed.receipt != message.receipt
    assert (renewed.id, renewed.body, renewed.dequeue_count) == (message.id, "long", 1)
    with pytest.raises(LeaseLostError):
        await queue.delete(message)
    assert await queue.receive() == []
    await queue.delete(renewed)
    with pytest.raises(LeaseLostError):
        await queue.delete(renewed)
    with pytest.raises(LeaseLostError):
        await queue.extend(renewed, 1)


async def test_extending_by_nothing_gives_a_message_back(queue: Queue) -> None:
    await queue.send("back")
    (message,) = await queue.receive()
    await queue.extend(message, 0)
    again = await receive_soon(queue)
    assert (again.id, again.body, again.dequeue_count) == (message.id, "back", 2)


async def test_a_delayed_message_is_hidden_first_and_delivered_then(queue: Queue) -> None:
    await queue.send("much later", delay=100)
    assert await queue.receive() == []
    assert await queue.count() == 1
    begun = time.monotonic()
    await queue.send("later", delay=2)
    assert (await receive_soon(queue)).body == "later"
    assert time.monotonic() - begun > 0.9, "an emulator counts whole seconds"


async def test_clear_removes_hidden_messages_too(queue: Queue) -> None:
    await queue.send("visible")
    await queue.send("received")
    await queue.send("delayed", delay=100)
    await queue.receive()
    await queue.clear()
    assert await queue.count() == 0
    await queue.send("after")
    assert (await receive_soon(queue)).body == "after"


async def test_queues_share_nothing(storage: Storage, queue: Queue, prefix: str) -> None:
    await storage.create([], [f"{prefix}-other", queue.name])
    other = storage.queue(f"{prefix}-other")
    await queue.send("mine")
    assert await other.receive() == []
    assert await other.count() == 0
    (message,) = await queue.receive()
    with pytest.raises((LeaseLostError, QueueNotFoundError)):
        await other.delete(message)


async def test_a_queue_that_was_never_created_is_told_apart(storage: Storage, prefix: str) -> None:
    missing = storage.queue(f"{prefix}-missing")
    for call in (missing.send("x"), missing.receive(), missing.count(), missing.clear()):
        with pytest.raises(QueueNotFoundError):
            await call


async def test_concurrent_receivers_never_share_a_message(queue: Queue) -> None:
    for n in range(12):
        await queue.send(str(n))
    found = await asyncio.gather(*(queue.receive(3) for _ in range(6)))
    ids = [message.id for part in found for message in part]
    assert len(ids) == len(set(ids))


async def test_a_send_wakes_its_listeners_and_no_others(storage: Storage, queue: Queue, prefix: str) -> None:
    await storage.create([], [f"{prefix}-other"])
    calls: list[str] = []
    undo_first = storage.on_send(queue.name, lambda: calls.append("first"))
    storage.on_send(queue.name, lambda: calls.append("second"))
    storage.on_send(f"{prefix}-other", lambda: calls.append("other"))
    await queue.send("now")
    assert calls == ["first", "second"]
    await queue.send("later", delay=60)
    assert calls == ["first", "second"]
    undo_first()
    undo_first()
    await storage.queue(queue.name).send("again")
    assert calls == ["first", "second", "second"]


async def test_a_delayed_message_wakes_its_listeners_when_it_is_to_be_had(storage: Storage, queue: Queue) -> None:
    woken = asyncio.Event()
    storage.on_send(queue.name, woken.set)
    begun = time.monotonic()
    await queue.send("later", delay=0.2)
    await asyncio.wait_for(woken.wait(), 30)
    assert time.monotonic() - begun > 0.15
    found: list[str] = []
    while not found:  # the clock of an emulator may be a moment behind ours
        found = [message.body for message in await queue.receive(1)]
    assert found == ["later"]


async def test_freed_leases_make_received_messages_visible(storage: Storage, queue: Queue, adapter: str) -> None:
    await queue.send("held")
    await queue.send("delayed", delay=100)
    (held,) = await queue.receive(1, lease=100)
    await storage.free_leases([queue.name])
    found = await queue.receive(32)
    if adapter.startswith("azurite"):
        assert found == []
        return
    assert [(message.body, message.dequeue_count) for message in found] == [("held", 2)]
    with pytest.raises(LeaseLostError):
        await queue.delete(held)


async def test_the_oldest_visible_message_is_looked_at_and_stays(queue: Queue) -> None:
    assert await queue.oldest() is None
    await queue.send("later", delay=60)
    assert await queue.oldest() is None, "a delayed message is not visible"
    await queue.send("first")
    oldest = await queue.oldest()
    assert oldest is not None
    assert oldest.dequeue_count == 0
    (message,) = await queue.receive(1, lease=1)
    assert message.body == "first"
    assert message.inserted_at == oldest.inserted_at
    again = None
    for _ in range(400):
        if (again := await queue.oldest()) is not None:
            break
        await asyncio.sleep(0.05)
    assert again is not None
    assert (again.inserted_at, again.dequeue_count) == (oldest.inserted_at, 1)
    assert await queue.count() == 2


async def test_a_queue_that_was_never_made_has_no_oldest_message(storage: Storage) -> None:
    with pytest.raises(QueueNotFoundError):
        await storage.queue("never-made").oldest()
