"""Whether the cached orchestrator may be used for a turn, or must be loaded and replayed again (rules R1 to R3, R5)."""

from __future__ import annotations

from collections.abc import Sequence

from ...engine.events import TimerCreated
from ...engine.executor import OrchestrationExecutor
from ...hub.instance_row import Instance
from ...hub.messages import ControlMessage, Reminder, TaskOutcome
from .delivery import Delivery


def brings_unknown(live: OrchestrationExecutor, instance: Instance, batch: Sequence[Delivery]) -> bool:
    """Whether a delivery tells of something the warm state has never heard of, so that it must be loaded (rule R1)."""
    for delivery in batch:
        if delivery.message.execution_id != instance.execution_id:
            return True
        for generation, task_id in delivery.tasks:
            if generation > instance.generation:
                return True
            if generation == instance.generation and live.knows(task_id) == "unknown":
                return True
    return False


def needs_row_check(live: OrchestrationExecutor, batch: Sequence[Delivery]) -> bool:
    """Whether the warm state must be compared with the row before it is believed (rule R2).

    For bare wake-ups; for redispatches, which are about commits that others may have made; and for reminders that are
    about the next attempt at a task: how far its retries have come is no event, another host may know better.
    """
    for delivery in batch:
        if delivery.is_bare or delivery.message.after is not None:
            return True
        for reminder in delivery.message.reminders:
            pending = live.pending.get(reminder.task_id)
            is_call = pending is not None and not isinstance(pending.event, TimerCreated)
            if is_call or reminder.task_id in live.steps:
                return True
    return False


def must_load_cold(batch: Sequence[Delivery]) -> bool:
    """Whether what is warm must not be believed: a redelivered message may be about commits, made for it by a host
    that died of them, which the warm state has never seen (rule R5)."""
    return any(delivery.redelivered for delivery in batch)


def is_stale(instance: Instance, etag: str | None) -> bool:
    """Whether the row has moved on since the warm state was made of it (rule R2)."""
    return instance.etag != etag


def is_of_this_execution(message: ControlMessage, instance: Instance) -> bool:
    """Whether what a message brings may be told to this life of the instance (rule R8)."""
    return message.execution_id == instance.execution_id


def is_of_this_generation(entry: TaskOutcome | Reminder, instance: Instance) -> bool:
    """The same, within an execution: task ids begin anew with each generation (rule R8)."""
    return entry.generation == instance.generation
