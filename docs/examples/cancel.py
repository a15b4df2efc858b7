"""Cancel: the orchestrator cleans up, and so do its sub-orchestrations. Terminate does not ask."""

import asyncio

from durable_core import (
    DurableClient,
    Orchestration,
    OrchestrationContext,
    TaskCancelledError,
    activity,
    orchestrator,
)

booked: set[str] = set()


@activity
def book(what: str) -> str:
    booked.add(what)
    return what


@activity
def give_back(what: str) -> None:
    booked.discard(what)


@orchestrator
def hotel(ctx: OrchestrationContext, city: str) -> Orchestration[str]:
    room = yield from ctx.call_activity(book, f"room in {city}")
    try:
        yield from ctx.wait_for_external_event("confirmed by the hotel")
    except TaskCancelledError:
        yield from ctx.call_activity(give_back, room)  # clean-up may wait, like any other code
        raise  # the instance ends as Canceled; without this, as Completed
    return room


@orchestrator
def trip(ctx: OrchestrationContext, city: str) -> Orchestration[str]:
    flight = yield from ctx.call_activity(book, f"flight to {city}")
    done = False
    try:
        yield from ctx.call_sub_orchestrator(hotel, city, f"{ctx.instance_id}-hotel")
        done = True
    finally:
        if not done:
            yield from ctx.call_activity(give_back, flight)
    return flight


async def example(client: DurableClient) -> None:
    await client.start_new(trip, "trip-1", "Oslo")
    await asyncio.sleep(600)
    assert booked == {"flight to Oslo", "room in Oslo"}

    await client.cancel("trip-1", "the fair was called off")
    for instance_id in ("trip-1", "trip-1-hotel"):  # the request goes on to open sub-orchestrations
        status = await client.wait_for_completion(instance_id, timeout=60)
        assert status.runtime_status == "Canceled"
        assert status.output == "the fair was called off"
    assert not booked

    await client.start_new(trip, "trip-2", "Oslo")
    await client.terminate("trip-2", "no questions asked")
    status = await client.wait_for_completion("trip-2", timeout=60)
    assert status.runtime_status == "Terminated"
