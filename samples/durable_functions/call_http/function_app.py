"""Durable HTTP calls: the order service answers 202 until an order is packed; the orchestrator polls it meanwhile."""

import json

import azure.functions as func

import durable_core.df as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="pack", methods=["POST"])
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("pack_order", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def pack_order(context: df.DurableOrchestrationContext):
    request = context.get_input()
    token = df.ManagedIdentityTokenSource(request["resource"]) if "resource" in request else None
    response = yield context.call_http("POST", request["url"], {"order": request["order"]}, token_source=token)
    if response["statusCode"] != 200:
        raise Exception(f"the order service answered {response['statusCode']}: {response['content']}")
    return json.loads(response["content"])
