"""A journaled activity: plain asyncio code whose steps are recorded, with an approval that may take days."""

import asyncio
from datetime import timedelta

from durable_core import DurableClient, JournalContext, RetryPolicy, StepFailedError, TaskTimeoutError, activity

BOOKED: list[str] = []


async def book_flight(city: str) -> str:
    BOOKED.append(f"flight to {city}")
    return "flight-1"


async def book_hotel(city: str) -> str:
    BOOKED.append(f"hotel in {city}")
    return "hotel-1"


def cancel(booking: str) -> None:
    BOOKED.append(f"cancel {booking}")


async def charge(amount: int) -> str:
    raise ConnectionError("the bank does not answer")


@activity(journal=True)
async def book_trip(ctx: JournalContext, city: str) -> str:
    flight, hotel = await asyncio.gather(
        ctx.step("flight", book_flight, city, retry=RetryPolicy(max_attempts=5)),
        ctx.step("hotel", book_hotel, city),
    )
    try:
        await ctx.wait_for_event("Approved", timeout=timedelta(days=3))  # nothing runs meanwhile
        await ctx.step("charge", charge, 100)
    except (TaskTimeoutError, StepFailedError):
        for booking in (flight, hotel):
            await ctx.step("cancel", cancel, booking)
        return "cancelled"
    return "booked"


async def example(client: DurableClient) -> None:
    instance_id = await client.enqueue(book_trip, "Rome")
    await client.raise_event(instance_id, "Approved")
    status = await client.wait_for_completion(instance_id, timeout=60)
    assert status.output == "cancelled"
    assert sorted(BOOKED) == ["cancel flight-1", "cancel hotel-1", "flight to Rome", "hotel in Rome"]
