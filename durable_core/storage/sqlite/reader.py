"""Answers reads at once: on the caller's thread, over a connection of their own.

In WAL mode a reader waits for no writer and sees every commit that was acknowledged before it began. A read takes
microseconds; a read in the writer's thread takes a hundred, and often has to wait for an fsync. A read that cannot be
answered here (from another thread, or while a recovery locks the file) is left to the writer's thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from .abandoned import never_close
from .connection import CACHE_KIB
from .session import Session

T = TypeVar("T")


class Unanswered:
    """The result of a read that is left to the writer's thread."""


UNANSWERED: Final = Unanswered()


class DirectReader:
    """For the thread that reads first. The file must have its schema."""

    def __init__(self, path: str, now: Callable[[], float]) -> None:
        self._path, self._now = path, now
        self._thread = threading.get_ident()
        self._con: sqlite3.Connection | None = None
        self._containers: dict[tuple[str, str], int] = {}

    def read(self, run: Callable[[Session], T]) -> T | Unanswered:
        """Run an operation that writes nothing, in one snapshot. Raises the errors of the operation."""
        if threading.get_ident() != self._thread:
            return UNANSWERED
        try:
            con = self._connect()
            con.execute("BEGIN")
            try:
                return run(Session(con, self._now(), self._containers))
            finally:
                con.execute("COMMIT")
        except sqlite3.Error:
            self.close()
            return UNANSWERED

    def close(self) -> None:
        """Close the connection; the next read opens another."""
        con, self._con = self._con, None
        if con is not None:
            con.close()

    def abandon(self) -> None:
        """Leave the connection as it is, for ever."""
        never_close(self._con)
        self._con = None

    def _connect(self) -> sqlite3.Connection:
        if self._con is None:
            con = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                con.execute("PRAGMA query_only = ON")
                con.execute("PRAGMA temp_store = MEMORY")
                con.execute(f"PRAGMA cache_size = -{CACHE_KIB // 4}")
            except BaseException:
                con.close()
                raise
            self._con = con
        return self._con
