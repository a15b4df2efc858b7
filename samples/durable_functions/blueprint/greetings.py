"""A blueprint that greets."""

import azure.functions as func

import durable_core.df as df

greetings = df.Blueprint()


@greetings.route(route="greet/{name}", methods=["POST"])
@greetings.durable_client_input(client_name="client")
async def start_greeting(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("greet", client_input=req.route_params["name"])
    return client.create_check_status_response(req, instance_id)


@greetings.orchestration_trigger(context_name="context")
def greet(context: df.DurableOrchestrationContext):
    return (yield context.call_activity(say_hello, context.get_input()))


@greetings.activity_trigger(input_name="name")
def say_hello(name: str) -> str:
    return f"Hello {name}!"
