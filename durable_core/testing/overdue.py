"""Calls whose ``schedule_to_close`` passed: a crash test names them apart from activities that are not idempotent."""

from __future__ import annotations

from ..engine.events import TaskFailed, TaskScheduled
from ..errors import TaskTimeoutError
from ..models import type_name
from ..runtime.app import DurableApp
from .replay_check import entries


async def overdue_activities(app: DurableApp) -> frozenset[str]:
    """The names of activities with an overdue call in the history of any instance."""
    found: set[str] = set()
    for entry in await entries(app):
        instance = await app.hub.instances.read(entry.instance_id)
        if instance is None:
            continue
        names: dict[int, str] = {}
        for segment in await app.hub.instances.history(instance):
            for event in segment.events:
                if isinstance(event, TaskScheduled):
                    names[event.task_id] = event.name
                elif isinstance(event, TaskFailed) and event.task_id in names:
                    failure = event.failure
                    if failure.type == type_name(TaskTimeoutError) and "schedule_to_close" in failure.message:
                        found.add(names[event.task_id])
    return frozenset(found)
