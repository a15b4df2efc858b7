"""An app in the style of Durable Functions, which runs on durable_core: the import of ``df`` is all that differs.

An order: charge, wait two weeks for the delivery, refund if it does not come.
"""

import logging
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.functions as func
import durable_core.df as df

logging.getLogger("azure").setLevel(logging.WARNING)  # else two lines for each storage request, in Azure

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="orders", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_order(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    try:
        input = req.get_json()
        order_id, cents = str(input["order_id"]), int(input["cents"])
    except (ValueError, TypeError, KeyError) as error:
        return func.HttpResponse(f"an order has an order_id and cents: {error!r}", status_code=400)
    instance_id = await client.start_new("order", order_id, {"order_id": order_id, "cents": cents})
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def order(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    retry = df.RetryOptions(first_retry_interval_in_milliseconds=5000, max_number_of_attempts=5)
    charge_id = yield context.call_activity_with_retry("charge", retry, context.get_input())
    delivered = context.wait_for_external_event("Delivered")
    deadline = context.create_timer(context.current_utc_datetime + timedelta(days=14))
    winner = yield context.task_any([delivered, deadline])
    if winner == deadline:
        yield context.call_activity_with_retry("refund", retry, charge_id)
        return "refunded"
    deadline.cancel()
    return "delivered"


@app.activity_trigger(input_name="payment")
def charge(payment: dict[str, Any]) -> str:
    # Your payment service belongs here. An activity may run more than once: give the service an id of the order.
    logging.info("charging %d cents for %s", payment["cents"], payment["order_id"])
    return f"charge-{payment['order_id']}"


@app.activity_trigger(input_name="chargeId")
def refund(chargeId: str) -> None:
    logging.info("refunding %s", chargeId)
