"""Whether the cached orchestrator may be used for a turn, or must be loaded and replayed again (rules R1 to R3, R5);
and whether a turn waits, because another host works on the instance."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ...engine.events import TimerCreated
from ...engine.executor import OrchestrationExecutor
from ...hub.instance_row import Instance
from ...hub.messages import ControlMessage, Reminder, TaskOutcome
from .delivery import Delivery
from .start_and_deadline import CLOCK_TASK

CONTESTED = 1.0  # seconds after a conflict, in which another one is likely
GATHERING = 0.05  # seconds for which a turn waits then, so that it has more to do


def brings_unknown(live: OrchestrationExecutor, instance: Instance, batch: Sequence[Delivery]) -> bool:
    """Whether a delivery names a call that the cached state does not know, so that the instance must be loaded (R1)."""
    for delivery in batch:
        message = delivery.message
        if message.execution_id != instance.execution_id:
            return True
        if is_of_later_run(message, instance):
            return True
        for each in (*message.outcomes, *message.reminders):
            if _is_unknown(live, instance, each.generation, each.task_id):
                return True
        for generation, task_id in delivery.seen:
            if _is_unknown(live, instance, generation, task_id):
                return True
    return False


def _is_unknown(live: OrchestrationExecutor, instance: Instance, generation: int, task_id: int) -> bool:
    if generation == instance.generation:
        return live.knows(task_id) == "unknown"
    return generation > instance.generation


def is_of_later_run(message: ControlMessage, instance: Instance) -> bool:
    """Whether the execution was rewound since this state was cached: what it takes for done may be open (rule R22)."""
    return message.rewinds > instance.rewinds


def needs_row_check(live: OrchestrationExecutor, batch: Sequence[Delivery]) -> bool:
    """Whether the cached state must be compared with the row before it may be used (rule R2).

    True for bare wake-ups; for messages of a redispatch, as another host may have made the commit; for reminders of the
    next attempt of a task: the retry state is not in the history, so the row of another host may be newer; and for that
    of a start: a start with the same key may have put it off.
    """
    for delivery in batch:
        message = delivery.message
        if message.after is not None or not (message.outcomes or message.reminders or delivery.seen):
            return True
        for reminder in message.reminders:
            if reminder.task_id == CLOCK_TASK and not live.started:
                return True
            pending = live.pending.get(reminder.task_id)
            is_call = pending is not None and not isinstance(pending.event, TimerCreated)
            if is_call or reminder.task_id in live.steps:
                return True
    return False


def must_load_cold(batch: Sequence[Delivery]) -> bool:
    """Whether the cached state must be discarded: the message may stem from a commit by a host that crashed right after
    it, which this process has not seen (rule R5)."""
    for delivery in batch:  # noqa: SIM110  any() would cost each turn three calls
        if delivery.redelivered:
            return True
    return False


def is_stale(instance: Instance, etag: str | None) -> bool:
    """Whether the row has changed since the cached state was built from it (rule R2)."""
    return instance.etag != etag


def is_of_this_execution(message: ControlMessage, instance: Instance) -> bool:
    """Whether the content of a message is for this execution of the instance (rule R8)."""
    return message.execution_id == instance.execution_id


def is_of_this_generation(entry: TaskOutcome | Reminder, instance: Instance) -> bool:
    """Whether an entry of a message is for this generation: task ids start from 1 in each generation (rule R8)."""
    return entry.generation == instance.generation


async def gathers_more(until: float) -> bool:
    """Wait for ``GATHERING`` if the loop's time ``until`` has not come; whether it has not. Fewer turns, each with more
    in it, meet another host's less often."""
    if asyncio.get_running_loop().time() >= until:
        return False
    await asyncio.sleep(GATHERING)
    return True
