"""Keeps a received message hidden while its function runs. Knows the queue port and nothing of functions."""

from __future__ import annotations

import asyncio
import logging

from ...errors import LeaseLostError, QueueNotFoundError, StorageError
from ...storage.ports import Queue, QueueMessage

log = logging.getLogger(__name__)


class MessageLease:
    """Renews at half the lease's life until ``end``; each renewal gives the receipt that the next operation shows."""

    def __init__(self, queue: Queue, message: QueueMessage, seconds: float) -> None:
        self._queue, self._seconds = queue, seconds
        self._message: QueueMessage | None = message
        self._ended = asyncio.Event()
        self._renewals = asyncio.create_task(self._renew(), name=f"lease {queue.name}/{message.id}")

    async def end(self) -> QueueMessage | None:
        """Stop renewing. The message with its current receipt, or None if the lease was lost.

        A renewal under way is waited for, not cancelled: its answer holds the only valid receipt.
        """
        self._ended.set()
        await asyncio.shield(self._renewals)
        return self._message

    async def _renew(self) -> None:
        pause = self._seconds / 2
        while self._message is not None:
            try:
                async with asyncio.timeout(pause):
                    await self._ended.wait()
                return
            except TimeoutError:
                pass
            try:
                self._message = await self._queue.extend(self._message, self._seconds)
                pause = self._seconds / 2
            except (LeaseLostError, QueueNotFoundError):
                log.debug(
                    "lease lost: message %s of %s belongs to another receiver", self._message.id, self._queue.name
                )
                self._message = None
            except StorageError as error:
                # Whether it was renewed is unknown. Half the lease is left to try again, faster each time.
                pause = max(0.2, pause / 2)
                log.warning("the lease of a message of %s was not renewed: %s", self._queue.name, error)
