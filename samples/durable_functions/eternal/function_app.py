"""An eternal orchestration: cleans up, sleeps, and begins again with an empty history, until it is told to stop."""

from datetime import timedelta

import azure.functions as func

import durable_core.df as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

INSTANCE = "cleanup"


@app.route(route="cleanup", methods=["POST"])
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    status = await client.get_status(INSTANCE)
    if not status or status.runtime_status not in (
        df.OrchestrationRuntimeStatus.Running,
        df.OrchestrationRuntimeStatus.Pending,
    ):
        await client.start_new("clean_up", INSTANCE, {"round": 1, "pause": float(req.params.get("pause", "3600"))})
    return client.create_check_status_response(req, INSTANCE)


@app.orchestration_trigger(context_name="context")
def clean_up(context: df.DurableOrchestrationContext):
    state = context.get_input()
    deleted = yield context.call_activity("delete_old_files", state["round"])
    context.set_custom_status(f"round {state['round']} has deleted {deleted} files")
    stop = context.wait_for_external_event("Stop")
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=state["pause"]))
    winner = yield context.task_any([stop, timer])
    if winner == stop:
        return f"stopped in round {state['round']}"
    context.continue_as_new({**state, "round": state["round"] + 1})


@app.activity_trigger(input_name="number")
def delete_old_files(number: int) -> int:
    return 10 * number
