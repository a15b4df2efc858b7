"""Tells whether this host is the only live one on an embedded store, by a file beside the store.

Every host holds a shared lock on one file beside the store for as long as it lives; the kernel drops it when the
process dies, however it dies. A host that gets the lock for itself is therefore alone: at its start, whatever is still
leased on the store belongs to the dead; later, a message has no other host to wait for.

On Linux the lock belongs to the open file, elsewhere to the process, by POSIX: there any code of the process that
opens the file and closes it again (to copy the folder, for instance) gives the lock up. Either kind respects the other,
and an attempt to have it alone does not lose the share of it. A forked child closes its copy, or the lock would outlive
its host.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ...errors import ConfigurationError, QueueNotFoundError, UnusableStoreError
from ...settings import Settings
from ...storage.ports import Storage

try:
    import fcntl
except ImportError:  # Windows: a host never knows that it is alone; leases expire instead
    fcntl = None

LOCK_SUFFIX = ".hosts"

_IS_OF_FILE = hasattr(fcntl, "F_OFD_SETLK")
_WHOLE_FILE = "hhqqi"  # struct flock: kind of lock, from the file's start, at 0, to its end, of no process

_LOCKS: dict[Path, int] = {}
"""Open lock files of the stores that hosts of this process live on."""


@asynccontextmanager
async def live_on_store(settings: Settings, when_alone: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Be one of the live hosts of the store inside the block.

    ``when_alone`` is awaited first if no other host lives; no other host can join until it is done.
    UnusableStoreError if the lock's file cannot be made beside the store. ConfigurationError if this process lives on
    it already: a process has one lock of a file, and would take what is leased for the leases of the dead.
    """
    lock_file = _lock_file(settings)
    if lock_file in _LOCKS:
        raise ConfigurationError(f"this process serves the store {settings.store} already; use the client that it has")
    lock = _LOCKS[lock_file] = _open(lock_file)
    try:
        if fcntl is not None:
            if _lock_alone(lock):
                await when_alone()
            # Waits while another host that starts up puts the store in order.
            await asyncio.to_thread(_share, lock)
        yield
    finally:
        if _LOCKS.pop(lock_file, None) is not None:  # else this is a forked child, which has closed its copy
            os.close(lock)


async def free_leases(storage: Storage, queues: Sequence[str]) -> None:
    """For a host that is alone: what is leased of these queues was leased by the dead."""
    for queue in queues:
        with suppress(QueueNotFoundError):  # the app's runtime has not made it yet
            await storage.free_leases([queue])


def is_alone(settings: Settings) -> bool:
    """Whether no other host lives on the store. False if that is not known: in Azure, or under another host."""
    if not settings.is_embedded:
        return False
    lock = _LOCKS.get(_lock_file(settings))
    if lock is None or fcntl is None or not _lock_alone(lock):
        return False
    _share(lock)  # others may join
    return True


def _lock_file(settings: Settings) -> Path:
    from ...storage.store_path import refuse_folder  # Azure imports this module in every worker, and has no such store

    store = Path(settings.store).resolve()
    refuse_folder(store)
    return store.with_name(store.name + LOCK_SUFFIX)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the store will lie in it
        return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise UnusableStoreError(f"the store cannot be used: {error}") from error


def _lock_alone(lock: int) -> bool:
    assert fcntl is not None
    try:
        if _IS_OF_FILE:
            fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack(_WHOLE_FILE, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        else:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # which of the two is the system's choice
        return False
    return True


def _share(lock: int) -> None:
    """Have the lock with others; waits while another has it alone."""
    assert fcntl is not None
    if _IS_OF_FILE:
        fcntl.fcntl(lock, fcntl.F_OFD_SETLKW, struct.pack(_WHOLE_FILE, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    else:
        fcntl.lockf(lock, fcntl.LOCK_SH)


def _leave_to_the_parent() -> None:
    """In a forked child: the host is the parent."""
    while _LOCKS:
        _, lock = _LOCKS.popitem()
        os.close(lock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)
