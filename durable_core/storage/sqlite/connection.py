"""The connection to a store's file: how it is opened, its schema, and what its errors mean to callers."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from ...errors import NewerFormatError, StorageError, StorageUnavailableError, UnusableStoreError
from ..store_path import refuse_folder

MEMORY = ":memory:"
FREE_PAGES = 256  # 1 MiB: so many may be free however small the file is
PAGES_AT_ONCE = 128
CHECKPOINT_PAGES = 4000  # of the log: so many are folded into the file
CACHE_KIB = 16 * 1024  # SQLite's own copy of pages; those that it drops are still in the system's cache
_FORMAT = 1
_ONE_MAKES_IT = threading.Lock()  # no thread has a connection to a new file before another has closed its descriptor
_TRANSIENT = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})

# Of the store: the latest number given, the latest stamp of a row (which may be ahead of the clock), and the latest
# time of a write by the clock. Times are in microseconds since 1970.
# A row is its parts in order: a base, then patches. A merge writes a patch and the small row of ``entity``, never the
# base; that is why the two are apart. The id of part n of an entity is entity * 4096 + n: one b-tree, no index.
_SCHEMA = """
CREATE TABLE store (counter INTEGER NOT NULL, clock INTEGER NOT NULL, seen INTEGER NOT NULL DEFAULT 0);
INSERT INTO store VALUES (0, 0, 0);
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


def connect(path: str, synchronous: str) -> sqlite3.Connection:
    """Open the store, and create its file and schema if missing. Does not wait for locks: the caller tries again."""
    con = _open(path, synchronous)
    try:
        _prepare(con)
        check(con, path)
        _complete(con)
    except BaseException:
        con.close()
        raise
    return con


def _open(path: str, synchronous: str) -> sqlite3.Connection:
    if path != MEMORY:
        refuse_folder(Path(path))
        _make_private(Path(path))
    con = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        if path != MEMORY:
            _refuse_of_others(con, path)
            con.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of a new file, before anything is written to it
            con.execute("PRAGMA journal_mode = WAL")
            # FULL: the WAL is flushed at every commit, so that an acknowledged write survives a power cut.
            con.execute(f"PRAGMA synchronous = {synchronous}")
            con.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            con.execute("PRAGMA journal_size_limit = 67108864")
        con.execute("PRAGMA temp_store = MEMORY")
        con.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except BaseException:
        con.close()
        raise
    return con


def _refuse_of_others(con: sqlite3.Connection, path: str) -> None:
    """UnusableStoreError if the file is another program's database, before anything in it is changed."""
    # One statement, one snapshot: another process may be making the schema.
    query = "SELECT (SELECT user_version FROM pragma_user_version), EXISTS (SELECT 1 FROM sqlite_master)"
    version, has_tables = con.execute(query).fetchone()
    if has_tables and not version:
        raise _no_store(path)


def give_back_pages(con: sqlite3.Connection) -> None:
    """Give some of the file's free pages back to the disk, inside a transaction, if more than a quarter are free.

    Few at a time, for it takes time to move pages; and not all, for a store that is in use needs some soon again. The
    file of an older durable_core keeps its free pages for later rows.
    """
    (free,), (pages,) = con.execute("PRAGMA freelist_count").fetchone(), con.execute("PRAGMA page_count").fetchone()
    if free > FREE_PAGES and 4 * free > pages:
        for _ in range(PAGES_AT_ONCE):  # whatever number it is given, sqlite3 lets the pragma move one page
            con.execute("PRAGMA incremental_vacuum(1)")


def _make_private(path: Path) -> None:
    """Create the store's file, and its folder if missing, readable only by their owner: it contains inputs and results.

    SQLite gives the WAL and the shared memory the mode of the file. A file that is there keeps the mode that it has,
    and is not opened here: by POSIX, a process that closes a descriptor of a file gives up every lock that it has on
    it, those of SQLite's open connections too. A process of another host that closes its connection would then take
    itself for the last, and delete the log that this one writes.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _ONE_MAKES_IT, suppress(FileExistsError):
        os.close(os.open(os.path.realpath(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare(con: sqlite3.Connection) -> None:
    """Make the schema in a new file."""
    if _format_of(con) == 0:
        con.execute("BEGIN IMMEDIATE")
        if _format_of(con) == 0:  # no other process was faster
            for statement in _SCHEMA.split(";"):
                con.execute(statement)
            con.execute(f"PRAGMA user_version = {_FORMAT}")
        con.execute("COMMIT")


def check(con: sqlite3.Connection, path: str) -> None:
    """Refuse a file that is damaged or not a store, before its content is used.

    Reads every page once. NewerFormatError if a newer durable_core made it; UnusableStoreError.
    """
    _check_format(con, path)
    found = str(con.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise _damaged(path, found)


def check_unopened(path: str) -> None:
    """The same errors for an existing file that is not a store of this durable_core; it reads no page of rows.

    ``connect`` would make a store of an empty file. This changes nothing.
    """
    try:
        with closing(sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True)) as con:
            _check_format(con, path)
    except sqlite3.Error as error:
        raise translate(error, path) from None


def _check_format(con: sqlite3.Connection, path: str) -> None:
    if _format_of(con) > _FORMAT:
        raise NewerFormatError(
            f"the store has format {_format_of(con)} and this durable_core reads up to {_FORMAT}; "
            "open it with the version that wrote it"
        )
    if _format_of(con) < 1:
        raise _no_store(path)


def _no_store(path: str) -> UnusableStoreError:
    return UnusableStoreError(f"{path} is not a store of durable_core; name another file")


def _damaged(path: str, why: str) -> UnusableStoreError:
    return UnusableStoreError(
        f"the store {path} is damaged: {' '.join(why.split())}. Stop every host and put a backup in its place with "
        f"'python -m durable_core restore FILE --store {path}', which keeps the damaged one"
    )


def _complete(con: sqlite3.Connection) -> None:
    """Add the columns that a store of an earlier durable_core lacks."""
    if not _has_seen(con):
        con.execute("BEGIN IMMEDIATE")
        if not _has_seen(con):
            con.execute("ALTER TABLE store ADD COLUMN seen INTEGER NOT NULL DEFAULT 0")
        con.execute("COMMIT")


def _has_seen(con: sqlite3.Connection) -> bool:
    """Whether the store keeps the latest time of a write; its first version did not."""
    return con.execute("SELECT 1 FROM pragma_table_info('store') WHERE name = 'seen'").fetchone() is not None


def _format_of(con: sqlite3.Connection) -> int:
    return int(con.execute("PRAGMA user_version").fetchone()[0])


def is_transient(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _TRANSIENT


def translate(error: Exception, path: str) -> Exception:
    if not isinstance(error, sqlite3.Error | OSError):
        return error
    if is_transient(error):
        failure: StorageError = StorageUnavailableError(f"the store {path} was locked by another process for too long")
    elif getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        failure = StorageUnavailableError(f"the store {path} cannot be written: {error}; is the disk full?")
    elif getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT:
        failure = _damaged(path, str(error))
    else:
        failure = UnusableStoreError(f"the store {path} cannot be used: {error}")
    failure.__cause__ = error
    return failure
