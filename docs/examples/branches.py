"""Branches: several chains of steps side by side in one orchestration."""

from __future__ import annotations

from datetime import timedelta

from durable_core import (
    DurableClient,
    Orchestration,
    OrchestrationContext,
    TaskCancelledError,
    TaskTimeoutError,
    activity,
    orchestrator,
)


@activity
def reserve(what: str) -> str:
    if what == "full hotel":
        raise ValueError("no room")
    return f"reservation of {what}"


@activity
def pay(reservation: str) -> str:
    return f"ticket for {reservation}"


@activity
def give_back(reservation: str) -> None: ...


def book(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
    # A generator function, written like an orchestrator. Its two steps follow each other.
    reservation = yield from ctx.call_activity(reserve, what)
    try:
        yield from ctx.create_timer(timedelta(seconds=1))
        return (yield from ctx.call_activity(pay, reservation))
    except TaskCancelledError:
        # Another branch has failed: this one cleans up, and gather waits for that.
        yield from ctx.call_activity(give_back, reservation)
        raise


@orchestrator
def trip(ctx: OrchestrationContext, hotel: str) -> Orchestration[list[str]]:
    # Both branches run side by side, each through its own steps.
    car_ticket, hotel_ticket = yield from ctx.gather(book(ctx, "car"), book(ctx, hotel))
    return [car_ticket, hotel_ticket]


@orchestrator
def patient_trip(ctx: OrchestrationContext, seconds: int) -> Orchestration[str]:
    try:
        return (yield from ctx.with_timeout(book(ctx, "car"), timedelta(seconds=seconds)))
    except TaskTimeoutError:
        return "too late"


@orchestrator
def tour(ctx: OrchestrationContext, cities: list[str]) -> Orchestration[list[str]]:
    # At most two branches at a time: the next one begins when one has ended.
    return (yield from ctx.task_all((book(ctx, city) for city in cities), max_concurrency=2))


@orchestrator
def race(ctx: OrchestrationContext) -> Orchestration[str]:
    # A branch of the code's own continues until it ends or is cancelled, whatever waits for it.
    booking = ctx.branch(book(ctx, "boat"))
    refused = ctx.wait_for_external_event("Refused")
    if (yield from ctx.task_any([booking, refused])) is refused:
        booking.cancel()
        return "refused"
    return booking.result


async def example(client: DurableClient) -> None:
    booked = await client.start_new(trip, client_input="hotel")
    status = await client.wait_for_completion(booked, timeout=60)
    assert status.output == ["ticket for reservation of car", "ticket for reservation of hotel"]

    full = await client.start_new(trip, client_input="full hotel")
    status = await client.wait_for_completion(full, timeout=60)
    assert status.failure is not None
    assert status.failure.is_caused_by(ValueError)

    patient = await client.start_new(patient_trip, client_input=30)
    assert (await client.wait_for_completion(patient, timeout=60)).output == "ticket for reservation of car"

    cities = await client.start_new(tour, client_input=["Rome", "Oslo", "Bern"])
    assert len(str((await client.wait_for_completion(cities, timeout=60)).output).split(",")) == 3

    boat = await client.start_new(race)
    assert (await client.wait_for_completion(boat, timeout=60)).output == "ticket for reservation of boat"
