"""Whether the cached orchestrator may be used for a turn, or must be loaded and replayed again (rules R1 to R3, R5)."""

from __future__ import annotations

from collections.abc import Sequence

from ...engine.events import TimerCreated
from ...engine.executor import OrchestrationExecutor
from ...hub.instance_row import Instance
from ...hub.messages import ControlMessage, Reminder, TaskOutcome
from .delivery import Delivery


def brings_unknown(live: OrchestrationExecutor, instance: Instance, batch: Sequence[Delivery]) -> bool:
    """Whether a delivery names a call that the cached state does not know, so that the instance must be loaded (R1)."""
    for delivery in batch:
        if delivery.message.execution_id != instance.execution_id:
            return True
        if is_of_later_run(delivery.message, instance):
            return True
        for generation, task_id in delivery.tasks:
            if generation > instance.generation:
                return True
            if generation == instance.generation and live.knows(task_id) == "unknown":
                return True
    return False


def is_of_later_run(message: ControlMessage, instance: Instance) -> bool:
    """Whether the execution was rewound since this state was cached: what it takes for done may be open (rule R22)."""
    return message.rewinds > instance.rewinds


def needs_row_check(live: OrchestrationExecutor, batch: Sequence[Delivery]) -> bool:
    """Whether the cached state must be compared with the row before it may be used (rule R2).

    True for bare wake-ups; for messages of a redispatch, as another host may have made the commit; and for reminders of
    the next attempt of a task: the retry state is not in the history, so the row of another host may be newer.
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
    """Whether the cached state must be discarded: the message may stem from a commit by a host that crashed right after
    it, which this process has not seen (rule R5)."""
    return any(delivery.redelivered for delivery in batch)


def is_stale(instance: Instance, etag: str | None) -> bool:
    """Whether the row has changed since the cached state was built from it (rule R2)."""
    return instance.etag != etag


def is_of_this_execution(message: ControlMessage, instance: Instance) -> bool:
    """Whether the content of a message is for this execution of the instance (rule R8)."""
    return message.execution_id == instance.execution_id


def is_of_this_generation(entry: TaskOutcome | Reminder, instance: Instance) -> bool:
    """Whether an entry of a message is for this generation: task ids start from 1 in each generation (rule R8)."""
    return entry.generation == instance.generation
