"""Entities: an account for each person, and an orchestrator that moves money between two of them."""

import azure.functions as func

import durable_core.df as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="accounts/{person}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def deposit(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    account = df.EntityId("Account", req.route_params["person"])
    await client.signal_entity(account, "deposit", req.get_json())
    return func.HttpResponse(status_code=202)


@app.route(route="accounts/{person}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def balance(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    found = await client.read_entity_state(df.EntityId("Account", req.route_params["person"]))
    if not found.entity_exists:
        return func.HttpResponse("there is no such account", status_code=404)
    return func.HttpResponse(str(found.entity_state))


@app.route(route="transfers", methods=["POST"])
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("transfer", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def transfer(context: df.DurableOrchestrationContext):
    order = context.get_input()
    source, target = df.EntityId("Account", order["from"]), df.EntityId("Account", order["to"])
    try:
        yield context.call_entity(source, "withdraw", order["amount"])
    except Exception as error:
        return f"refused: {error}"
    context.signal_entity(target, "deposit", order["amount"])
    return (yield context.call_entity(target, "balance"))


@app.entity_trigger(context_name="context", entity_name="Account")
def account(context: df.DurableEntityContext) -> None:
    balance = context.get_state(lambda: 0)
    match context.operation_name:
        case "deposit":
            context.set_state(balance + context.get_input())
        case "withdraw":
            if context.get_input() > balance:
                raise ValueError(f"only {balance} is left")
            context.set_state(balance - context.get_input())
        case "close":
            context.destruct_on_exit()
        case "balance":
            context.set_result(balance)
