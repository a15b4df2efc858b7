"""Streams: an activity writes the answer of a model while it is made, and readers get each part at once."""

import asyncio
from datetime import timedelta

from durable_core import (
    ActivityContext,
    DurableClient,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    StreamChunk,
    StreamEnded,
    StreamRestarted,
    activity,
    orchestrator,
)

TOKENS = ["All", " happy", " families", " are", " alike", "."]


@activity(retry=RetryPolicy(first_interval=timedelta(seconds=1)))
async def answer(ctx: ActivityContext, question: str) -> str:
    stream = ctx.stream("answer")
    text = ""
    for token in TOKENS:  # async for token in the model's own stream
        await asyncio.sleep(0.2)
        await stream.write(token)
        text += token
        if ctx.attempt == 1 and token == " are":
            raise ConnectionError("the model's service has hung up")
    return text  # ends the stream, too


@orchestrator
def chat(ctx: OrchestrationContext, question: str) -> Orchestration[str]:
    return (yield from ctx.call_activity(answer, question))


async def example(client: DurableClient) -> None:
    instance_id = await client.start_new(chat, client_input="How does it begin?")
    shown, restarts = "", 0
    async for event in client.stream(instance_id, "answer"):
        match event:
            case StreamChunk():
                shown += str(event.data)
            case StreamRestarted():  # another attempt writes the answer anew
                shown, restarts = "", restarts + 1
            case StreamEnded():
                assert event.is_complete
    assert (shown, restarts) == ("All happy families are alike.", 1)
    status = await client.wait_for_completion(instance_id, timeout=60)
    assert status.output == shown
