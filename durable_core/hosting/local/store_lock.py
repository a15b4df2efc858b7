"""Tells whether this host is the only live one on an embedded store. Knows files and nothing of storage.

Every host holds a shared lock on one file beside the store for as long as it lives; the kernel drops it when the
process dies, however it dies. A host that gets the lock for itself at its start is therefore alone, and whatever is
still leased on the store belongs to the dead.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nobody is known to be alone, and leases simply expire
    fcntl = None

LOCK_SUFFIX = ".hosts"


@asynccontextmanager
async def live_on_store(store: Path, when_alone: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Be one of the live hosts of the store inside the block.

    ``when_alone`` is awaited first if no other host lives; nobody else can join until it is done.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(store.with_name(store.name + LOCK_SUFFIX), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if fcntl is not None:
            if _lock_alone(lock):
                await when_alone()
            # Waits while another host that starts up puts the store in order.
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


def _lock_alone(lock: int) -> bool:
    assert fcntl is not None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
