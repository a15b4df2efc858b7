"""Callbacks: a third party completes a task by a POST to a URL that needs no key and works once."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, TaskTimeoutError, activity, orchestrator
from durable_core.errors import CapabilityError, InstanceCompletedError

MAILS: dict[str, str] = {}


@activity
def ask_by_mail(mail: dict[str, str]) -> None:
    """Stands for a mail, a payment provider, a partner's API: whoever will call back."""
    MAILS[mail["to"]] = mail["url"]


@orchestrator
def sign_contract(ctx: OrchestrationContext, customer: str) -> Orchestration[str]:
    signature = ctx.callback("signature", str, timeout=timedelta(days=14))
    yield from ctx.call_activity(ask_by_mail, {"to": customer, "url": signature.url})
    try:
        name = yield from signature.task
    except TaskTimeoutError:
        return "not signed"
    yield from ctx.wait_for_external_event("Archived")
    return f"signed by {name}"


async def example(client: DurableClient) -> None:
    contract = await client.start_new(sign_contract, client_input="ada")
    while "ada" not in MAILS:
        await client.wait_for_completion(contract, timeout=0.1)

    # What the customer's click does: curl -X POST -H 'Content-Type: application/json' -d '"Ada"' URL
    await client.complete_callback(MAILS["ada"], "Ada")
    try:
        await client.complete_callback(MAILS["ada"], "Eve")
    except CapabilityError as error:
        assert error.gone  # over HTTP: 410
    await client.raise_event(contract, "Archived")
    status = await client.wait_for_completion(contract, timeout=30)
    assert status.output == "signed by Ada"
    with suppress(InstanceCompletedError):  # over HTTP: 410 as well
        await client.complete_callback(MAILS["ada"], "Eve")
