"""What must be true when a simulated run has come to rest, whatever happened on the way."""

from __future__ import annotations

import asyncio
from collections import Counter

from durable_core.hub.catalog import CLOSED, OPEN
from durable_core.models import JSON, OrchestrationStatus
from durable_core.testing.world import World

from .scenarios import Effects

_ENDS = {"TaskCompleted", "TaskFailed", "TimerFired", "SubOrchestrationCompleted", "SubOrchestrationFailed"}
_BEGINS = {"TaskScheduled", "TimerCreated", "SubOrchestrationCreated"}


async def come_to_rest(world: World) -> None:
    """Wait until every instance has ended and no message is left, not even a set-aside one."""
    names = world.outside.hub.names
    left: list[int] = []
    pending: list[OrchestrationStatus] = []
    for _ in range(200):
        left = [await world.storage.queue(name).count() for name in [*names.queues, *names.poison_queues]]
        pending = [s for s in await world.client.get_status_all() if not s.is_terminal]
        if not any(left) and not pending:
            return
        await asyncio.sleep(60)
    raise AssertionError(f"not at rest: {left} messages, {[(s.instance_id, s.runtime_status) for s in pending]}")


async def check(world: World, effects: Effects, *, exactly_once: bool) -> None:
    """At rest: histories are valid, the catalogue agrees with the rows, every recorded activity has run."""
    recorded: set[str] = set()
    listed = await world.client.get_status_all()
    twice = [name for name, count in Counter(s.instance_id for s in listed).items() if count > 1]
    assert not twice, f"listed more than once: {twice}"
    catalog = world.outside.hub.catalog
    for shard in catalog.shards:
        assert not await catalog.read(shard, OPEN), "an ended instance is still listed as open"
    closed = [len(await catalog.read(shard, CLOSED)) for shard in catalog.shards]
    assert sum(closed) == len(listed), f"{closed} rows for {len(listed)} instances"
    for shown in listed:
        status = await world.client.get_status(shown.instance_id, show_history=True, show_history_output=True)
        assert status.runtime_status is shown.runtime_status, f"{status} is listed as {shown}"
        assert status.execution_id == shown.execution_id
        assert status.history_events is not None
        check_history(status.history_events)
        recorded |= _activities_ended(status, await _generation(world, status))
    missing = recorded - effects.runs.keys()
    assert not missing, f"recorded, but never run: {missing}"
    if exactly_once:
        again = {key: count for key, count in effects.runs.items() if count > 1}
        assert not again, f"run more than once without a fault: {again}"


def check_history(events: list[dict[str, JSON]]) -> None:
    """In order (see ``check_order``), begun at most once, and ended once and at last."""
    check_order(events)
    kinds = [event["EventType"] for event in events]
    assert kinds.count("ExecutionStarted") <= 1
    ends = [at for at, kind in enumerate(kinds) if kind in ("ExecutionCompleted", "ExecutionTerminated")]
    assert len(ends) == 1, f"{len(ends)} ends: {kinds}"


def check_order(events: list[dict[str, JSON]]) -> None:
    """Each result once and after its call, each inbox row once; also of an orchestration that goes on."""
    begun: set[JSON] = set()
    ended: set[JSON] = set()
    inbox: set[JSON] = set()
    for event in events:
        kind, task = event["EventType"], event.get("TaskId")
        if kind in _BEGINS:
            assert task not in begun, f"task {task} was scheduled twice"
            begun.add(task)
        elif kind in _ENDS:
            assert task in begun, f"task {task} ended before it was scheduled"
            assert task not in ended, f"the result of task {task} was recorded twice"
            ended.add(task)
        if row := event.get("EventId"):
            assert row not in inbox, f"inbox row {row} was recorded twice"
            inbox.add(row)


async def _generation(world: World, status: OrchestrationStatus) -> int:
    instance = await world.outside.hub.instances.get(status.instance_id)
    assert instance is not None
    return instance.generation


def _activities_ended(status: OrchestrationStatus, generation: int) -> set[str]:
    """Idempotency keys of the activities whose result the history holds."""
    events = status.history_events or []
    calls = {e["TaskId"] for e in events if e["EventType"] == "TaskScheduled"}
    done = {e["TaskId"] for e in events if e["EventType"] in ("TaskCompleted", "TaskFailed")}
    return {f"{status.execution_id}-{generation}-{task}" for task in calls & done}
