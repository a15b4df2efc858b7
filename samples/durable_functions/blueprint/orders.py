"""A blueprint that takes orders, and greets by an orchestrator of the other blueprint."""

import azure.functions as func

import durable_core.df as df

orders = df.Blueprint()


@orders.function_name(name="StartOrder")
@orders.route(route="orders", methods=["POST"])
@orders.durable_client_input(client_name="starter")
async def start_order(req: func.HttpRequest, starter: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await starter.start_new("TakeOrder", client_input=req.get_json())
    return starter.create_check_status_response(req, instance_id)


@orders.orchestration_trigger(context_name="context", orchestration="TakeOrder")
def take_order(context: df.DurableOrchestrationContext):
    order = context.get_input()
    greeting = yield context.call_sub_orchestrator("greet", order["customer"])
    total = yield context.call_activity("price_of", order["items"])
    return f"{greeting} That is {total}."


@orders.activity_trigger(input_name="items")
def price_of(items: list) -> int:
    return 10 * len(items)
