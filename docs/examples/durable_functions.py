"""An app of Durable Functions. Only the line that imports ``df`` has changed."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.functions as func

import durable_core.df as df  # was: import azure.durable_functions as df
from durable_core import DurableClient

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="orders/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_order(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("order", req.route_params["id"], req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def order(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    items = context.get_input()
    prices = yield context.task_all([context.call_activity(price_of, item) for item in items])
    approval = context.wait_for_external_event("Approval")
    deadline = context.create_timer(context.current_utc_datetime + timedelta(days=3))
    winner = yield context.task_any([approval, deadline])
    if winner == deadline:
        return "nobody has approved"
    deadline.cancel()
    return {"total": sum(prices), "approved_by": approval.result}


@app.activity_trigger(input_name="item")
def price_of(item: str) -> int:
    return 10 * len(item)


async def example(client: DurableClient) -> None:
    await client.start_new("order", "o-1", ["mug", "lamp"])
    await client.raise_event("o-1", "Approval", "ann")
    status = await client.wait_for_completion("o-1", timeout=60)
    assert status.output == {"total": 70, "approved_by": "ann"}
    await client.start_new("order", "o-2", ["book"])
    status = await client.wait_for_completion("o-2", timeout=4 * 86_400)
    assert status.output == "nobody has approved"
