"""Group commit: many operations, one SQLite transaction, one fsync.

Owns the connection and the thread that waits for the disk. Knows nothing of rows and messages: an operation is a
function over a ``Session``. The flush follows the commit (``log_file``), so that other processes need not wait for it.

How it works. The operations that are submitted in one iteration of the event loop are a batch: it is run in one
transaction, committed once, and all its callers are answered together. Its statements and its commit take microseconds
and run on the loop's own thread, which saves waiting for the interpreter's lock while the file is locked; the flush,
which waits for the disk, is left to a thread, and so is every eighth commit, which may fold the log into the file.
Meanwhile the next batch gathers: the busier the store, the cheaper a write. An operation that is refused (a key
is taken, an ETag differs) fails alone, and its own savepoint undoes its writes. A batch with another error (another
process has locked the file, the disk is full) is rolled back and passed to the thread, which runs it again with
retries.

A batch is flushed if one of its operations asks for it. Leases do not: a receive, a renewal or a delete that a power
cut undoes gives the message back, which a queue that delivers at least once may do at any time. They share the flush
of a batch that needs one; alone they are committed without a flush and without the thread. A few operations on a quick
disk are committed without the thread, too: its two wake-ups would take longer.

Reads are answered at once, over a connection of their own (``sqlite_reads``). Those that are not run first in their
batch, in a snapshot without the write lock. An operation may turn out to have nothing to write (a receive on an empty
queue): it has a ``peek``, and if that settles it, nothing is locked and nothing is written.

The first event loop that uses the store runs its batches, those of other loops along with its own; when it has ended
the next takes its place.

``:memory:`` runs every operation at once on the caller's thread, without yielding to the event loop: deterministic.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from ...errors import StorageError, StorageUnavailableError, UnusableStoreError
from ..ports import Write, one_by_one
from .abandoned import never_close, survives_no_fork
from .connection import CHECKPOINT_PAGES, MEMORY, connect, give_back_pages, is_transient, translate
from .log_file import LogFile, LogGoneError
from .operations import CHAIN, Chain, LeftOutError, OperationFailedError, Pending
from .reader import UNANSWERED, DirectReader, Unanswered
from .session import Session

T = TypeVar("T")

logger = logging.getLogger("durable_core.storage")

MAX_BATCH = 256
COMMITS_TO_A_CHECKPOINT = 8  # commits, of which one may take long, because it folds the log into the file
COMMITS_TO_A_LOOK = 4  # commits between two checks of the number of free pages
FEW = 4  # operations: so small a batch is not worth a thread, if the disk is quick
QUICK_FLUSH = 0.002  # seconds
_LOCKED_DEADLINE = 30.0  # seconds of patience with another process
_LOCKED_PAUSES = (0.0005, 0.001)  # seconds between tries: the first, and the others; a commit takes about as long

Batch: TypeAlias = "list[Pending[Any]]"


class _Written(NamedTuple):
    """A batch whose transaction only has to be committed."""

    batch: Batch


class _Committed(NamedTuple):
    """A batch whose transaction is committed, and only has to be flushed."""

    batch: Batch


class GroupCommit:
    """Runs operations on one SQLite store.

    ``commits`` counts the transactions that took the write lock, ``flushes`` those that were made to survive a power
    cut before they were answered.
    """

    def __init__(self, path: str, now: Callable[[], float], *, synchronous: str = "FULL") -> None:
        self._path, self._now, self._synchronous = path, now, synchronous
        self._flushing = synchronous  # the pragma as it stands on the connection
        self._log: LogFile | None = None
        self._flushes_log = synchronous == "FULL" and path != MEMORY  # whether this object does, not SQLite in COMMIT
        self._home: asyncio.AbstractEventLoop | None = None  # the loop that runs the batches
        self._gathering: Batch = []
        self._flush_took = QUICK_FLUSH  # seconds, at the worst of lately
        self._is_away = False  # whether the thread has the connection: what comes waits until it has answered
        self._checkpoints = True  # whether a commit may fold the log into the file, as it stands on the connection
        self._waiting: queue.SimpleQueue[Batch | _Written | _Committed | None] = queue.SimpleQueue()
        self._con: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._reader: DirectReader | None = None
        self._containers: dict[tuple[str, str], int] = {}
        self._closed = False
        self._broken = ""  # why no operation is answered any more
        self.commits = self.flushes = 0
        if path != MEMORY:
            survives_no_fork(self)

    async def read(self, run: Callable[[Session], T]) -> T:
        """Run an operation that writes nothing."""
        answer = self._read_at_once(run)
        return await self.write(run, reads_only=True) if isinstance(answer, Unanswered) else answer

    def write(
        self,
        run: Callable[[Session], T],
        *,
        peek: Callable[[Session], T | None] | None = None,
        reads_only: bool = False,
        then: Callable[[], None] | None = None,
        flush: bool = True,
    ) -> Awaitable[T]:
        """Run an operation and answer when it is durable.

        ``reads_only``: it writes nothing.
        ``flush``: whether it must survive a power cut; if not, it survives the death of the process.
        ``peek``, if given, is tried first without the write lock; a result other than None is the answer.
        ``then`` is called on the loop once the operation is durable, even if its caller was cancelled.
        """
        if peek is not None:
            answer = self._read_at_once(peek)
            if not isinstance(answer, Unanswered):
                if answer is not None:
                    return _at_once(answer)
                peek = None
        if self._broken:
            raise UnusableStoreError(self._broken)
        if self._closed:
            raise StorageError("this storage is closed; open another one")
        if self._path == MEMORY:
            pending = Pending(run, peek, reads_only, then, None, flush)
            for each in self._run_batch([pending]):
                each.resolve()
            if pending.error is not None:
                raise pending.error
            return _at_once(cast("T", pending.result))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        pending = Pending(run, peek, reads_only, then, future, flush)
        if (chain := CHAIN.get()) is not None:
            chain.link(pending)
        home = self._home
        if home is loop:
            self._gather(pending)
        elif home is not None and home.is_running():
            home.call_soon_threadsafe(self._gather, pending)
        else:
            self._home = loop
            self._gather(pending)
        return future

    async def in_order(self, *writes: Write) -> None:
        """See the port. All writes are submitted at once: a batch is run in order, and an operation after a failed one
        is skipped. An operation that was skipped because of a temporary error is run once those before it are done."""
        if self._path == MEMORY:
            await one_by_one(*writes)
            return
        begun = Chain().begin(writes)
        for write, each in zip(writes, begun, strict=True):
            try:
                await each
            except LeftOutError:
                await write()
            except BaseException:
                for other in begun:
                    other.close()
                raise

    def leave_to_the_parent(self) -> None:
        """In a forked child: refuse every operation. What the parent's callers wait for is the parent's."""
        self._thread = self._home = None
        self._gathering, self._is_away = [], False
        self._abandon_connections(
            f"the store {self._path} was opened before this process was forked: open another SqliteStorage (or app, or "
            "client) in the child, or start the child with multiprocessing's method 'spawn'"
        )

    async def close(self) -> None:
        """Run the waiting operations, then end the thread and close the connection. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        if self._reader is not None:
            self._reader.close()
        if self._thread is not None:
            self._waiting.put(self._gathering)
            self._gathering = []
            self._waiting.put(None)
            # The thread ends after the batches before it; their answers come through the loop, which must stay free.
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        else:
            self._close_connection()

    # ------------------------------------------------------------------ on the callers' threads

    def _read_at_once(self, run: Callable[[Session], T]) -> T | Unanswered:
        if self._closed or self._path == MEMORY or self._con is None:  # no connection: perhaps no schema yet
            return UNANSWERED
        if self._reader is None:
            self._reader = DirectReader(self._path, self._now)
        return self._reader.read(run)

    # ------------------------------------------------------------------ on the thread of the loop that is home

    def _gather(self, pending: Pending[Any]) -> None:
        """Collect the operations of one iteration of the event loop: one batch."""
        self._gathering.append(pending)
        if len(self._gathering) == 1 and self._home is not None:
            self._home.call_soon(self._run_gathered)

    def _run_gathered(self) -> None:
        while self._gathering and not self._is_away:  # the rest is run when the thread has answered
            batch, self._gathering = self._gathering, []
            if len(batch) > MAX_BATCH:
                batch, self._gathering = batch[:MAX_BATCH], batch[MAX_BATCH:]
            if self._con is None or not self._run_here(self._con, batch):
                self._send_away(batch)

    def _run_here(self, con: sqlite3.Connection, batch: Batch) -> bool:
        """Run a batch up to its commit. False after an error, which undoes the whole batch."""
        try:
            settled, left = self._settle_without_writing(con, batch)
            flushes = bool(left) and self._write_all(con, left)
            is_away = flushes and (len(left) > FEW or self._flush_took >= QUICK_FLUSH)
            is_quick = self._flushing == "NORMAL" and not self._checkpoints  # the commit is, whatever the flush is
            if left and not is_away:
                self._commit(con, left, flushes=flushes)
            elif is_away and is_quick:
                con.execute("COMMIT")
                self.commits += 1
        except BaseException as error:
            self._abandon()
            if not isinstance(error, Exception):
                raise
            return False
        if is_away:
            self._send_away(_Committed(left) if is_quick else _Written(left))
        if done := settled if is_away else batch:
            _answer(done, here=self._home)
        return True

    def _send_away(self, work: Batch | _Written | _Committed) -> None:
        if self._thread is None:
            # A daemon: a process that forgets to close may still end, and loses nothing that was acknowledged.
            self._thread = threading.Thread(target=self._serve, name="durable-sqlite-writer", daemon=True)
            self._thread.start()
        self._is_away = True
        self._waiting.put(work)

    # ------------------------------------------------------------------ in the thread

    def _serve(self) -> None:
        """Run the batches in the thread's queue, and answer their callers, until the None that ``close`` puts."""
        while (work := self._waiting.get()) is not None:
            match work:
                case _Committed(batch):
                    done = batch
                    self._make_durable(batch, time.perf_counter())
                case _Written(batch):
                    done = self._finish(batch)
                case _:
                    done = self._run_batch(work)
            self._is_away = False  # before the answer: who finds it so runs what has gathered, who does not is answered
            _answer(done)
            home = self._home
            if self._gathering and home is not None and not home.is_closed():
                home.call_soon_threadsafe(self._run_gathered)
        self._close_connection()

    def _finish(self, batch: Batch) -> Batch:
        try:
            self._commit(self._connect(), batch, flushes=True)
        except Exception:  # noqa: BLE001 - it is run again from its beginning, with patience and a proper answer
            self._abandon()
            return self._run_batch(batch)
        return batch

    # ------------------------------------------------------------------ on the thread that has the connection

    def _run_batch(self, batch: Batch) -> Batch:
        """Run a batch to its end; returns it when each of its operations has its result or its error."""
        left = batch
        deadline, pause = time.monotonic() + _LOCKED_DEADLINE, _LOCKED_PAUSES[0]
        while left:
            try:
                con = self._connect()
                _, left = self._settle_without_writing(con, left)
                if left:
                    self._commit(con, left, flushes=self._write_all(con, left))
                return batch
            except OperationFailedError as failed:
                # The operation has a defect: without it, the others are run again.
                self._abandon()
                left = [each for each in left if each is not failed.pending]
            except Exception as error:  # noqa: BLE001 - every caller must get an answer
                self._abandon()
                if is_transient(error) and time.monotonic() < deadline:
                    time.sleep(pause)
                    pause = _LOCKED_PAUSES[1]
                    continue
                for each in left:
                    each.error = translate(error, self._path)
                return batch
        return batch

    def _settle_without_writing(self, con: sqlite3.Connection, batch: Batch) -> tuple[Batch, Batch]:
        """Run the reads, and the peeks of the operations that have one; split the batch into done and left."""
        for each in batch:
            if each.reads_only or each.peek is not None:
                break
        else:
            return [], batch
        con.execute("BEGIN")
        session = Session(con, self._now(), self._containers)
        settled: Batch = []
        left: Batch = []
        for each in batch:
            (settled if each.settle(session) else left).append(each)
        con.execute("COMMIT")
        return settled, left

    def _write_all(self, con: sqlite3.Connection, batch: Batch) -> bool:
        """Run them in a transaction that is left open. Whether its commit must be flushed."""
        flushes = False
        for each in batch:
            if each.flushes:
                flushes = True
                break
        is_whole = flushes and self._log is None and self._open_log() is None
        level = self._synchronous if is_whole else "NORMAL"  # is_whole: the commit flushes what it has written
        if level != self._flushing:
            con.execute(f"PRAGMA synchronous = {level}")
            self._flushing = level
        checkpoints = self._path == MEMORY or self.commits % COMMITS_TO_A_CHECKPOINT == 0
        if checkpoints != self._checkpoints:
            con.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES if checkpoints else 0}")
            self._checkpoints = checkpoints
        con.execute("BEGIN IMMEDIATE")
        session = Session(con, self._now(), self._containers)
        for each in batch:
            each.go(each.run, session)
        session.save()
        if self.commits % COMMITS_TO_A_LOOK == 0:
            give_back_pages(con)
        return flushes

    def _open_log(self) -> LogFile | None:
        """The log, to be flushed after a commit; None: SQLite flushes it within COMMIT."""
        if self._flushes_log:
            try:
                self._log = LogFile(self._path)
            except OSError as error:
                logger.warning("the log of %s is flushed while the file is locked: %s", self._path, error)
                self._flushes_log = False
        return self._log

    def _commit(self, con: sqlite3.Connection, batch: Batch, *, flushes: bool) -> None:
        began = time.perf_counter()
        con.execute("COMMIT")
        self.commits += 1
        if flushes:
            self._make_durable(batch, began)

    def _make_durable(self, batch: Batch, began: float) -> None:
        """Flush a batch that is committed, unless its commit was flushed. began: by the clock of its flush."""
        if self._flushing == "NORMAL" and self._log is not None:
            self._flush(self._log, batch)
        self.flushes += 1
        self._flush_took = max(time.perf_counter() - began, 0.9 * self._flush_took)

    def _flush(self, log: LogFile, batch: Batch) -> None:
        """Flush what is committed. If that fails nobody knows whether it survives a power cut: the callers are told so,
        and SQLite flushes from now on."""
        try:
            log.flush()
        except LogGoneError:
            self._give_up(batch)
        except OSError as error:
            self._flushes_log = False
            self._close_log()
            for each in batch:
                if each.flushes and each.error is None:
                    each.error = StorageUnavailableError(f"the log of {self._path} could not be flushed: {error}")

    def _give_up(self, batch: Batch) -> None:
        """The log is gone: another process has folded it into the file, and does not know that this one is there. What
        this process wrote now could damage what others write, so that it writes nothing more."""
        self._abandon_connections(
            f"the log of the store {self._path} was deleted while this process used it: restart this process. Either "
            "the store was deleted from outside, or code of this process has opened the store's file, which "
            "gives up the locks on it; copy a store only with 'python -m durable_core backup'"
        )
        logger.error("%s", self._broken)
        for each in batch:
            if each.error is None:
                each.error = UnusableStoreError(self._broken)

    def _abandon_connections(self, why: str) -> None:
        self._broken = why
        never_close(self._con)
        self._con = None
        if self._reader is not None:
            self._reader.abandon()
        self._close_log()

    def _close_log(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            log.close()

    def _close_connection(self) -> None:
        con, self._con = self._con, None
        if con is not None:
            con.close()
        self._close_log()

    def _connect(self) -> sqlite3.Connection:
        if self._broken:
            raise UnusableStoreError(self._broken)
        if self._con is None:
            self._con, self._flushing = connect(self._path, self._synchronous), self._synchronous
            self._checkpoints = True
        return self._con

    def _abandon(self) -> None:
        """Undo a transaction that failed as a whole; forget the containers that it may have made."""
        self._containers.clear()
        if self._con is not None and self._con.in_transaction:
            try:
                self._con.rollback()
            except sqlite3.Error:
                # A connection that cannot roll back is unusable; the next batch opens another one.
                self._close_connection()


async def _at_once(answer: T) -> T:
    return answer


def _answer(done: Batch, here: asyncio.AbstractEventLoop | None = None) -> None:
    """Answer the callers, with one wake-up for each event loop. ``here``: the loop that this thread is running."""
    by_loop: dict[asyncio.AbstractEventLoop, Batch] = {}
    for each in done:
        if each.future is not None:
            by_loop.setdefault(each.future.get_loop(), []).append(each)
    for loop, of_loop in by_loop.items():
        if loop is here:
            _resolve_all(of_loop)
            continue
        try:
            loop.call_soon_threadsafe(_resolve_all, of_loop)
        except RuntimeError:
            # The loop was closed while its operations ran: no caller waits, and the writes are kept.
            continue


def _resolve_all(done: Batch) -> None:
    for each in done:
        each.resolve()
