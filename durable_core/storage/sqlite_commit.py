"""Group commit: many operations, one SQLite transaction, one fsync.

Owns the connection, the thread that uses it, and the schema. Knows nothing of rows and messages: an operation is a
function over a ``Session``.

How it works. A file has one writer thread per ``GroupCommit``. What one turn of the event loop asks for is handed over
together, in order, to a queue; the thread takes all that waits there (until it has ``MAX_BATCH``), runs it in one
transaction, commits once and answers all with one call into the event loop. While one fsync runs, the next batch
gathers: the busier the store, the cheaper a write. An operation that is refused (a key is taken, an ETag differs) fails
alone; what it had written is undone by its own savepoint.

A batch is flushed if one of its operations asks for it. Leases do not: a receive, a renewal or a delete that a power
cut undoes gives the message back, which a queue that delivers at least once may do at any time. They share the flush
of the next batch that needs one, or go without.

Reads are answered at once on the caller's thread (``sqlite_reads``). Those that are not run first in their batch, in
a snapshot without the write lock. An operation may turn out to have nothing to write (a receive on an empty queue): it
has a ``peek``, and if that settles it, nothing is locked and nothing is written.

``:memory:`` runs every operation at once on the caller's thread, without yielding to the event loop: deterministic.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from ..errors import NewerFormatError, StorageError, StorageUnavailableError
from .begun import Begun
from .ports import Write, one_by_one
from .sqlite_reads import UNANSWERED, DirectReader, Unanswered
from .sqlite_session import Session

T = TypeVar("T")

MAX_BATCH = 256
MEMORY = ":memory:"
_FORMAT = 1
_BUSY_TIMEOUT = 5.0
_BUSY_DEADLINE = 30.0
_TRANSIENT = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})

# A row is its parts in order: a base, then patches. A merge writes a patch and the small row of ``entity``, never the
# base; that is why the two are apart. The id of part n of an entity is entity * 4096 + n: one b-tree, no index.
_SCHEMA = """
CREATE TABLE store (counter INTEGER NOT NULL, clock INTEGER NOT NULL);
INSERT INTO store VALUES (0, 0);
CREATE TABLE container (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (kind, name));
CREATE TABLE entity (
    tbl INTEGER NOT NULL, pk TEXT NOT NULL, rk TEXT NOT NULL,
    id INTEGER NOT NULL, etag INTEGER NOT NULL, stamp INTEGER NOT NULL,
    parts INTEGER NOT NULL, size INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (tbl, pk, rk)
) WITHOUT ROWID;
CREATE TABLE part (id INTEGER PRIMARY KEY, props TEXT NOT NULL);
CREATE TABLE message (
    id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, visible_at INTEGER NOT NULL, receipt INTEGER NOT NULL,
    dequeues INTEGER NOT NULL, inserted_at INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX message_by_visibility ON message (queue, visible_at, id);
"""


@dataclass(slots=True, eq=False)
class _Pending(Generic[T]):
    """An operation that waits for its batch."""

    run: Callable[[Session], T]
    peek: Callable[[Session], T | None] | None
    reads_only: bool
    then: Callable[[], None] | None
    future: asyncio.Future[T] | None
    flushes: bool = True
    after: _Pending[Any] | None = None
    result: T | None = None
    error: BaseException | None = None

    def resolve(self) -> None:
        """Answer the caller, on its loop. A caller that was cancelled meanwhile is not there to be answered."""
        if self.future is not None and not self.future.done():
            if self.error is not None:
                self.future.set_exception(self.error)
                if isinstance(self.error, _LeftOutError):
                    self.future.exception()  # nobody may wait for it any more: that is no news for the log
            else:
                self.future.set_result(self.result)  # pyright: ignore[reportArgumentType] - T may be None
        if self.error is None and self.then is not None:
            self.then()


class _LeftOutError(StorageError):
    """An operation that comes after one that failed."""


class _Chain:
    """Writes that are begun one after another: the operation of each comes after that of the one before."""

    def __init__(self) -> None:
        self._latest: _Pending[Any] | None = None
        self._is_broken = False

    def begin(self, write: Write) -> Begun[object]:
        latest, begun = self._latest, Begun(write())
        self._is_broken |= self._latest is latest and not begun.is_done  # it has something else to do first
        return begun

    def link(self, pending: _Pending[Any]) -> None:
        """_LeftOutError if an operation that is to come before this one has not come yet."""
        if self._is_broken:
            raise _LeftOutError("its turn has not come")
        pending.after, self._latest = self._latest, pending


_CHAIN: ContextVar[_Chain | None] = ContextVar("durable_sqlite_chain", default=None)


class _OperationFailedError(Exception):
    """An operation raised what is neither a refusal nor SQLite's: a defect, which must not harm its neighbours."""

    def __init__(self, pending: _Pending[Any]) -> None:
        super().__init__()
        self.pending = pending


class GroupCommit:
    """Runs operations on one SQLite store.

    ``commits`` counts the transactions that took the write lock, ``flushes`` those that were made to survive a power
    cut before they were answered.
    """

    def __init__(self, path: str, now: Callable[[], float], *, synchronous: str = "FULL") -> None:
        self._path, self._now, self._synchronous = path, now, synchronous
        self._flushing = synchronous  # the pragma as it stands on the connection
        self._waiting: queue.SimpleQueue[list[_Pending[Any]] | None] = queue.SimpleQueue()
        self._gathering: dict[asyncio.AbstractEventLoop, list[_Pending[Any]]] = {}
        self._con: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._reader: DirectReader | None = None
        self._containers: dict[tuple[str, str], int] = {}
        self._closed = False
        self.commits = self.flushes = 0

    async def read(self, run: Callable[[Session], T]) -> T:
        """Run an operation that writes nothing."""
        answer = self._read_at_once(run)
        return await self._submit(run, None, True, None) if isinstance(answer, Unanswered) else answer

    def write(
        self,
        run: Callable[[Session], T],
        *,
        peek: Callable[[Session], T | None] | None = None,
        then: Callable[[], None] | None = None,
        flush: bool = True,
    ) -> Awaitable[T]:
        """Run an operation and answer when it is durable.

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
        return self._submit(run, peek, False, then, flush)

    async def in_order(self, *writes: Write) -> None:
        """See the port. All are handed over at once: a batch is run in order, and an operation after one that failed
        is left out. What was left out because of a passing fault is done when those before it have got through."""
        if self._path == MEMORY:
            await one_by_one(*writes)
            return
        chain = _Chain()
        token = _CHAIN.set(chain)
        try:
            begun = [chain.begin(write) for write in writes]
        finally:
            _CHAIN.reset(token)
        for write, each in zip(writes, begun, strict=True):
            try:
                await each
            except _LeftOutError:
                await write()
            except BaseException:
                for other in begun:
                    other.close()
                raise

    async def close(self) -> None:
        """End what waits, then the thread and the connection. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        if self._reader is not None:
            self._reader.close()
        if self._thread is not None:
            for loop in list(self._gathering):
                self._hand_over(loop)
            self._waiting.put(None)
            # The thread ends after the batches before it; their answers come through the loop, which must stay free.
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        elif self._con is not None:
            self._con.close()
        self._con = None

    def _read_at_once(self, run: Callable[[Session], T]) -> T | Unanswered:
        if self._closed or self._path == MEMORY or self._con is None:  # no connection: perhaps no schema yet
            return UNANSWERED
        if self._reader is None:
            self._reader = DirectReader(self._path, self._now)
        return self._reader.read(run)

    def _submit(
        self,
        run: Callable[[Session], T],
        peek: Callable[[Session], T | None] | None,
        reads_only: bool,
        then: Callable[[], None] | None,
        flush: bool = True,
    ) -> Awaitable[T]:
        if self._closed:
            raise StorageError("this storage is closed; open another one")
        if self._path == MEMORY:
            pending = _Pending(run, peek, reads_only, then, None, flush)
            self._run_batch([pending], lambda done: [each.resolve() for each in done])
            if pending.error is not None:
                raise pending.error
            return _at_once(cast("T", pending.result))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._thread is None:
            # A daemon: a process that forgets to close may still end, and loses nothing that was acknowledged.
            self._thread = threading.Thread(target=self._serve, name="durable-sqlite-writer", daemon=True)
            self._thread.start()
        pending = _Pending(run, peek, reads_only, then, future, flush)
        if (chain := _CHAIN.get()) is not None:
            chain.link(pending)
        self._gather(pending, loop)
        return future

    def _gather(self, pending: _Pending[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Hand over what one turn of the event loop brings together: one batch, one wake-up of the thread."""
        gathering = self._gathering.get(loop)
        if gathering is None:
            self._gathering[loop] = [pending]
            loop.call_soon(self._hand_over, loop)
        else:
            gathering.append(pending)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        gathered = self._gathering.pop(loop, None)
        if gathered:
            self._waiting.put(gathered)

    def _serve(self) -> None:
        """The writer thread: take what waits, run it, answer; until the None that ``close`` puts."""
        last = False
        while not last:
            batch: list[_Pending[Any]] = []
            item = self._waiting.get()
            while item is not None:
                batch.extend(item)
                if len(batch) >= MAX_BATCH:
                    break
                try:
                    item = self._waiting.get_nowait()
                except queue.Empty:
                    break
            last = item is None
            self._run_batch(batch, _answer)
        if self._con is not None:
            self._con.close()

    def _run_batch(self, batch: list[_Pending[Any]], answer: Callable[[list[_Pending[Any]]], object]) -> None:
        """Run a batch and answer each of its operations exactly once, whatever happens."""
        left = batch
        deadline = time.monotonic() + _BUSY_DEADLINE
        while left:
            try:
                con = self._connect()
                settled, left = self._settle_without_writing(con, left)
                answer(settled)
                if left:
                    self._write_all(con, left)
                    answer(left)
                    return
            except _OperationFailedError as failed:
                # It failed in a way no operation may: without it, the others are run again.
                self._abandon()
                answer([failed.pending])
                left = [each for each in left if each is not failed.pending]
            except Exception as error:  # noqa: BLE001 - every caller must get an answer
                self._abandon()
                if _is_transient(error) and time.monotonic() < deadline:
                    time.sleep(0.005)
                    continue
                for each in left:
                    each.error = _translate(error, self._path)
                answer(left)
                return

    def _settle_without_writing(
        self, con: sqlite3.Connection, batch: list[_Pending[Any]]
    ) -> tuple[list[_Pending[Any]], list[_Pending[Any]]]:
        """Run the reads, and the peeks of what may have nothing to write; split the batch into done and left."""
        settled: list[_Pending[Any]] = []
        left: list[_Pending[Any]] = []
        if not any(each.reads_only or each.peek for each in batch):
            return settled, batch
        con.execute("BEGIN")
        session = self._session(con)
        for each in batch:
            run = each.run if each.reads_only else each.peek
            if run is not None:
                self._run(each, run, session)
            done = run is not None and (each.reads_only or each.result is not None or each.error is not None)
            (settled if done else left).append(each)
        con.execute("COMMIT")
        return settled, left

    def _write_all(self, con: sqlite3.Connection, batch: list[_Pending[Any]]) -> None:
        flushes = any(each.flushes for each in batch)
        self._set_flushing(con, self._synchronous if flushes else "NORMAL")
        con.execute("BEGIN IMMEDIATE")
        session = self._session(con)
        for each in batch:
            self._run(each, each.run, session)
        session.save()
        con.execute("COMMIT")
        self.commits += 1
        self.flushes += flushes

    def _set_flushing(self, con: sqlite3.Connection, level: str) -> None:
        if level != self._flushing:
            con.execute(f"PRAGMA synchronous = {level}")
            self._flushing = level

    def _run(self, pending: _Pending[Any], run: Callable[[Session], Any], session: Session) -> None:
        pending.result = pending.error = None
        if pending.after is not None and pending.after.error is not None:
            pending.error = _LeftOutError("what comes before it has failed")
            return
        try:
            pending.result = run(session)
        except StorageError as error:
            pending.error = error
        except sqlite3.Error:
            raise
        except Exception as error:
            pending.error = error
            raise _OperationFailedError(pending) from error

    def _session(self, con: sqlite3.Connection) -> Session:
        return Session(con, self._now(), self._containers)

    def _connect(self) -> sqlite3.Connection:
        if self._con is None:
            con = _open(self._path, self._synchronous)
            try:
                _prepare(con)
            except BaseException:
                con.close()
                raise
            self._con, self._flushing = con, self._synchronous
        return self._con

    def _abandon(self) -> None:
        """Undo a transaction that failed as a whole; forget the containers that it may have made."""
        self._containers.clear()
        if self._con is not None and self._con.in_transaction:
            try:
                self._con.rollback()
            except sqlite3.Error:
                # A connection that cannot even undo is of no use; the next batch opens another one.
                self._con.close()
                self._con = None


async def _at_once(answer: T) -> T:
    return answer


def _answer(done: list[_Pending[Any]]) -> None:
    """Wake each event loop once for all of its operations."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Pending[Any]]] = {}
    for each in done:
        if each.future is not None:
            by_loop.setdefault(each.future.get_loop(), []).append(each)
    for loop, of_loop in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve_all, of_loop)
        except RuntimeError:
            # The loop was closed while its operations ran: nobody is left to answer, and what was written stays.
            continue


def _resolve_all(done: list[_Pending[Any]]) -> None:
    for each in done:
        each.resolve()


def _open(path: str, synchronous: str) -> sqlite3.Connection:
    if path != MEMORY:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    con = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        if path != MEMORY:
            con.execute("PRAGMA journal_mode = WAL")
            # FULL: the WAL is flushed at every commit, so that an acknowledged write survives a power cut.
            con.execute(f"PRAGMA synchronous = {synchronous}")
            con.execute("PRAGMA wal_autocheckpoint = 4000")
            con.execute("PRAGMA journal_size_limit = 67108864")
        con.execute("PRAGMA temp_store = MEMORY")
        con.execute("PRAGMA cache_size = -65536")
    except BaseException:
        con.close()
        raise
    return con


def _prepare(con: sqlite3.Connection) -> None:
    """Make the schema in a new file; refuse the file of a newer durable_core."""
    if _format_of(con) == 0:
        con.execute("BEGIN IMMEDIATE")
        if _format_of(con) == 0:  # no other process was faster
            for statement in _SCHEMA.split(";"):
                con.execute(statement)
            con.execute(f"PRAGMA user_version = {_FORMAT}")
        con.execute("COMMIT")
    if _format_of(con) > _FORMAT:
        raise NewerFormatError(
            f"the store has format {_format_of(con)} and this durable_core reads up to {_FORMAT}; "
            "open it with the version that wrote it"
        )


def _format_of(con: sqlite3.Connection) -> int:
    return int(con.execute("PRAGMA user_version").fetchone()[0])


def _is_transient(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _TRANSIENT


def _translate(error: Exception, path: str) -> Exception:
    if not isinstance(error, sqlite3.Error | OSError):
        return error
    if _is_transient(error):
        failure: StorageError = StorageUnavailableError(f"the store {path} was locked by another process for too long")
    elif getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        failure = StorageUnavailableError(f"the store {path} cannot be written: {error}; is the disk full?")
    else:
        failure = StorageError(f"the store {path} cannot be used: {error}")
    failure.__cause__ = error
    return failure
