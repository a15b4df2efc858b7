"""A saga: what has been done is undone, in reverse, when a later step fails."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from durable_core import DurableClient, Orchestration, OrchestrationContext, Saga, Task, activity, orchestrator

undone: list[str] = []


@activity
def book_flight(city: str) -> str:
    return f"flight to {city}"


@activity
def book_hotel(city: str) -> str:
    if city == "Atlantis":
        raise LookupError("no such city")
    return f"hotel in {city}"


@activity
def cancel_booking(booking: str) -> None:
    undone.append(booking)


@orchestrator
def trip(ctx: OrchestrationContext, city: str) -> Orchestration[list[str]]:
    def book(saga: Saga) -> Generator[Task[Any], Any, list[str]]:
        flight = yield from ctx.call_activity(book_flight, city)
        saga.add_compensation(cancel_booking, flight)
        hotel = yield from ctx.call_activity(book_hotel, city)
        saga.add_compensation(cancel_booking, hotel)
        return [flight, hotel]

    return (yield from ctx.run_saga(book))


async def example(client: DurableClient) -> None:
    good = await client.start_new(trip, client_input="Lisbon")
    status = await client.wait_for_completion(good, timeout=60)
    assert status.output == ["flight to Lisbon", "hotel in Lisbon"]

    bad = await client.start_new(trip, client_input="Atlantis")
    status = await client.wait_for_completion(bad, timeout=60)
    assert status.failure is not None
    assert status.failure.is_caused_by(LookupError)
    assert undone.count("flight to Atlantis") == 1
