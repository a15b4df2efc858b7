"""One storage object per process and event loop, shared by all its users that name the same store.

The embedded store has one writer per process, and a send wakes a listener only if both hold the same object: the local
host and the app that it runs must therefore not open the store twice. Counted references, closed with the last one.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import field
from typing import TypeAlias
from weakref import WeakKeyDictionary

from ..lazy_dataclass import dataclass
from ..settings import Settings
from ..storage.open import open_storage
from ..storage.ports import Storage

_Place: TypeAlias = tuple[object, ...]


@dataclass(slots=True)
class _Opened:
    storage: Storage
    references: int = 0


@dataclass(slots=True)
class _LoopStorages:
    by_place: dict[_Place, _Opened] = field(default_factory=dict[_Place, _Opened])


# Sockets and locks inside a storage belong to one loop. Weak keys: a loop that is gone takes its entry along.
_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopStorages] = WeakKeyDictionary()


def acquire_storage(settings: Settings) -> Storage:
    """The storage that these settings name, opened unless it is open on the running loop.

    Give it back with ``release_storage``, once per call. RuntimeError without a running event loop.
    """
    opened = _loops.setdefault(asyncio.get_running_loop(), _LoopStorages()).by_place
    place = _place(settings)
    if place not in opened:
        opened[place] = _Opened(open_storage(settings))
    opened[place].references += 1
    return opened[place].storage


def share_storage(settings: Settings, storage: Storage) -> None:
    """Let ``acquire_storage`` return this object for the store on the running loop, such as a counting storage.

    This is one reference, to be released with ``release_storage``. ValueError if the store is already open.
    """
    opened = _loops.setdefault(asyncio.get_running_loop(), _LoopStorages()).by_place
    if _place(settings) in opened:
        raise ValueError("this store is already open; call share_storage before the first acquire_storage")
    opened[_place(settings)] = _Opened(storage, references=1)


async def release_storage(storage: Storage) -> None:
    """Give back one reference; the last one closes the storage. ValueError if it was not acquired on this loop."""
    loops = _loops.get(asyncio.get_running_loop())
    for place, opened in loops.by_place.items() if loops else ():
        if opened.storage is storage:
            opened.references -= 1
            if opened.references == 0:
                del loops.by_place[place]  # pyright: ignore[reportOptionalMemberAccess]
                await storage.close()
            return
    raise ValueError("this storage was not acquired on this event loop, or was released already")


def _place(settings: Settings) -> _Place:
    if settings.connection:
        return ("account", *sorted(settings.connection.items()))
    return ("embedded", settings.store if settings.store == ":memory:" else os.path.abspath(settings.store))
