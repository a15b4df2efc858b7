"""Operations that wait to be run in a batch's transaction, and chains of operations that keep their order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from ...errors import StorageError
from ...lazy_dataclass import dataclass
from ..eager import Begun
from ..ports import Write
from .session import Session

T = TypeVar("T")


class LeftOutError(StorageError):
    """The operation was skipped because an earlier one of its chain has failed."""


class OperationFailedError(Exception):
    """An operation raised neither a StorageError nor an error of SQLite: a defect, which must not fail the others."""

    def __init__(self, pending: Pending[Any]) -> None:
        super().__init__()
        self.pending = pending


@dataclass(slots=True, eq=False)
class Pending(Generic[T]):
    """An operation that waits for its batch. ``future``: of its caller; None if it is run at once.

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
        """Run the operation if it only reads, else its peek. Whether the operation is done."""
        if self.reads_only:
            self.go(self.run, session)
            return True
        if self.peek is None:
            return False
        self.go(self.peek, session)
        return self.result is not None or self.error is not None

    def go(self, run: Callable[[Session], T | None], session: Session) -> None:
        """Call ``run``, or the peek. A StorageError is its result; sqlite3.Error and OperationFailedError fail the
        batch."""
        self.result = self.error = None
        try:
            if self.after is not None and self.after.error is not None:
                raise LeftOutError("an earlier write of the same in_order call has failed")
            self.result = run(session)
        except StorageError as error:
            self.error = error
        except sqlite3.Error:
            raise
        except Exception as error:
            self.error = error
            raise OperationFailedError(self) from error

    def resolve(self) -> None:
        """Answer the caller, on its loop, unless the caller was cancelled meanwhile."""
        if self.future is not None and not self.future.done():
            if self.error is not None:
                self.future.set_exception(self.error)
                if self.after is not None and self.after.error is not None:
                    self.future.exception()  # the error of the operation before is raised: this one need not be logged
            else:
                self.future.set_result(self.result)  # pyright: ignore[reportArgumentType] - T may be None
        if self.error is None and self.then is not None:
            self.then()


class Chain:
    """Writes that are started one after another: each operation is run after the one before it."""

    def __init__(self) -> None:
        self._latest: Pending[Any] | None = None
        self._is_broken = False

    def begin(self, writes: tuple[Write, ...]) -> list[Begun[object]]:
        """Start all writes. The caller awaits them in order, and starts a write with a LeftOutError again."""
        token = CHAIN.set(self)
        try:
            return [self._begin(write) for write in writes]
        finally:
            CHAIN.reset(token)

    def link(self, pending: Pending[Any]) -> None:
        """LeftOutError if the operation before this one has not been submitted yet."""
        if self._is_broken:
            raise LeftOutError("an earlier write of the same in_order call has not been submitted yet")
        pending.after, self._latest = self._latest, pending

    def _begin(self, write: Write) -> Begun[object]:
        latest, begun = self._latest, Begun(write())
        # The write awaits something else before it submits its operation, or was refused before that.
        self._is_broken |= begun.error is not None or (self._latest is latest and not begun.is_done)
        return begun


CHAIN: ContextVar[Chain | None] = ContextVar("durable_sqlite_chain", default=None)
"""The chain of the ``in_order`` call that is starting its writes, if any."""
