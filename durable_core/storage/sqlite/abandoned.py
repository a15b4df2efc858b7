"""Stores that this process must neither use nor close: those of its parent, after a fork, and those without their log.

SQLite's connections do not survive a fork, nor do the thread and the event loop that serve a store. A child is told so
at its first operation, instead of waiting for ever. To close a connection is to use it: the last one folds its log into
the file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    def leave_to_the_parent(self) -> None:
        """In a child: give up what is the parent's, without a trace in files that both have."""
        ...


_OPEN: WeakSet[Forked] = WeakSet()
_KEPT: list[object] = []


def survives_no_fork(thing: Forked) -> None:
    """Call ``leave_to_the_parent`` in a forked child of this process."""
    _OPEN.add(thing)


def never_close(connection: object) -> None:
    """Keep a connection from being closed by the garbage collector, or at the end of the interpreter."""
    if connection is None:
        return
    _KEPT.append(connection)
    with suppress(ImportError):  # a Python without ctypes closes it at its end
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _in_the_child() -> None:
    for each in list(_OPEN):
        each.leave_to_the_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_the_child)
