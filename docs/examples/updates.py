"""Updates: change a running orchestration, and get the answer.

Over HTTP: POST /api/durabletask/instances/{id}/updates/book?updateId=...
"""

from __future__ import annotations

from durable_core import DurableClient, Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.errors import UpdateFailedError, UpdateRefusedError


@activity
def charge(guest: str) -> str:
    if guest == "mallory":
        raise ValueError("the card is declined")
    return f"receipt of {guest}"


@orchestrator
def dinner(ctx: OrchestrationContext, seats: int) -> Orchestration[list[str]]:
    guests: list[str] = []
    is_open = True

    def may_book(guest: str) -> None:
        if guest in guests:
            raise ValueError(f"{guest} has a seat already")

    def book(guest: str) -> Orchestration[str]:
        guests.append(guest)
        try:
            receipt = yield from ctx.call_activity(charge, guest)
        except Exception:
            guests.remove(guest)
            raise
        return f"seat {len(guests)} of {seats}, {receipt}"

    def close() -> int:
        nonlocal is_open
        is_open = False
        return len(guests)

    ctx.set_update_handler("book", book, validator=may_book)
    ctx.set_update_handler("close", close)
    yield from ctx.wait_condition(lambda: (not is_open or len(guests) >= seats) and ctx.all_updates_ended)
    return guests


async def example(client: DurableClient) -> None:
    dinner_id = await client.start_new(dinner, client_input=8)
    answer = await client.update(dinner_id, "book", "ada", update_id="web-71")
    assert answer == "seat 1 of 8, receipt of ada"
    assert await client.update(dinner_id, "book", "ada", update_id="web-71") == answer  # the same update, sent again

    try:
        await client.update(dinner_id, "book", "ada", update_id="web-72")
    except UpdateRefusedError as error:
        assert error.failure.message == "ada has a seat already"  # nothing of it is recorded
    try:
        await client.update(dinner_id, "book", "mallory")
    except UpdateFailedError as error:
        assert error.failure.is_caused_by(ValueError)  # the dinner goes on

    assert await client.update(dinner_id, "close") == 1
    status = await client.wait_for_completion(dinner_id, timeout=30)
    assert status.output == ["ada"]
    assert await client.update(dinner_id, "book", "ada", update_id="web-71") == answer  # after the end, too
