"""An orchestrator in the style of Durable Functions, for golden histories. The files beside this one were made by it.

They must fit it in every later release: do not change what an orchestrator here decides; write another one.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import durable_core.df as df

app = df.DFApp()


class Ticket:
    """A class that is stored with its name."""

    def __init__(self, seat: str) -> None:
        self.seat = seat

    @staticmethod
    def to_json(ticket: Ticket) -> str:
        return ticket.seat

    @staticmethod
    def from_json(data: str) -> Ticket:
        return Ticket(data)


@app.activity_trigger(input_name="seat", activity="df_reserve")
def reserve(seat: str) -> Ticket:
    if seat == "taken":
        raise LookupError(f"{seat} is taken")
    return Ticket(seat)


@app.entity_trigger(context_name="context", entity_name="df_hall")
def hall(context: df.DurableEntityContext) -> None:
    context.set_state(context.get_state(lambda: 0) + context.get_input())
    context.set_result(context.get_state())


@app.orchestration_trigger(context_name="context", orchestration="df_child")
def child(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    ticket = yield context.call_activity("df_reserve", context.get_input())
    return ticket.seat


@app.orchestration_trigger(context_name="context", orchestration="df_booking")
def booking(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Every kind of call. Tasks are made in another order than they are yielded; one is never yielded."""
    context.call_activity("df_reserve", "never")
    last, first = context.call_activity("df_reserve", "z"), context.call_activity("df_reserve", "a")
    tickets = [(yield first)]
    tickets += yield context.task_all([context.call_activity("df_reserve", seat) for seat in ("b", "c")])
    context.set_custom_status([ticket.seat for ticket in tickets])
    paid = context.wait_for_external_event("Paid")
    deadline = context.create_timer(context.current_utc_datetime + timedelta(days=1))
    winner = yield context.task_any([paid, deadline])
    if winner == paid:
        deadline.cancel()
    seen: list[Any] = ["paid" if winner == paid else "late"]
    try:
        yield context.call_activity_with_retry("df_reserve", df.RetryOptions(1000, 2), "taken")
    except Exception as error:  # noqa: BLE001  as apps of Durable Functions do
        seen.append(str(error).partition("\n")[0])
    context.signal_entity(df.EntityId("df_hall", "1"), "add", len(tickets))
    seen.append((yield context.call_entity(df.EntityId("df_hall", "1"), "add", 1)))
    seen.append((yield context.call_sub_orchestrator("df_child", "d", f"{context.instance_id}-child")))
    seen.append((yield last).seat)
    return seen
