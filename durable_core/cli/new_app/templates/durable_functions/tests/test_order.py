"""The orchestrator step by step, with mocked tasks, as unit tests of Durable Functions have it."""

from datetime import datetime
from unittest.mock import Mock

import pytest
from durable_core.df.testing import orchestrator_generator_wrapper

import function_app


@pytest.mark.parametrize(("is_late", "outcome"), [(True, "refunded"), (False, "delivered")])
def test_an_order_is_refunded_if_it_does_not_come(is_late: bool, outcome: str) -> None:
    order = function_app.order.build().get_user_function().orchestrator_function
    delivered, deadline = Mock(), Mock()
    context = Mock(current_utc_datetime=datetime(2025, 1, 31))
    context.get_input.return_value = {"order_id": "o-1", "cents": 4200}
    context.wait_for_external_event.return_value, context.create_timer.return_value = delivered, deadline
    context.call_activity_with_retry.side_effect = lambda name, retry, input: Mock(result=f"{name} of {input}")
    context.task_any.return_value = Mock(result=deadline if is_late else delivered)

    steps = list(orchestrator_generator_wrapper(order(context)))

    assert steps[-1] == outcome
    called = [call.args[0] for call in context.call_activity_with_retry.call_args_list]
    assert called == (["charge", "refund"] if is_late else ["charge"])
