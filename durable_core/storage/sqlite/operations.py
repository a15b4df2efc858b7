"""An operation that waits to be run in somebody's transaction, and those that must be run one after another."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ...errors import StorageError
from ..eager import Begun
from ..ports import Write
from .session import Session

T = TypeVar("T")


class LeftOutError(StorageError):
    """An operation that comes after one that failed."""


class OperationFailedError(Exception):
    """An operation raised what is neither a refusal nor SQLite's: a defect, which must not harm its neighbours."""

    def __init__(self, pending: Pending[Any]) -> None:
        super().__init__()
        self.pending = pending


@dataclass(slots=True, eq=False)
class Pending(Generic[T]):
    """An operation that waits for its batch. ``future``: who waits for it, None if it is run at once.

    peek: tried first without the write lock; a result other than None is the answer. flushes: it must survive a power
    cut. then: called on the loop once it is durable. after: left out if that one failed.
    """

    run: Callable[[Session], T]
    peek: Callable[[Session], T | None] | None
    reads_only: bool
    then: Callable[[], None] | None
    future: asyncio.Future[T] | None
    flushes: bool = True
    after: Pending[Any] | None = None
    result: T | None = None
    error: BaseException | None = None

    def settle(self, session: Session) -> bool:
        """Run it if it only reads, else its peek. Whether that was all."""
        if self.reads_only:
            self._try(self.run, session)
            return True
        if self.peek is None:
            return False
        self._try(self.peek, session)
        return self.result is not None or self.error is not None

    def write(self, session: Session) -> None:
        """Run it. What it is refused is its result; sqlite3.Error and OperationFailedError concern the whole batch."""
        if self.after is not None and self.after.error is not None:
            self.result, self.error = None, LeftOutError("an earlier write of the same in_order call has failed")
        else:
            self._try(self.run, session)

    def resolve(self) -> None:
        """Answer the caller, on its loop. A caller that was cancelled meanwhile is not there to be answered."""
        if self.future is not None and not self.future.done():
            if self.error is not None:
                self.future.set_exception(self.error)
                if self.after is not None and self.after.error is not None:
                    self.future.exception()  # who waited for the one before waits for this no more: no news for the log
            else:
                self.future.set_result(self.result)  # pyright: ignore[reportArgumentType] - T may be None
        if self.error is None and self.then is not None:
            self.then()

    def _try(self, run: Callable[[Session], T | None], session: Session) -> None:
        self.result = self.error = None
        try:
            self.result = run(session)
        except StorageError as error:
            self.error = error
        except sqlite3.Error:
            raise
        except Exception as error:
            self.error = error
            raise OperationFailedError(self) from error


class Chain:
    """Writes that are begun one after another: the operation of each comes after that of the one before."""

    def __init__(self) -> None:
        self._latest: Pending[Any] | None = None
        self._is_broken = False

    def begin(self, writes: tuple[Write, ...]) -> list[Begun[object]]:
        """Begin them all. To be awaited in order: a LeftOutError says that a write must be begun again."""
        token = CHAIN.set(self)
        try:
            return [self._begin(write) for write in writes]
        finally:
            CHAIN.reset(token)

    def link(self, pending: Pending[Any]) -> None:
        """LeftOutError if an operation that is to come before this one has not come yet."""
        if self._is_broken:
            raise LeftOutError("an earlier write of the same in_order call has not been submitted yet")
        pending.after, self._latest = self._latest, pending

    def _begin(self, write: Write) -> Begun[object]:
        latest, begun = self._latest, Begun(write())
        # It has something else to do before its operation, or was refused before it came to that.
        self._is_broken |= begun.has_failed or (self._latest is latest and not begun.is_done)
        return begun


CHAIN: ContextVar[Chain | None] = ContextVar("durable_sqlite_chain", default=None)
"""Of the writes that are being begun, if any are."""
