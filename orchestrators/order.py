"""Pattern: a chain of steps, a human event with a deadline, and a saga, which undoes what was done when a step fails.

Pay, reserve, confirm, ship, then wait up to two weeks for somebody to report the delivery. The process may die at any
line: another one goes on from there, and nothing is charged, reserved or shipped twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field

from activities.inventory import Item, OutOfStockError, Reservation, release_inventory, reserve_inventory
from activities.notifications import Confirmation, send_confirmation
from activities.payments import CardDeclinedError, Charge, Payment, refund_payment, verify_payment
from activities.shipping import Parcel, create_shipment
from durable_core import ActivityFailedError, Orchestration, OrchestrationContext, RetryPolicy, orchestrator

RESERVING = RetryPolicy(max_attempts=3, non_retriable=[OutOfStockError])
SHIPPING = RetryPolicy(max_attempts=5, first_interval=timedelta(seconds=1), backoff=2.0)


class Order(BaseModel):
    order_id: str = Field(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")
    customer_email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)
    items: list[Item] = Field(min_length=1)
    payment: Payment
    delivery_timeout_seconds: float = Field(default=14 * 24 * 3600.0, gt=0)


class OrderResult(BaseModel):
    status: Literal["completed", "payment_failed", "out_of_stock", "delivery_timeout"]
    tracking_id: str | None = None


@orchestrator
def order(ctx: OrchestrationContext, order: Order) -> Orchestration[OrderResult]:
    try:
        receipt = yield from ctx.call_activity(verify_payment, Charge(order_id=order.order_id, payment=order.payment))
    except ActivityFailedError as error:
        if error.is_caused_by(CardDeclinedError):
            return OrderResult(status="payment_failed")
        raise

    saga = ctx.saga()
    try:
        saga.add_compensation(refund_payment, receipt)
        saga.add_compensation(release_inventory, receipt.receipt_id)  # releases what there is of a reservation
        reservation = Reservation(receipt_id=receipt.receipt_id, items=order.items)
        yield from ctx.call_activity(reserve_inventory, reservation, retry=RESERVING)
        confirmation = Confirmation(order_id=order.order_id, customer_email=order.customer_email, items=order.items)
        yield from ctx.call_activity(send_confirmation, confirmation)
        parcel = Parcel(order_id=order.order_id, items=order.items)
        shipment = yield from ctx.call_activity(create_shipment, parcel, retry=SHIPPING)
    except ActivityFailedError as error:
        yield from saga.compensate()
        if error.is_caused_by(OutOfStockError):
            return OrderResult(status="out_of_stock")
        raise

    ctx.set_custom_status({"waiting_for": "DeliveryConfirmed", "tracking_id": shipment.tracking_id})
    delivered = ctx.wait_for_external_event("DeliveryConfirmed")
    deadline = ctx.create_timer(timedelta(seconds=order.delivery_timeout_seconds))
    winner = yield from ctx.task_any([delivered, deadline])
    if winner is deadline:  # the parcel is lost: the customer gets the money back
        yield from ctx.call_activity(refund_payment, receipt)
        return OrderResult(status="delivery_timeout", tracking_id=shipment.tracking_id)
    deadline.cancel()
    return OrderResult(status="completed", tracking_id=shipment.tracking_id)
