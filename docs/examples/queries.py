"""Queries: ask a running, suspended or ended orchestrator for what it knows, without disturbing it.

Over HTTP: GET /api/durabletask/instances/{id}/query/progress?args=...
"""

from __future__ import annotations

from typing import Any

from durable_core import DurableClient, Orchestration, OrchestrationContext, activity, orchestrator
from durable_core.errors import UnknownQueryError


@activity
def copy_file(name: str) -> int:
    return len(name)


@orchestrator
def backup(ctx: OrchestrationContext, files: list[str]) -> Orchestration[int]:
    copied: dict[str, int] = {}

    def progress() -> dict[str, Any]:
        return {"done": len(copied), "of": len(files)}

    def size_of(file: str) -> int | None:
        return copied.get(file)

    ctx.set_query_handler("progress", progress)
    ctx.set_query_handler("size", size_of)
    for file in files:
        copied[file] = yield from ctx.call_activity(copy_file, file)
    yield from ctx.wait_for_external_event("Unmount")
    return sum(copied.values())


async def example(client: DurableClient) -> None:
    backup_id = await client.start_new(backup, client_input=["a.txt", "bb.txt"])
    while (await client.query(backup_id, "progress"))["done"] < 2:
        await client.wait_for_completion(backup_id, timeout=0.1)
    assert await client.query(backup_id, "size", "bb.txt") == 6

    await client.raise_event(backup_id, "Unmount")
    await client.wait_for_completion(backup_id, timeout=30)
    assert await client.query(backup_id, "progress") == {"done": 2, "of": 2}  # an ended one answers too
    try:
        await client.query(backup_id, "speed")
    except UnknownQueryError as error:
        assert error.known == ("progress", "size")
