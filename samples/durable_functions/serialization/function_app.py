"""Classes of an app as inputs and results: by static methods to_json and from_json."""

import azure.functions as func
from parcels import Parcel

import durable_core.df as df

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="parcels", methods=["POST"])
@app.durable_client_input(client_name="client")
async def http_start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    body = req.get_json()
    instance_id = await client.start_new("send", None, Parcel(body["to"], body["kilos"]))
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def send(context: df.DurableOrchestrationContext):
    parcel = context.get_input()
    stamped = yield context.call_activity("stamp", parcel)
    both = yield context.call_activity("weigh", [parcel, stamped])
    return {"stamp": stamped.stamp, **both}


@app.activity_trigger(input_name="parcel")
def stamp(parcel: Parcel) -> Parcel:
    return Parcel(parcel.to, parcel.kilos, stamp=f"to {parcel.to}")


@app.activity_trigger(input_name="parcels")
def weigh(parcels: list) -> dict:
    return {"kilos": sum(parcel.kilos for parcel in parcels), "stamped": sum(bool(p.stamp) for p in parcels)}
