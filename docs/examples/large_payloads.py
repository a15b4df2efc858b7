"""Values of up to 10 MB of JSON travel like small ones; above that there is an error where the value was given.

(`DURABLE_MAX_PAYLOAD` sets the limit in bytes. What is larger belongs into a blob, and its address into the message.)
"""

from __future__ import annotations

from durable_core import Orchestration, OrchestrationContext, PayloadTooLargeError, activity, orchestrator
from durable_core.runtime.client import DurableClient

MIB = 1024 * 1024


@activity
def page(size: int) -> str:
    return "x" * size


@orchestrator
def book(ctx: OrchestrationContext, title: str) -> Orchestration[str]:
    pages = yield from ctx.task_all([ctx.call_activity(page, 2 * MIB) for _ in range(3)])
    text = "".join(pages)
    try:
        yield from ctx.call_activity("page", text * 2)  # refused here, at this line, before anything is stored
    except PayloadTooLargeError as error:
        assert error.limit == 10 * MIB
    return text


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(book, client_input="t" * (9 * MIB))
    status = await client.wait_for_completion(instance_id, timeout=600)
    assert len(status.output) == 6 * MIB

    try:
        await client.start_new(book, client_input="t" * (11 * MIB))
    except PayloadTooLargeError as error:
        assert "store the data elsewhere" in str(error)
    else:
        raise AssertionError("over the limit")
    assert await client.purge_instance_history(instance_id) == 1  # collects what was stored apart, too
