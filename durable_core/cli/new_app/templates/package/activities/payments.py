"""Charging and refunding. Each call may run more than once; its idempotency key is the same each time."""

import logging

from durable_core import ActivityContext, activity
from pydantic import BaseModel, Field

log = logging.getLogger(__name__)


class Charge(BaseModel):
    order_id: str = Field(min_length=1)
    cents: int = Field(gt=0)


class Receipt(BaseModel):
    order_id: str
    charge_id: str


@activity
def charge(ctx: ActivityContext, input: Charge) -> Receipt:
    # Your payment service belongs here; it takes the key, so that a second attempt charges nothing.
    log.info("charging %d cents for %s", input.cents, input.order_id)
    return Receipt(order_id=input.order_id, charge_id=ctx.idempotency_key)


@activity
def refund(ctx: ActivityContext, input: Receipt) -> None:
    log.info("refunding %s", input.charge_id)
