"""The agent and its tools."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pydantic_ai import Agent, ApprovalRequired, DeferredToolRequests, ModelRetry, RunContext

from durable_core.integrations.pydantic_ai import DurableCoreDurability, idempotency_key

from . import books
from .model import chosen_model

LIMIT = 10_000
"""Cents up to which the agent pays back without asking."""


@dataclass
class Customer:
    id: str


agent = Agent(
    chosen_model(),
    name="refunds",
    deps_type=Customer,
    output_type=[str, DeferredToolRequests],
    instructions=(
        "You answer customers of a shop who want their money back. Look their orders up first. Pay back what they ask "
        "for, at most the price of the order. Answer in one or two sentences, in the language of the customer."
    ),
    capabilities=[DurableCoreDurability(stream="answer", tool={"timeout": timedelta(seconds=5)})],
)


@agent.tool
def find_orders(ctx: RunContext[Customer]) -> list[books.Order]:
    """The orders of the customer, with what was paid back already."""
    return books.orders_of(ctx.deps.id)


@agent.tool
def pay_back(ctx: RunContext[Customer], order_id: str, cents: int) -> str:
    """Pay back this many cents of an order. Large amounts are decided by a manager."""
    if cents > LIMIT and not ctx.tool_call_approved:
        raise ApprovalRequired(metadata={"customer": ctx.deps.id})
    try:
        books.pay_back(idempotency_key(ctx), ctx.deps.id, order_id, cents)
    except books.RefusedError as error:
        raise ModelRetry(str(error)) from error
    return f"paid back {cents} cents of {order_id}"
