"""Inputs, results and events are the types that you annotate: pydantic models, dataclasses, enums, dates, Decimal, ...

Values are stored as JSON and read by the annotation of who receives them. What cannot be read is refused at the door.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, Field

from durable_core import Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.errors import InvalidInputError
from durable_core.runtime.client import DurableClient


class Currency(StrEnum):
    EUR = "EUR"
    USD = "USD"


class Item(BaseModel):
    sku: str
    price: Decimal = Field(gt=0)
    photo: bytes | None = None


@dataclass(frozen=True)
class Basket:
    items: list[Item]
    currency: Currency
    ordered_at: datetime


@dataclass(frozen=True)
class Invoice:
    total: Decimal
    due: date
    seal: bytes  # stored as base64: any bytes will do


@activity
def invoice(basket: Basket) -> Invoice:
    total = sum((item.price for item in basket.items), Decimal(0))
    return Invoice(total, basket.ordered_at.date().replace(day=28), b"\xff\x00")


@orchestrator
def buy(ctx: OrchestrationContext, basket: Basket) -> Orchestration[tuple[Decimal, date]]:
    made = yield from ctx.call_activity(invoice, basket)  # an Invoice, not a dict; a type checker knows it, too
    assert made.seal == b"\xff\x00"
    paid = yield from ctx.wait_for_external_event("paid", Decimal)
    return paid - made.total, made.due


async def example(client: DurableClient) -> None:
    basket = Basket([Item(sku="tea", price=Decimal("4.10"))], Currency.EUR, datetime(2030, 5, 1, 12, tzinfo=UTC))
    instance_id = await client.start_new(buy, client_input=basket)
    await client.raise_event(instance_id, "paid", Decimal("5.00"))
    status = await client.wait_for_completion(instance_id, timeout=60)
    assert status.output == ["0.90", "2030-05-28"]  # as JSON: exact digits, ISO dates

    try:
        await client.start_new("buy", client_input={"items": [{"sku": "tea", "price": -1}], "currency": "GBP"})
    except InvalidInputError as error:
        assert [problem.split(":")[0] for problem in error.problems] == ["items.0.price", "currency", "ordered_at"]
    else:
        raise AssertionError("an input that does not fit must be refused")
