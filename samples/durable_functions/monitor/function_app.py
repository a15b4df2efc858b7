"""A monitor: looks at a job again and again, until the job is done or the time is over."""

from datetime import timedelta

import azure.functions as func

import durable_core.df as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

LOOKS: dict[str, int] = {}
"""How often each job was looked at: a stand-in for the service that runs the jobs."""


@app.route(route="monitors/{job}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    request = {"job": req.route_params["job"], **req.get_json()}
    instance_id = await client.start_new("monitor", f"monitor-{request['job']}", request)
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def monitor(context: df.DurableOrchestrationContext):
    request = context.get_input()
    job, pause = request["job"], timedelta(seconds=request["pause"])
    expiry = context.current_utc_datetime + timedelta(seconds=request["within"])
    while context.current_utc_datetime < expiry:
        status = yield context.call_activity("status_of", job)
        context.set_custom_status({"job": job, "last": status})
        if status == "done":
            return (yield context.call_activity("send_alert", f"{job} is done"))
        yield context.create_timer(context.current_utc_datetime + pause)
    return f"{job} was given up"


@app.activity_trigger(input_name="job")
def status_of(job: str) -> str:
    LOOKS[job] = LOOKS.get(job, 0) + 1
    return "done" if job != "endless" and LOOKS[job] >= 3 else "running"


@app.activity_trigger(input_name="text")
def send_alert(text: str) -> str:
    return f"sent: {text}"
