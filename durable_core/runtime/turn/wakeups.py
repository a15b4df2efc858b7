"""Handles reminders: messages that a timer, a retry or a deadline is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime

from ...engine.events import TimerCreated
from ...engine.executor import OrchestrationExecutor
from ...hub.instance_row import Instance
from ...lazy_dataclass import dataclass
from ...moments import from_epoch
from .delivery import Delivery
from .freshness import is_of_this_generation


@dataclass(slots=True)
class DueReminders:
    """The results of reminders besides due timers: next attempts to send, and tasks to be reminded of again later.

    is_deadline: calls may be overdue.
    """

    due_retries: set[int] = field(default_factory=lambda: set())
    early: dict[int, datetime] = field(default_factory=lambda: {})
    is_deadline: bool = False
    early_deadlines: dict[datetime, int] = field(default_factory=lambda: {})


NOTHING_DUE = DueReminders()
"""What most turns are reminded of. Nobody changes it."""


def due_reminders(
    live: OrchestrationExecutor, instance: Instance, batch: Sequence[Delivery], now: datetime
) -> DueReminders:
    """Find the attempts that are due. Reminders that are early by this host's clock are to be armed again."""
    found = NOTHING_DUE
    for delivery in batch:
        if not delivery.seen and not delivery.message.reminders:
            continue
        if found is NOTHING_DUE:
            found = DueReminders()
        found.due_retries |= {  # an attempt recorded as failed, by a host that may have died before it sent the next
            task_id
            for generation, task_id in delivery.seen
            if generation == instance.generation and task_id in live.pending and task_id in instance.retries
        }
        for reminder in delivery.message.reminders:
            if not is_of_this_generation(reminder, instance):
                continue
            if reminder.deadline is not None:  # of the task that it names, and of others that were called with it
                if (due := from_epoch(reminder.deadline)) > now:
                    found.early_deadlines[due] = reminder.task_id
                else:
                    found.is_deadline = True
                continue
            pending = live.pending.get(reminder.task_id)
            if pending is None:
                continue
            if isinstance(pending.event, TimerCreated):
                due = pending.event.fire_at
            elif (state := instance.retries.get(reminder.task_id)) is not None:
                due = state.next_try
                if due <= now:
                    found.due_retries.add(reminder.task_id)
            else:
                continue
            if due > now:
                found.early[reminder.task_id] = due
    return found
