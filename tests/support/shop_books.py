"""What really happened in the sample shop: its database and its outbox, read from outside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ShopBooks:
    """The books of the shop that the hosts of one folder keep."""

    folder: Path

    def payments(self, order_id: str) -> list[dict[str, Any]]:
        return self._rows("SELECT * FROM payments WHERE order_id = ?", order_id)

    def shipments(self, order_id: str) -> list[dict[str, Any]]:
        return self._rows("SELECT * FROM shipments WHERE order_id = ?", order_id)

    def reservations(self, order_id: str) -> list[dict[str, Any]]:
        return self._rows(
            "SELECT r.* FROM reservations r JOIN payments p USING (receipt_id) WHERE p.order_id = ?", order_id
        )

    def stock(self, sku: str) -> int:
        return int(self._rows("SELECT stock FROM products WHERE sku = ?", sku)[0]["stock"])

    def mails(self, mentioning: str) -> list[EmailMessage]:
        """The mails in the outbox whose subject contains this text."""
        files = sorted((self.folder / "outbox").glob("*.eml"))
        mails = [message_from_bytes(f.read_bytes(), policy=policy.default) for f in files]
        return [m for m in mails if mentioning in str(m["Subject"])]

    def assert_sold_once(self, order_id: str) -> None:
        """One charge that was not refunded, one reservation of what was ordered, one shipment, one mail."""
        assert [p["refunded"] for p in self.payments(order_id)] == [0]
        assert [r["released"] for r in self.reservations(order_id)] == [0]
        assert len(self.shipments(order_id)) == 1
        assert [str(m["Subject"]) for m in self.mails(order_id)].count(f"Your order {order_id}") == 1

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        path = self.folder / "shop.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path, timeout=30)) as db:
            if not db.execute("PRAGMA user_version").fetchone()[0]:
                return []  # the shop is about to open: its tables are not there yet
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(query, values)]


def order_input(order_id: str, *, sku: str = "book", card: str = "4242424242424242", **more: Any) -> dict[str, Any]:
    """An order of one item, paid with a card that is accepted."""
    return {
        "order_id": order_id,
        "customer_email": "customer@example.com",
        "items": [{"sku": sku, "quantity": 1}],
        "payment": {"card": card, "amount": 42.50},
        **more,
    }
