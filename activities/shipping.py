"""Handing a parcel to the carrier: one shipment row per idempotency key."""

from __future__ import annotations

from hashlib import sha256

from pydantic import BaseModel

from durable_core import ActivityContext, activity

from . import shop
from .inventory import Item


class Parcel(BaseModel):
    order_id: str
    items: list[Item]


class Shipment(BaseModel):
    tracking_id: str


@activity
def create_shipment(ctx: ActivityContext, parcel: Parcel) -> Shipment:
    """Announce the parcel and get its tracking id; the same id again for the same idempotency key."""
    tracking_id = "TRK" + sha256(ctx.idempotency_key.encode()).hexdigest()[:12].upper()
    with shop.transaction() as db:
        db.execute(
            "INSERT INTO shipments (key, tracking_id, order_id) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
            (ctx.idempotency_key, tracking_id, parcel.order_id),
        )
    return Shipment(tracking_id=tracking_id)
