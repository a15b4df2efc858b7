"""A change that several coroutines wait for."""

from __future__ import annotations

import asyncio


class Change:
    """Whoever waits when the change is told goes on; who waits later waits for the next one."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def next(self) -> None:
        """Wait until the change is told. On the loop on which it is told."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def tell(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()
