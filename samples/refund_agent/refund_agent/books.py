"""The books of the shop: one SQLite file (setting ``REFUNDS_DB``) with orders and refunds.

It knows nothing of agents. A refund has the caller's idempotency key as its primary key: who comes second finds the row
of the first.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from pydantic import BaseModel

DEFAULT_DATABASE = ".durable/refunds.db"
BUSY_TIMEOUT = 30.0  # seconds to wait for another process's write

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    item TEXT NOT NULL,
    cents INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS refunds (
    key TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (id),
    cents INTEGER NOT NULL
);
INSERT OR IGNORE INTO orders VALUES
    ('order-1', 'ada', 'a book', 1900),
    ('order-2', 'ada', 'a lamp', 24900),
    ('order-3', 'bob', 'a mug', 900);
"""


class Order(BaseModel):
    """An order of a customer. refunded: the cents that were paid back."""

    id: str
    item: str
    cents: int
    refunded: int


class RefusedError(Exception):
    """The books do not allow this refund."""


def orders_of(customer: str) -> list[Order]:
    """The orders of a customer."""
    with _transaction() as db:
        rows = db.execute(
            "SELECT id, item, cents, (SELECT coalesce(sum(cents), 0) FROM refunds WHERE order_id = orders.id)"
            " FROM orders WHERE customer = ? ORDER BY id",
            (customer,),
        ).fetchall()
    return [Order(id=id, item=item, cents=cents, refunded=refunded) for id, item, cents, refunded in rows]


def pay_back(key: str, customer: str, order_id: str, cents: int) -> None:
    """Pay back a part of an order, once per key. RefusedError if it is not the customer's, or more than was paid."""
    with _transaction() as db:
        if db.execute("SELECT 1 FROM refunds WHERE key = ?", (key,)).fetchone():
            return  # an earlier run of the tool has done it
        row = db.execute(
            "SELECT cents - (SELECT coalesce(sum(cents), 0) FROM refunds WHERE order_id = orders.id)"
            " FROM orders WHERE id = ? AND customer = ?",
            (order_id, customer),
        ).fetchone()
        if row is None:
            raise RefusedError(f"the customer has no order '{order_id}'")
        if not 0 < cents <= row[0]:
            raise RefusedError(f"of '{order_id}' {row[0]} cents can be paid back, not {cents}")
        db.execute("INSERT INTO refunds VALUES (?, ?, ?)", (key, order_id, cents))


@contextmanager
def _transaction() -> Generator[sqlite3.Connection]:
    path = Path(os.environ.get("REFUNDS_DB") or DEFAULT_DATABASE)
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT)) as db:
        with db:
            db.executescript(_SCHEMA)
        with db:
            db.execute("BEGIN IMMEDIATE")
            yield db
