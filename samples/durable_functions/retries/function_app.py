"""Retries and failures: a payment that fails twice, and a delivery that fails for good and is compensated."""

import azure.functions as func

import durable_core.df as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

ATTEMPTS: dict[str, int] = {}
"""How often each order was paid for: a stand-in for the payment service."""


@app.route(route="orders/{order}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("order", client_input=req.route_params["order"])
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def order(context: df.DurableOrchestrationContext):
    options = df.RetryOptions(first_retry_interval_in_milliseconds=100, max_number_of_attempts=3)
    name = context.get_input()
    paid = yield context.call_activity_with_retry("pay", options, name)
    try:
        yield context.call_sub_orchestrator_with_retry("deliver", options, name)
    except Exception as error:
        refunded = yield context.call_activity("refund", name)
        return [paid, refunded, str(error).partition("\n")[0].strip()]
    return [paid, "delivered"]


@app.orchestration_trigger(context_name="context")
def deliver(context: df.DurableOrchestrationContext):
    yield context.call_activity("hand_over", context.get_input())


@app.activity_trigger(input_name="name")
def pay(name: str) -> str:
    ATTEMPTS[name] = ATTEMPTS.get(name, 0) + 1
    if ATTEMPTS[name] < 3:
        raise ConnectionError("the payment service does not answer")
    return f"paid at attempt {ATTEMPTS[name]}"


@app.activity_trigger(input_name="name")
def hand_over(name: str) -> None:
    if name == "lost":
        raise LookupError("there is no such address")


@app.activity_trigger(input_name="name")
def refund(name: str) -> str:
    return "refunded"
