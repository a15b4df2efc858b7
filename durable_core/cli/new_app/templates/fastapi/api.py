"""The routes of this app, by FastAPI.

In Azure they are part of the function app (function_app.py). On your machine they can also be a process of their own,
``uvicorn api:api``, beside ``durable_core host``: both work on the same task hub.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from durable_core.errors import InstanceAlreadyExistsError, InstanceNotFoundError
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from activities.payments import Charge
from durable_app import durable


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    yield
    await durable.stop()  # uvicorn gets here; in Azure the host ends the process


api = FastAPI(title="<<name>>", docs_url="/api/docs", openapi_url="/api/openapi.json", lifespan=lifespan)


class OrderStatus(BaseModel):
    order_id: str
    status: str
    outcome: str | None = None


@api.post("/api/orders", status_code=202)
async def start_order(charge: Charge) -> OrderStatus:
    client = await durable.client()
    try:
        await client.start_new("order", charge.order_id, charge)
    except InstanceAlreadyExistsError as error:
        raise HTTPException(409, f"there is an order {charge.order_id} already") from error
    return OrderStatus(order_id=charge.order_id, status="Pending")


@api.get("/api/orders/{order_id}")
async def get_order(order_id: str) -> OrderStatus:
    client = await durable.client()
    status = await client.get_status(order_id)
    if status.runtime_status is None:
        raise HTTPException(404, f"there is no order {order_id}")
    return OrderStatus(order_id=order_id, status=status.runtime_status.value, outcome=status.output)


@api.post("/api/orders/{order_id}/delivered", status_code=202)
async def deliver_order(order_id: str) -> OrderStatus:
    client = await durable.client()
    try:
        await client.raise_event(order_id, "Delivered")
    except InstanceNotFoundError as error:
        raise HTTPException(404, f"there is no order {order_id}") from error
    return await get_order(order_id)
