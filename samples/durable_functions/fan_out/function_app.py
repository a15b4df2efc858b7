"""Fan-out and fan-in: one activity for each text, all at once; then the sum of their results."""

import azure.functions as func

import durable_core.df as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="count", methods=["POST"])
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("count_words", client_input=req.get_json())
    return await client.wait_for_completion_or_create_check_status_response(req, instance_id, 20000)


@app.orchestration_trigger(context_name="context")
def count_words(context: df.DurableOrchestrationContext):
    texts = context.get_input()
    tasks = [context.call_activity("count_in", text) for text in texts]
    counts = yield context.task_all(tasks)
    return {"texts": len(texts), "words": sum(counts)}


@app.activity_trigger(input_name="text")
def count_in(text: str) -> int:
    return len(text.split())
