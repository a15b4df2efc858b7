"""Human interaction: a code is sent to a phone, and must be entered in time and with at most three tries."""

from datetime import timedelta

import azure.functions as func

import durable_core.df as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

SENT: dict[str, int] = {}
"""The code that each phone has received: a stand-in for a service that sends messages."""


@app.route(route="verify/{phone}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    seconds = float(req.params.get("seconds", "90"))
    instance_id = await client.start_new("verify_phone", None, {"phone": req.route_params["phone"], "seconds": seconds})
    return client.create_check_status_response(req, instance_id)


@app.route(route="sent/{phone}", methods=["GET"])
def sent(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(str(SENT.get(req.route_params["phone"], "")))


@app.route(route="enter/{instanceId}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def enter(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    try:
        await client.raise_event(req.route_params["instanceId"], "SmsChallengeResponse", req.get_json())
    except Exception as error:
        return func.HttpResponse(str(error), status_code=400)
    return func.HttpResponse(status_code=202)


@app.orchestration_trigger(context_name="context")
def verify_phone(context: df.DurableOrchestrationContext):
    request = context.get_input()
    challenge = yield context.call_activity("send_challenge", request["phone"])
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=request["seconds"]))
    authorized = False
    for _ in range(3):
        response = context.wait_for_external_event("SmsChallengeResponse")
        winner = yield context.task_any([response, timer])
        if winner != response:
            break
        if response.result == challenge:
            authorized = True
            break
    if not timer.is_completed:
        timer.cancel()
    return authorized


@app.activity_trigger(input_name="phone")
def send_challenge(phone: str) -> int:
    SENT[phone] = 1000 + sum(map(ord, phone)) % 9000
    return SENT[phone]
