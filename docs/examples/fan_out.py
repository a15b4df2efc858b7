"""Fan-out and fan-in: many activities at once, then one result of all of them."""

from __future__ import annotations

from durable_core import DurableClient, Orchestration, OrchestrationContext, activity, orchestrator


@activity(short=True)
def count_words(text: str) -> int:
    return len(text.split())


@orchestrator
def word_count(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[int]:
    # A task begins when it is called: all are under way before the first one is waited for.
    counts = yield from ctx.task_all([ctx.call_activity(count_words, text) for text in texts])
    return sum(counts)


@orchestrator
def gentle_word_count(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[int]:
    # A generator is pulled as the earlier ones end, so that at most ten are under way.
    calls = (ctx.call_activity(count_words, text) for text in texts)
    counts = yield from ctx.task_all(calls, max_concurrency=10)
    return sum(counts)


async def example(client: DurableClient) -> None:
    texts = ["one two three"] * 200
    for orchestrator_ in (word_count, gentle_word_count):
        instance_id = await client.start_new(orchestrator_, client_input=texts)
        status = await client.wait_for_completion(instance_id, timeout=600)
        assert status.output == 600
