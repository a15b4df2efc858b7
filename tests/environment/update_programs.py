"""Orchestrators that take updates."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from durable_core import Orchestration, OrchestrationContext, activity, orchestrator


class Item(BaseModel):
    name: str
    number: int = 1


class OutOfStockError(ValueError):
    """Raised by a validator."""


@activity
def price(name: str) -> int:
    if name == "broken":
        raise RuntimeError("no price")
    return len(name)


@orchestrator
def cart(ctx: OrchestrationContext) -> Orchestration[dict[str, Any]]:
    """Takes updates until it is checked out."""
    lines: dict[str, int] = {}
    costs: list[int] = []
    is_open = True

    def add(item: Item) -> int:
        lines[item.name] = lines.get(item.name, 0) + item.number
        return sum(lines.values())

    def may_add(item: Item) -> None:
        if item.name == "sold out":
            raise OutOfStockError(f"{item.name} is not in stock")

    def buy(name: str) -> Orchestration[int]:
        cost = yield from ctx.call_activity(price, name)
        yield from ctx.create_timer(timedelta(minutes=1))
        costs.append(cost)
        return sum(costs)

    def refund() -> None:
        raise KeyError("no receipt")

    def wait_for_word() -> Orchestration[str]:
        word = yield from ctx.wait_for_external_event("Word", str)
        return word

    def checkout() -> dict[str, Any]:
        nonlocal is_open
        is_open = False
        return {"lines": lines, "costs": costs}

    ctx.set_update_handler("add", add, may_add)
    ctx.set_update_handler("buy", buy)
    ctx.set_update_handler("refund", refund)
    ctx.set_update_handler("wait_for_word", wait_for_word)
    ctx.set_update_handler("checkout", checkout)
    ctx.set_query_handler("lines", lambda: lines)
    yield from ctx.wait_condition(lambda: not is_open)
    return {"lines": lines, "costs": costs}


@orchestrator
def patient(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    """Ends after its handlers."""
    words: list[str] = []
    is_closed = False

    def say() -> Orchestration[str]:
        word = yield from ctx.wait_for_external_event("Word", str)
        words.append(word)
        return word

    def close() -> None:
        nonlocal is_closed
        is_closed = True

    ctx.set_update_handler("say", say)
    ctx.set_update_handler("close", close)
    yield from ctx.wait_condition(lambda: is_closed and ctx.all_updates_ended)
    return words


@orchestrator
def rounds(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    """Continues as new after each update."""
    is_done = False

    def step(by: int) -> int:
        nonlocal number, is_done
        number += by
        is_done = True
        return number

    ctx.set_update_handler("step", step)
    yield from ctx.wait_condition(lambda: is_done)
    if number < 100:
        ctx.continue_as_new(number)
    return number


@orchestrator
def hasty(ctx: OrchestrationContext) -> Orchestration[str]:
    """Ends while a handler is under way."""

    def slow() -> Orchestration[str]:
        yield from ctx.create_timer(timedelta(hours=1))
        return "late"

    ctx.set_update_handler("slow", slow)
    yield from ctx.wait_for_external_event("End")
    return "ended"
