"""Wait for a person, but not for ever. Waiting holds no thread, no process and no memory."""

from __future__ import annotations

from datetime import timedelta

from durable_core import DurableClient, Orchestration, OrchestrationContext, activity, orchestrator


@activity
def ask_manager(request: str) -> None:
    """A real one sends a mail with links that raise the event."""


@activity
def remind_manager(request: str) -> None: ...


@orchestrator
def approval(ctx: OrchestrationContext, request: str) -> Orchestration[str]:
    yield from ctx.call_activity(ask_manager, request)
    answer = ctx.wait_for_external_event("Decision", bool)
    reminder = ctx.create_timer(timedelta(days=1))
    deadline = ctx.create_timer(timedelta(days=3))

    if (yield from ctx.task_any([answer, reminder])) is reminder:
        yield from ctx.call_activity(remind_manager, request)
        if (yield from ctx.task_any([answer, deadline])) is deadline:
            return "expired"
    reminder.cancel()
    deadline.cancel()
    return "approved" if answer.result else "rejected"


async def example(client: DurableClient) -> None:
    heard = await client.start_new(approval, client_input="a new chair")
    await client.raise_event(heard, "Decision", True)
    status = await client.wait_for_completion(heard, timeout=60)
    assert status.output == "approved"

    unheard = await client.start_new(approval, client_input="a golden chair")
    status = await client.wait_for_completion(unheard, timeout=4 * 24 * 3600)
    assert status.output == "expired"
