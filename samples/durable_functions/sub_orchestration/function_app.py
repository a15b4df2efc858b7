"""Sub-orchestrations: an orchestrator that provisions devices, each by an orchestrator of its own."""

import azure.functions as func

import durable_core.df as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="devices", methods=["POST"])
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("provision_all", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def provision_all(context: df.DurableOrchestrationContext):
    tasks = []
    for number, device in enumerate(context.get_input()):
        child_id = f"{context.instance_id}-{number}"
        tasks.append(context.call_sub_orchestrator("provision", device, child_id))
    return (yield context.task_all(tasks))


@app.orchestration_trigger(context_name="context")
def provision(context: df.DurableOrchestrationContext):
    device = context.get_input()
    key = yield context.call_activity("make_key", device)
    yield context.call_activity("install_key", {"device": device, "key": key})
    return {"device": device, "key": key, "parent": context.parent_instance_id}


@app.activity_trigger(input_name="device")
def make_key(device: str) -> str:
    return device[::-1]


@app.activity_trigger(input_name="job")
def install_key(job: dict) -> None:
    if not job["key"]:
        raise ValueError(f"device {job['device']} has no key")
