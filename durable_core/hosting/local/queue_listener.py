"""Listens to one queue for one function, by the rules of the Functions host's queue extension.

Owns polling, parallelism, leases, deletion, poison queues. Knows the storage ports and an ``invoke`` callable; knows
neither which store is behind the ports nor what the function does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ...errors import LeaseLostError, QueueNotFoundError, StorageError
from ...storage.ports import Queue, QueueMessage, Storage
from .backoff import PollingBackoff
from .config import QueueOptions
from .invoker import InvocationFailedError
from .message_lease import MessageLease

log = logging.getLogger(__name__)

POISON_SUFFIX = "-poison"


class QueueListener:
    """Feeds the messages of one queue to ``invoke``, which raises InvocationFailedError if the function fails."""

    def __init__(
        self,
        storage: Storage,
        queue: str,
        invoke: Callable[[QueueMessage], Awaitable[object]],
        *,
        options: QueueOptions,
        lease: float,
        backoff: PollingBackoff | None = None,
    ) -> None:
        """``lease`` is in seconds."""
        self._storage, self._name, self._invoke = storage, queue, invoke
        self._queue = storage.queue(queue)
        self._options, self._lease = options, lease
        self._backoff = backoff or PollingBackoff(options.max_polling_interval)
        self._in_flight = set[asyncio.Task[None]]()
        self._stopping = False
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._knows_missing = False

    def wake(self) -> None:
        """Poll at once: this process has sent a message to the queue."""
        self._wake.set()

    def stop(self) -> None:
        """Receive no more messages; ``run`` returns when the running invocations have ended."""
        self._stopping = True
        self._wake.set()
        self._room.set()

    async def run(self) -> None:
        """Listen until ``stop``. If cancelled, cancel the running invocations and return their messages."""
        try:
            while not self._stopping:
                await self._await_room()
                # Cleared before the poll, so that a send during it is not missed.
                self._wake.clear()
                if self._stopping:
                    break
                messages = await self._receive()
                if messages:
                    self._backoff.reset()
                    for message in messages:
                        self._begin(message)
                else:
                    await self._pause(self._backoff.next_delay())
            while self._in_flight:
                await asyncio.wait(self._in_flight)
        finally:
            for task in self._in_flight:
                task.cancel()
            if self._in_flight:
                await asyncio.wait(self._in_flight)

    async def _await_room(self) -> None:
        while len(self._in_flight) > self._options.new_batch_threshold and not self._stopping:
            self._room.clear()
            await self._room.wait()

    async def _pause(self, seconds: float) -> None:
        """Until woken, or so long."""
        timer = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _receive(self) -> list[QueueMessage]:
        try:
            messages = await self._queue.receive(self._options.batch_size, self._lease)
        except QueueNotFoundError:
            # As in Azure: not created, only looked for again.
            if not self._knows_missing:
                log.info("queue %s does not exist yet; polling for it", self._name)
                self._knows_missing = True
            return []
        except StorageError as error:
            log.warning("queue %s cannot be polled: %s", self._name, error)
            return []
        self._knows_missing = False
        return messages

    def _begin(self, message: QueueMessage) -> None:
        task = asyncio.create_task(self._process(message), name=f"{self._name}/{message.id}")
        self._in_flight.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "the handling of a message of %s failed; it is delivered again when its lease ends",
                self._name,
                exc_info=error,
            )

    async def _process(self, message: QueueMessage) -> None:
        lease = MessageLease(self._queue, message, self._lease)
        try:
            if message.dequeue_count > self._options.max_dequeue_count and self._has_poison_queue:
                # No receiver has reported a failure: each one crashed.
                succeeded = False
            else:
                succeeded = await self._succeeds(message)
        except asyncio.CancelledError:
            await self._conclude(lease, self._hand_back)
            raise
        except BaseException:
            await lease.end()
            raise
        await self._conclude(lease, self._queue.delete if succeeded else self._fail)

    async def _succeeds(self, message: QueueMessage) -> bool:
        try:
            await self._invoke(message)
        except InvocationFailedError:
            return False
        return True

    async def _conclude(self, lease: MessageLease, finish: Callable[[QueueMessage], Awaitable[None]]) -> None:
        message = await lease.end()
        if message is None:
            return
        try:
            await finish(message)
        except (LeaseLostError, QueueNotFoundError):
            log.debug("lease lost: another receiver has message %s of %s", message.id, self._name)
        except StorageError as error:
            log.warning("message %s of %s is delivered again when its lease ends: %s", message.id, self._name, error)

    @property
    def _has_poison_queue(self) -> bool:
        return not self._name.endswith(POISON_SUFFIX)

    async def _hand_back(self, message: QueueMessage) -> None:
        await self._queue.extend(message, 0)

    async def _fail(self, message: QueueMessage) -> None:
        if not self._has_poison_queue:
            # It stays hidden until its lease ends, as in Azure: made visible, it would fail again at once, for ever.
            return
        if message.dequeue_count < self._options.max_dequeue_count:
            await self._queue.extend(message, self._options.visibility_timeout)
            return
        poison = self._name + POISON_SUFFIX
        log.error("message %s failed %d times and is moved to %s", message.id, message.dequeue_count, poison)
        await self._send_creating(poison, message.body)
        await self._queue.delete(message)

    async def _send_creating(self, name: str, body: str) -> None:
        queue: Queue = self._storage.queue(name)
        try:
            await queue.send(body)
        except QueueNotFoundError:
            await self._storage.create((), (name,))
            await queue.send(body)
