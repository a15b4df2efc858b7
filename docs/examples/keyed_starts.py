"""Starts with a key: one instance of a burst of starts, and one of all starts in a window."""

import asyncio
from datetime import timedelta
from typing import Any

from durable_core import (
    Debounce,
    Deduplicate,
    DurableClient,
    Orchestration,
    OrchestrationContext,
    activity,
    orchestrator,
)

indexed: list[str] = []
charged: list[str] = []


@activity
def build_index(text: str) -> str:
    indexed.append(text)
    return text


@activity
def charge(delivery: dict[str, Any]) -> str:
    charged.append(delivery["id"])
    return delivery["id"]


@orchestrator
def index(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
    return (yield from ctx.call_activity(build_index, text))


@orchestrator
def payment(ctx: OrchestrationContext, delivery: dict[str, Any]) -> Orchestration[str]:
    return (yield from ctx.call_activity(charge, delivery))


async def on_edit(client: DurableClient, document: str, text: str) -> str:
    # while somebody types, the index is not built: it is, half a minute after the last edit, at the latest after ten
    debounce = Debounce(key=document, period=timedelta(seconds=30), max_wait=timedelta(minutes=10))
    return await client.start_new(index, client_input=text, debounce=debounce)


async def on_webhook(client: DurableClient, delivery: dict[str, Any]) -> str:
    # the sender repeats a delivery for a day if it gets no answer
    deduplicate = Deduplicate(key=delivery["id"], window=timedelta(days=1))
    return await client.start_new(payment, client_input=delivery, deduplicate=deduplicate)


async def example(client: DurableClient) -> None:
    edits: list[str] = []
    for text in ("Dur", "Durable", "Durable core"):
        edits.append(await on_edit(client, "readme", text))
        await asyncio.sleep(5)
    assert len(set(edits)) == 1
    assert (await client.wait_for_completion(edits[0], timeout=120)).output == "Durable core"
    assert indexed == ["Durable core"]

    first = await on_webhook(client, {"id": "evt-1"})
    await client.wait_for_completion(first, timeout=60)
    assert await on_webhook(client, {"id": "evt-1"}) == first  # which has ended
    assert charged == ["evt-1"]
