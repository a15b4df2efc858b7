"""Tells whether this host is the only live one on an embedded store. Knows files and nothing of storage.

Every host holds a shared lock on one file beside the store for as long as it lives; the kernel drops it when the
process dies, however it dies. A host that gets the lock for itself is therefore alone: at its start, whatever is still
leased on the store belongs to the dead; later, a message has no other host to wait for. The lock is a process's, by
POSIX, so that an attempt to have it alone does not lose the share of it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ...errors import UnusableStoreError
from ...settings import Settings

try:
    import fcntl
except ImportError:  # Windows: a host never knows that it is alone; leases expire instead
    fcntl = None

LOCK_SUFFIX = ".hosts"

_LOCKS: dict[Path, int] = {}
"""Open lock files of the stores that hosts of this process live on."""


@asynccontextmanager
async def live_on_store(settings: Settings, when_alone: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Be one of the live hosts of the store inside the block.

    ``when_alone`` is awaited first if no other host lives; no other host can join until it is done.
    UnusableStoreError if the lock's file cannot be made beside the store.
    """
    lock_file = _lock_file(settings)
    lock = _open(lock_file)
    try:
        if fcntl is not None:
            if _lock_alone(lock):
                await when_alone()
            # Waits while another host that starts up puts the store in order.
            await asyncio.to_thread(fcntl.lockf, lock, fcntl.LOCK_SH)
            _LOCKS[lock_file] = lock
        yield
    finally:
        _LOCKS.pop(lock_file, None)
        os.close(lock)


def is_alone(settings: Settings) -> bool:
    """Whether no other host lives on the store. False if that is not known: in Azure, or under another host."""
    if not settings.is_embedded:
        return False
    lock = _LOCKS.get(_lock_file(settings))
    if lock is None or fcntl is None or not _lock_alone(lock):
        return False
    fcntl.lockf(lock, fcntl.LOCK_SH)  # others may join
    return True


def _lock_file(settings: Settings) -> Path:
    store = Path(settings.store).resolve()
    return store.with_name(store.name + LOCK_SUFFIX)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the store will lie in it
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UnusableStoreError(f"the store cannot be used: {error}") from error


def _lock_alone(lock: int) -> bool:
    assert fcntl is not None
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # which of the two is the system's choice
        return False
    return True
