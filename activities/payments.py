"""Taking money and giving it back, as rows of the shop database.

A real provider takes the idempotency key in a header; here it is the primary key. Only the card's last four digits
are kept.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256

from pydantic import BaseModel, Field

from durable_core import ActivityContext, activity

from . import shop

DECLINED_ENDING = "0002"  # the ending of the card that payment providers hand out to test a refusal


class CardDeclinedError(Exception):
    """The bank said no; asking again will not help."""


class Payment(BaseModel):
    card: str = Field(min_length=4, max_length=40)
    amount: Decimal = Field(gt=0, max_digits=12, decimal_places=2)


class Charge(BaseModel):
    order_id: str
    payment: Payment


class Receipt(BaseModel):
    receipt_id: str
    cents: int


@activity
def verify_payment(ctx: ActivityContext, charge: Charge) -> Receipt:
    """Charge the card, once per idempotency key. CardDeclinedError if the bank refuses."""
    digits = "".join(c for c in charge.payment.card if c.isalnum())
    if digits.endswith(DECLINED_ENDING):
        raise CardDeclinedError(f"the bank declined the card ending in {digits[-4:]}")
    receipt = Receipt(
        receipt_id="rcpt-" + sha256(ctx.idempotency_key.encode()).hexdigest()[:16],
        cents=int(charge.payment.amount * 100),
    )
    with shop.transaction() as db:
        db.execute(
            "INSERT INTO payments (key, receipt_id, order_id, card_last4, cents) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO NOTHING",
            (ctx.idempotency_key, receipt.receipt_id, charge.order_id, digits[-4:], receipt.cents),
        )
    return receipt


@activity
def refund_payment(receipt: Receipt) -> None:
    """Give the money of one receipt back. It is given back once, however often this runs."""
    with shop.transaction() as db:
        db.execute("UPDATE payments SET refunded = 1 WHERE receipt_id = ?", (receipt.receipt_id,))
