"""The sample shop's database: one SQLite file (setting ``SHOP_DB``) with stock, payments and shipments.

It owns the schema and how to open a connection, and knows nothing of orchestrations. It stands for the systems of
record that real activities talk to. Every write that must happen once has the caller's idempotency key as its primary
key: whoever comes second finds the row of the first.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

DEFAULT_DATABASE = ".durable/shop.db"
BUSY_TIMEOUT = 30.0  # seconds to wait for another process's write

_SCHEMA = """
CREATE TABLE products (
    sku TEXT PRIMARY KEY,
    stock INTEGER NOT NULL CHECK (stock >= 0)
);
CREATE TABLE payments (
    key TEXT PRIMARY KEY,
    receipt_id TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    card_last4 TEXT NOT NULL,
    cents INTEGER NOT NULL,
    refunded INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE reservations (
    receipt_id TEXT NOT NULL,
    sku TEXT NOT NULL REFERENCES products (sku),
    quantity INTEGER NOT NULL,
    released INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (receipt_id, sku)
);
CREATE TABLE shipments (
    key TEXT PRIMARY KEY,
    tracking_id TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL
);
INSERT INTO products (sku, stock) VALUES ('book', 10000), ('mug', 10000), ('lamp', 1), ('sold-out', 0);
PRAGMA user_version = 1;
"""


def database_path() -> Path:
    return Path(os.environ.get("SHOP_DB") or DEFAULT_DATABASE)


@contextmanager
def transaction() -> Generator[sqlite3.Connection]:
    """One write transaction on the shop: all of it, or, if the block raises, nothing."""
    path = database_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)) as db:
        _use_wal(db)
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN IMMEDIATE")
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";\n"):
                    db.execute(statement)
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def set_stock(sku: str, stock: int) -> None:
    """Put a product on the shelf, or change how many of it there are."""
    with transaction() as db:
        db.execute(
            "INSERT INTO products VALUES (?, ?) ON CONFLICT (sku) DO UPDATE SET stock = excluded.stock", (sku, stock)
        )


def _use_wal(db: sqlite3.Connection) -> None:
    """Let readers and a writer work side by side. The change of mode does not honour the busy timeout by itself."""
    give_up_at = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
