"""Queue and timer listeners over the store in memory, without a process or a wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from durable_core.hosting.local.backoff import PollingBackoff
from durable_core.hosting.local.config import QueueOptions
from durable_core.hosting.local.invoker import InvocationFailedError
from durable_core.hosting.local.queue_listener import QueueListener
from durable_core.hosting.local.timers import TimerFiring, TimerListener, TimeSpanSchedule
from durable_core.hosting.storage_pool import acquire_storage, release_storage, share_storage
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage
from durable_core.storage.ports import QueueMessage
from durable_core.storage.sqlite import SqliteStorage

Handler = Callable[[QueueMessage], Awaitable[object]]


class Never(PollingBackoff):
    """Waits so long that only a wake-up can end it."""

    def __init__(self) -> None:
        super().__init__(1e6)

    def next_delay(self) -> float:
        return 1e6


async def until(holds: Callable[[], bool]) -> None:
    """Let the other tasks run until it is true."""
    while not holds():  # noqa: ASYNC110 - it yields, it does not wait
        await asyncio.sleep(0)


@asynccontextmanager
async def listening(
    storage: SqliteStorage,
    handler: Handler,
    *,
    queue: str = "q-1",
    options: QueueOptions | None = None,
    backoff: PollingBackoff | None = None,
) -> AsyncGenerator[asyncio.Task[None]]:
    await storage.create((), (queue,))
    options = options or QueueOptions(max_polling_interval=0.1)
    listener = QueueListener(storage, queue, handler, options=options, lease=600, backoff=backoff)
    undo = storage.on_send(queue, listener.wake)
    running = asyncio.create_task(listener.run())
    try:
        yield running
    finally:
        undo()
        listener.stop()
        await asyncio.wait({running})


async def test_a_send_wakes_a_listener_that_would_sleep_for_days() -> None:
    storage, arrived = SqliteStorage(":memory:"), asyncio.Event()

    async def handler(message: QueueMessage) -> None:
        arrived.set()

    async with listening(storage, handler, backoff=Never()):
        await asyncio.sleep(0)  # it polls once, finds nothing, and sleeps
        await storage.queue("q-1").send("x")
        await arrived.wait()
    assert await storage.queue("q-1").count() == 0
    await storage.close()


async def test_no_more_run_at_once_than_batch_size_and_threshold_together() -> None:
    storage, gate, running, most, done = SqliteStorage(":memory:"), asyncio.Event(), 0, 0, 0

    async def handler(message: QueueMessage) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        if running == 6:
            gate.set()
        await gate.wait()
        running -= 1
        done += 1

    options = QueueOptions(batch_size=4, new_batch_threshold=2, max_polling_interval=0.1)
    await storage.create((), ("q-1",))
    queue = storage.queue("q-1")
    for number in range(2):
        await queue.send(str(number))
    async with listening(storage, handler, options=options):
        await until(lambda: running == 2)
        for number in range(20):
            await queue.send(str(number))
        await until(lambda: done == 22)
    assert most == 6
    await storage.close()


async def test_a_message_that_kills_its_receivers_moves_to_the_poison_queue_unseen() -> None:
    storage, seen = SqliteStorage(":memory:"), list[QueueMessage]()
    await storage.create((), ("q-1",))
    queue = storage.queue("q-1")
    await queue.send("deadly")
    for _ in range(5):
        (message,) = await queue.receive(1, 600)
        await queue.extend(message, 0)

    async def handler(message: QueueMessage) -> None:
        seen.append(message)

    moved = asyncio.Event()
    storage.on_send("q-1-poison", moved.set)
    async with listening(storage, handler):
        await moved.wait()
    (poison,) = await storage.queue("q-1-poison").receive()
    assert (poison.body, seen) == ("deadly", [])
    await storage.close()


async def test_a_poison_queue_has_no_poison_queue_and_its_failures_wait_for_their_lease() -> None:
    storage, failed = SqliteStorage(":memory:"), asyncio.Event()

    async def handler(message: QueueMessage) -> None:
        failed.set()
        raise InvocationFailedError("f", "raised")

    async with listening(storage, handler, queue="q-poison", options=QueueOptions(max_dequeue_count=1)):
        await storage.queue("q-poison").send("x")
        await failed.wait()
    assert await storage.queue("q-poison").count() == 1
    assert await storage.queue("q-poison").receive() == []
    await storage.close()


async def test_a_cancelled_listener_hands_its_messages_back() -> None:
    storage, begun = SqliteStorage(":memory:"), asyncio.Event()

    async def handler(message: QueueMessage) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with listening(storage, handler) as running:
        await storage.queue("q-1").send("x")
        await begun.wait()
        running.cancel()
    (message,) = await storage.queue("q-1").receive()
    assert message.dequeue_count == 2
    await storage.close()


async def test_a_lost_lease_deletes_nothing_of_the_new_owner() -> None:
    clock = [1000.0]
    storage, begun, gate = SqliteStorage(":memory:", now=lambda: clock[0]), asyncio.Event(), asyncio.Event()

    async def handler(message: QueueMessage) -> None:
        begun.set()
        await gate.wait()

    async with listening(storage, handler, backoff=Never()):
        await storage.queue("q-1").send("x")
        await begun.wait()
        clock[0] += 601
        (theirs,) = await storage.queue("q-1").receive(1, 600)
        gate.set()
    assert await storage.queue("q-1").count() == 1
    await storage.queue("q-1").delete(theirs)
    await storage.close()


async def test_a_timer_that_overran_its_due_times_runs_once_late_and_then_on_time() -> None:
    clock = datetime(2024, 1, 1, tzinfo=UTC)
    firings = list[TimerFiring]()

    def now() -> datetime:
        """Each look at the clock finds it half a second on."""
        nonlocal clock
        clock += timedelta(seconds=0.5)
        return clock

    async def invoke(firing: TimerFiring) -> None:
        nonlocal clock
        firings.append(firing)
        if len(firings) == 2:
            clock += timedelta(minutes=5)
        elif len(firings) == 4:
            timer.stop()

    timer = TimerListener(
        TimeSpanSchedule(timedelta(minutes=1)), invoke, startup_delay=0, now=now, longest_sleep=0.0001
    )
    await timer.run()
    assert [firing.past_due for firing in firings] == [False, False, True, False]


async def test_one_process_opens_one_store_once_and_the_last_release_closes_it(tmp_path: object) -> None:
    settings = Settings(store=f"{tmp_path}/store.db")
    one, other = acquire_storage(settings), acquire_storage(settings)
    assert one is other
    await release_storage(one)
    await other.create((), ("still-open",))
    await release_storage(other)
    with pytest.raises(ValueError, match="released already"):
        await release_storage(other)
    again = acquire_storage(settings)
    assert again is not one
    await release_storage(again)


async def test_who_acquires_a_store_gets_the_storage_that_was_shared_for_it(tmp_path: object) -> None:
    settings = Settings(store=f"{tmp_path}/store.db")
    counting = CountingStorage(SqliteStorage(settings.store))
    share_storage(settings, counting)
    assert acquire_storage(settings) is counting
    with pytest.raises(ValueError, match="already open"):
        share_storage(settings, counting)
    await release_storage(counting)
    await release_storage(counting)
    other = acquire_storage(settings)
    assert other is not counting
    await release_storage(other)
