"""Backup of a store's file while hosts use it, and restore while no host does.

A copy of the file alone lacks the writes that are still in the write-ahead log beside it, which may be all of them; a
log that is left beside another file would damage that file. These two functions handle both files.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from ...errors import ConfigurationError, StorageUnavailableError
from .connection import check, is_transient, translate

LOG_SUFFIXES = ("-wal", "-shm")


def back_up(store: Path, target: Path) -> int:
    """Write the current state of the store into a new file, readable only by its owner. Returns its size in bytes.

    Hosts may use the store meanwhile. The file appears when it is complete, checked and flushed to the disk.
    ConfigurationError if there is no store or the target exists; UnusableStoreError if the store is damaged.
    """
    if target.exists():
        raise ConfigurationError(f"{target} already exists; name another file, or move that file away")
    with _draft_of(target) as draft:
        with closing(_open(store)) as con, _translated(store):
            con.execute("VACUUM INTO ?", [str(draft)])
        with closing(_open(draft)) as copy, _translated(draft):
            check(copy, str(draft))
        _put(draft, target)
    return target.stat().st_size


def restore(backup: Path, store: Path, now: datetime) -> Path | None:
    """Replace a store that no process uses by a copy of a backup. Returns the path to which the old store was moved.

    ConfigurationError if there is no backup; UnusableStoreError if it is damaged or no store; StorageUnavailableError
    if a process has the store open. Then nothing is changed.
    """
    with closing(_open(backup)) as con, _translated(backup):
        check(con, str(backup))
    store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _draft_of(store) as draft:
        with closing(_open(backup)) as con, _translated(backup):  # a copy of the file would lack what is in its log
            con.execute("VACUUM INTO ?", [str(draft)])
        kept = _set_aside(store, now) if store.exists() else None
        _put(draft, store)
    return kept


def _set_aside(store: Path, now: datetime) -> Path:
    """Rename the store, with its log if that cannot be folded into it because the store is damaged."""
    kept = store.with_name(f"{store.name}.before-{now:%Y%m%dT%H%M%SZ}")
    try:
        with closing(_open(store)) as con:
            con.execute("PRAGMA journal_mode = DELETE")  # SQLite allows this only if no other process has the file open
    except sqlite3.Error as error:
        if is_transient(error):
            raise StorageUnavailableError(f"{store} is in use; stop every host and client that has it open") from None
    for suffix in ("", *LOG_SUFFIXES):
        part = store.with_name(store.name + suffix)
        if part.exists():
            part.rename(kept.with_name(kept.name + suffix))
    return kept


@contextmanager
def _draft_of(target: Path) -> Generator[Path]:
    """An empty private file beside the target, gone at the end unless it was renamed."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    with _translated(target):
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _put(draft: Path, target: Path) -> None:
    """Rename, so that it lasts: the file's content first, then its name."""
    _flush(draft)
    draft.rename(target)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        _flush(target.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise ConfigurationError(f"there is no file {path}")
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, isolation_level=None)


@contextmanager
def _translated(path: Path) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise translate(error, str(path)) from None
