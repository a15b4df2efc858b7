"""Tests of the sample orchestrators, as a user writes them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from unittest.mock import Mock

import pytest

import activities
import orchestrators
from activities.inventory import Item
from activities.payments import Charge, Payment, Receipt, verify_payment
from activities.shipping import Parcel, Shipment
from durable_core import ActivityContext
from durable_core.errors import OrchestrationFailedError
from durable_core.testing import TestEnvironment
from orchestrators.order import Order, OrderResult, order

ORDER = Order(
    order_id="o-1",
    customer_email="customer@example.com",
    items=[Item(sku="book", quantity=1)],
    payment=Payment(card="4242424242424242", amount=Decimal("42.50")),
)


def test_a_parcel_that_never_arrives_is_paid_back(durable: TestEnvironment) -> None:
    durable.register(orchestrators, activities)
    durable.replace(verify_payment, Mock(return_value=Receipt(receipt_id="r-1", cents=4250)))
    durable.replace("reserve_inventory", Mock(return_value=None))
    durable.replace("send_confirmation", Mock(return_value="mail-1"))
    durable.replace("create_shipment", Mock(return_value=Shipment(tracking_id="TRK1")))
    refund = durable.replace("refund_payment", Mock(return_value=None))

    order_id = durable.start(order, ORDER)
    durable.advance(days=15)

    assert durable.result(order_id, OrderResult).status == "delivery_timeout"
    refund.assert_called_once_with(Receipt(receipt_id="r-1", cents=4250))


@pytest.fixture
def shop(durable: TestEnvironment) -> TestEnvironment:
    """The environment with a shop in which everything goes well."""

    def ship(ctx: ActivityContext, parcel: Parcel) -> Shipment:
        return Shipment(tracking_id=f"{parcel.order_id}-{ctx.task_id}")

    async def pay(charge: Charge) -> Receipt:
        return Receipt(receipt_id=f"r-{charge.order_id}", cents=int(charge.payment.amount * 100))

    durable.register(orchestrators, activities)
    durable.replace("verify_payment", pay)
    durable.replace("create_shipment", ship)
    durable.replace("send_confirmation", Mock(return_value="mail-1"))
    for name in ("reserve_inventory", "refund_payment", "release_inventory"):
        durable.replace(name, Mock(return_value=None))
    return durable


def test_a_delivery_in_time_completes_the_order(shop: TestEnvironment) -> None:
    order_id = shop.start(order, ORDER)
    assert shop.status(order_id).custom_status == {"waiting_for": "DeliveryConfirmed", "tracking_id": "o-1-4"}

    shop.raise_event(order_id, "DeliveryConfirmed", after=timedelta(days=3))
    began = shop.now

    assert shop.result(order_id, OrderResult).status == "completed"
    assert shop.now - began == timedelta(days=3)


def test_a_carrier_that_is_down_is_tried_five_times(shop: TestEnvironment) -> None:
    carrier = shop.replace("create_shipment", Mock(side_effect=ConnectionError("the carrier is down")))
    order_id = shop.start(order, ORDER)
    with pytest.raises(OrchestrationFailedError, match="the carrier is down"):
        shop.result(order_id)
    assert carrier.call_count == 5


def test_what_was_called_is_in_the_history(shop: TestEnvironment) -> None:
    order_id = shop.start(order, ORDER)
    called = [event["Name"] for event in shop.history(order_id) if event["EventType"] == "TaskScheduled"]
    assert called == ["verify_payment", "reserve_inventory", "send_confirmation", "create_shipment"]
