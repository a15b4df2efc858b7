"""A failed instance is run again: with the same input, from its beginning."""

from durable_core import DurableClient, Orchestration, OrchestrationContext, activity, orchestrator

refused = {"card-1"}


@activity
def charge(card: str) -> str:
    if card in refused:
        raise ValueError(f"{card} is refused")
    return f"{card} paid"


@orchestrator
def pay(ctx: OrchestrationContext, card: str) -> Orchestration[str]:
    paid = yield from ctx.call_activity(charge, card)
    return paid


async def example(client: DurableClient) -> None:
    order = await client.start_new(pay, client_input="card-1")
    status = await client.wait_for_completion(order, timeout=60)
    assert status.runtime_status == "Failed"

    refused.clear()
    again = await client.restart(order)  # the same input
    status = await client.wait_for_completion(again, timeout=60)
    assert status.output == "card-1 paid"
    assert status.restarted_from is not None
    assert status.restarted_from.instance_id == order

    other = await client.restart(order, client_input="card-2")
    status = await client.wait_for_completion(other, timeout=60)
    assert status.output == "card-2 paid"
