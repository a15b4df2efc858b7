"""Stock: reserving what was paid for, all of it or nothing, and putting it back."""

from __future__ import annotations

from collections import Counter

from pydantic import BaseModel, Field

from durable_core import activity

from . import shop


class OutOfStockError(Exception):
    """There is not enough of a product, or no such product."""


class Item(BaseModel):
    sku: str = Field(min_length=1, max_length=100)
    quantity: int = Field(ge=1, le=1_000_000)


class Reservation(BaseModel):
    receipt_id: str
    items: list[Item]


@activity
def reserve_inventory(reservation: Reservation) -> None:
    """Take the items off the shelf, once per receipt. OutOfStockError names the product that is short."""
    wanted: Counter[str] = Counter()
    for item in reservation.items:
        wanted[item.sku] += item.quantity
    with shop.transaction() as db:
        if db.execute("SELECT 1 FROM reservations WHERE receipt_id = ?", (reservation.receipt_id,)).fetchone():
            return  # an earlier run of this activity has done it
        for sku, quantity in wanted.items():
            taken = db.execute(
                "UPDATE products SET stock = stock - ? WHERE sku = ? AND stock >= ?", (quantity, sku, quantity)
            )
            if taken.rowcount == 0:
                raise OutOfStockError(f"there are not {quantity} of '{sku}' in stock")
            db.execute(
                "INSERT INTO reservations (receipt_id, sku, quantity) VALUES (?, ?, ?)",
                (reservation.receipt_id, sku, quantity),
            )


@activity
def release_inventory(receipt_id: str) -> None:
    """Put back what was reserved for a receipt. Nothing reserved, or released before: nothing happens."""
    with shop.transaction() as db:
        db.execute(
            "UPDATE products SET stock = stock + held.quantity FROM reservations AS held"
            " WHERE held.sku = products.sku AND held.receipt_id = ? AND held.released = 0",
            (receipt_id,),
        )
        db.execute("UPDATE reservations SET released = 1 WHERE receipt_id = ?", (receipt_id,))
