"""What went wrong keeps its type, its chain of causes and its stack, over activity, orchestrator, parent and client."""

from __future__ import annotations

from durable_core import (
    ActivityFailedError,
    NonRetriableError,
    Orchestration,
    OrchestrationContext,
    SubOrchestrationFailedError,
    activity,
    orchestrator,
)
from durable_core.runtime.client import DurableClient


class CardRefused(NonRetriableError):
    """No retry can mend this; no retry policy will try."""

    def __init__(self, card: str, *, code: int) -> None:  # however it is made: it travels as data
        super().__init__(f"card {card} refused with code {code}")


@activity
def charge(card: str) -> str:
    try:
        raise ConnectionResetError("the terminal hung up")
    except ConnectionError as error:
        raise CardRefused(card, code=51) from error


@orchestrator
def pay(ctx: OrchestrationContext, card: str) -> Orchestration[str]:
    return (yield from ctx.call_activity(charge, card))  # not caught: the instance fails


@orchestrator
def order(ctx: OrchestrationContext, card: str) -> Orchestration[str]:
    try:
        return (yield from ctx.call_sub_orchestrator(pay, card))
    except SubOrchestrationFailedError as error:
        if not error.is_caused_by(CardRefused):  # by type, by base class, or by name: "CardRefused"
            raise
        assert error.is_caused_by(OSError)  # a ConnectionResetError is one, and it is in the chain of causes
        return f"pay in cash: {error.failure.cause.message if error.failure.cause else ''}"


@orchestrator
def careless_order(ctx: OrchestrationContext, card: str) -> Orchestration[str]:
    try:
        yield from ctx.call_activity(charge, card)
    except ActivityFailedError as error:
        raise LookupError("no other way to pay") from error
    return "paid"


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(order, client_input="1234")
    status = await client.wait_for_completion(instance_id, timeout=60)
    assert status.output == "pay in cash: card 1234 refused with code 51"

    instance_id = await client.start_new(careless_order, client_input="1234")
    status = await client.wait_for_completion(instance_id, timeout=60)
    failure = status.failure
    assert failure is not None
    assert failure.type == "LookupError"
    assert failure.is_caused_by(CardRefused)
    assert failure.is_caused_by(ConnectionError)
    assert 'raise LookupError("no other way to pay")' in failure.stack_trace
    refused = failure.cause.cause if failure.cause else None  # ActivityFailedError, then what the activity raised
    assert refused is not None
    assert not refused.retriable
    assert "raise CardRefused" in refused.stack_trace  # the stack of another process
