"""Flushes SQLite's write-ahead log to the disk, outside of a transaction.

SQLite itself flushes the log within COMMIT, while it holds the write lock of the file: other processes wait for the
disk, one after another. A commit without a flush takes microseconds; a flush after it makes durable what every process
has committed before, and those of several processes take place at the same time. What is committed and not flushed yet
can be read, and a power cut may undo it, with all that was committed later. No write is answered before its flush.
See docs/adr/0034.
"""

from __future__ import annotations

import os
from typing import Final

_FLUSH: Final = getattr(os, "fdatasync", os.fsync)  # macOS and Windows have no fdatasync


class LogGoneError(Exception):
    """The log has been deleted while its connection was open: what is written to it now is lost.

    SQLite deletes the log when the last process closes the store, and tells by locks on the store's file whether it is
    the last. By POSIX, code that opens and closes that file itself gives up the locks that its process has on it.
    """


class LogFile:
    """The log of one connection. SQLite keeps the file as long as a connection is open; close this one with it.

    Locks of SQLite are on its other files, so that closing this descriptor gives none of them back.
    """

    def __init__(self, store: str) -> None:
        """``store``: the path of the database, in WAL mode. OSError if the log cannot be opened."""
        self._descriptor = os.open(os.path.realpath(store) + "-wal", os.O_RDWR | getattr(os, "O_BINARY", 0))

    def flush(self) -> None:
        """Return when all that was committed before is on the disk. OSError if that failed: what was committed since
        the last flush may or may not survive. LogGoneError if the log has been deleted."""
        _FLUSH(self._descriptor)
        if os.fstat(self._descriptor).st_nlink == 0:
            raise LogGoneError

    def close(self) -> None:
        os.close(self._descriptor)
