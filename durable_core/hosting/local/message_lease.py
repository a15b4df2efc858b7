"""Keeps a received message hidden while its function runs. Knows the queue port and nothing of functions."""

from __future__ import annotations

import asyncio
import logging

from ...errors import LeaseLostError, QueueNotFoundError, StorageError
from ...storage.ports import Queue, QueueMessage

LOCAL_LEASE = "30"
"""Seconds of a message's lease on the local host, as DURABLE_MESSAGE_LEASE spells it. Azure's host uses 600.

It is short because a laptop's host is killed often."""

log = logging.getLogger(__name__)


class MessageLease:
    """Renews at half the lease's life until ``end``; each renewal gives the receipt that the next operation shows."""

    def __init__(self, queue: Queue, message: QueueMessage, seconds: float) -> None:
        self._queue, self._seconds = queue, seconds
        self._message: QueueMessage | None = message
        self._loop = asyncio.get_running_loop()
        self._renewal: asyncio.Task[None] | None = None  # most functions end before there is one
        self._pause = seconds / 2
        self._has_ended = False
        self._timer = self._loop.call_later(self._pause, self._is_due)

    async def end(self) -> QueueMessage | None:
        """Stop renewing. The message with its current receipt, or None if the lease was lost.

        A renewal under way is waited for, not cancelled: its answer holds the only valid receipt.
        """
        self._has_ended = True
        self._timer.cancel()
        if self._renewal is not None:
            await asyncio.shield(self._renewal)
        return self._message

    def _is_due(self) -> None:
        self._renewal = self._loop.create_task(self._renew(), name=f"lease {self._queue.name}")

    async def _renew(self) -> None:
        assert self._message is not None
        try:
            self._message = await self._queue.extend(self._message, self._seconds)
            self._pause = self._seconds / 2
        except (LeaseLostError, QueueNotFoundError):
            log.debug("lease lost: another receiver has message %s of %s", self._message.id, self._queue.name)
            self._message = None
        except StorageError as error:
            # Whether it was renewed is unknown. Half the lease is left to try again, faster each time.
            self._pause = max(0.2, self._pause / 2)
            log.warning("the lease of a message of %s was not renewed: %s", self._queue.name, error)
        if not self._has_ended and self._message is not None:
            self._timer = self._loop.call_later(self._pause, self._is_due)
