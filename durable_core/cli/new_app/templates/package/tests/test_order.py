"""The order in virtual time: two weeks pass in milliseconds, and each instance is replayed once more at the end."""

import pytest
from durable_core.testing import TestEnvironment

import activities
import orchestrators

INPUT = {"order_id": "o-1", "cents": 4200}


@pytest.fixture
def orders(durable: TestEnvironment) -> TestEnvironment:
    durable.register(orchestrators, activities)
    return durable


def test_an_order_that_is_delivered_is_kept(orders: TestEnvironment) -> None:
    instance_id = orders.start("order", INPUT)
    orders.raise_event(instance_id, "Delivered")
    orders.run_until_idle()
    assert orders.status(instance_id).output == "delivered"


def test_an_order_that_never_comes_is_refunded(orders: TestEnvironment) -> None:
    instance_id = orders.start("order", INPUT)
    orders.advance(days=15)
    assert orders.status(instance_id).output == "refunded"
