"""Writes this process into the list of the hub's hosts: at its start, every five minutes, and when it stops.

Two operations in the life of a process, and one in five minutes, whatever it does. No turn depends on it: a row that
cannot be written is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta

from ..errors import StorageError
from ..hub.hosts import HostRow, Hosts
from ..product_version import VERSION
from .clock import Clock
from .host_identity import HostIdentity

INTERVAL = 300.0
"""Seconds between two writes."""

LAST_WRITE = 5.0
"""Seconds that a stop may take longer for this, while the store does not answer."""

FORGOTTEN_AFTER = timedelta(days=1)

logger = logging.getLogger("durable_core.runtime")


def serving_work(queue: str) -> str:
    """How a host row names the work queue of the activities with ``queue=`` so."""
    return f"work:{queue}" if queue else "work"


class Presence:
    """Of one app in the process ``host``. warm: the number of instances in memory."""

    def __init__(self, hosts: Hosts, clock: Clock, host: HostIdentity, build: str, warm: Callable[[], int]) -> None:
        self._hosts, self._clock, self._host, self._build, self._warm = hosts, clock, host, build, warm
        self._serves: set[str] = set()
        self._in_flight = 0
        self._started = clock.now()
        self._is_new = True
        self._writing: asyncio.Task[None] | None = None

    def handling(self, queue: str) -> Presence:
        """A message of this queue is handled in the ``with`` block of what this returns."""
        self._serves.add(queue)
        return self

    def __enter__(self) -> None:
        self._in_flight += 1

    def __exit__(self, *_: object) -> None:
        self._in_flight -= 1

    def begin(self, queues: Iterable[str] = ()) -> None:
        """List this process from now on; calls after the first only add queues."""
        self._serves.update(queues)
        if self._writing is None:
            self._started = self._clock.now()
            self._writing = asyncio.get_running_loop().create_task(self._keep_writing())

    async def end(self) -> None:
        """Write that the process stops, if it was listed. Takes at most ``LAST_WRITE`` seconds."""
        writing = self.abandon()
        if writing is None:
            return
        await asyncio.gather(writing, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITE):
                await self._write(stops=True)

    def abandon(self) -> asyncio.Task[None] | None:
        """Write no more, as a process that is killed. Returns the task that wrote, if the process was listed."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.cancel()
        return writing

    async def _keep_writing(self) -> None:
        await self._write()
        await self._forget_old()
        while True:
            await asyncio.sleep(INTERVAL)
            await self._write()

    async def _write(self, *, stops: bool = False) -> None:
        host, now = self._host, self._clock.now()
        row = HostRow(
            id=host.id,
            name=host.name,
            pid=host.pid,
            build=self._build,
            version=VERSION,
            queues=tuple(sorted(self._serves)),
            started=self._started,
            seen=now,
            stopped=now if stops else None,
            in_flight=self._in_flight,
            warm=self._warm(),
        )
        try:
            await self._hosts.write(row, is_new=self._is_new)
            self._is_new = False
        except StorageError as error:
            logger.warning("the list of hosts is not written: %s", error)

    async def _forget_old(self) -> None:
        limit = self._clock.now() - FORGOTTEN_AFTER
        try:
            for host in await self._hosts.read():
                if host.seen < limit:
                    await self._hosts.delete(host)
        except StorageError as error:
            logger.warning("old hosts stay in the list: %s", error)
