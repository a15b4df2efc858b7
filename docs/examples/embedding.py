"""Orchestrations inside a web application: FastAPI serves the requests, and its process runs the orchestrators."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import durable_core
from durable_core import Orchestration, OrchestrationContext, Registry, RuntimeStatus, activity, orchestrator


@activity
async def reserve(item: str) -> str:
    return f"{item} is reserved"


@orchestrator
def order(ctx: OrchestrationContext, item: str) -> Orchestration[str]:
    reserved = yield from ctx.call_activity(reserve, item)
    return f"{reserved}; ordered"


registry = Registry().add(order, reserve)
management = durable_core.ManagementApi(path="/durabletask", key="change-me")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with durable_core.running(registry, store="orders.db", http=management) as client:
        app.state.durable = client
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/durabletask", management)


@app.post("/orders/{item}", status_code=202)
async def start(item: str) -> dict[str, str]:
    client: durable_core.DurableClient = app.state.durable
    return {"id": await client.start_new(order, client_input=item)}


@app.get("/orders/{id}")
async def follow(id: str) -> dict[str, object]:
    client: durable_core.DurableClient = app.state.durable
    status = await client.get_status(id)
    return {"done": status.runtime_status is RuntimeStatus.COMPLETED, "result": status.output}


async def example(client: durable_core.DurableClient) -> None:
    id = await client.start_new(order, client_input="lamp")
    status = await client.wait_for_completion(id, timeout=60)
    assert status.output == "lamp is reserved; ordered"
