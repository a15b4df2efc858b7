"""Delayed starts, and the time limit of a whole run.

Both are properties of the instance row, so they hold over hosts, crashes and continue-as-new. A reminder wakes up the
instance, as for any timer: a reminder that is early is armed again, a lost one is replaced by recovery. This module
uses the row and the inbox, and not the orchestrator's code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from ...errors import InvalidInputError
from ...hub.inbox import InboxKind, InboxRow
from ...hub.instance_row import Instance
from ...moments import after, in_utc, problem_of_moment, problem_of_time
from .delivery import Delivery

CLOCK_TASK = 0
"""Task id of the reminder that is about the instance itself: calls are numbered from 1."""

_ENDINGS = (InboxKind.TERMINATE, InboxKind.CANCEL)


def with_times(fresh: Instance, start_at: datetime | None, timeout: timedelta | None) -> Instance:
    """A new instance that begins at ``start_at`` and may run for ``timeout`` from then on. InvalidInputError."""
    if (problem := problem_of_moment(start_at)) is not None:
        raise InvalidInputError(f"start_at={start_at!r} {problem}")
    if start_at is not None:
        start_at = in_utc(start_at)
        if start_at <= fresh.created:
            start_at = None
    deadline = None
    if (problem := problem_of_time(timeout)) is not None:
        raise InvalidInputError(f"timeout={timeout!r} of a run {problem}")
    if timeout is not None:
        deadline = after(start_at or fresh.created, timeout)
    return fresh if start_at is None and deadline is None else fresh.but(start_at=start_at, deadline=deadline)


def is_early(instance: Instance, now: datetime) -> bool:
    """Whether the time of its delayed start has not come yet."""
    return _is_new(instance) and instance.start_at is not None and instance.start_at > now


def is_overdue(instance: Instance, now: datetime) -> bool:
    """Whether the time limit of the whole run is over."""
    return instance.deadline is not None and instance.deadline <= now


def next_look(instance: Instance) -> datetime | None:
    """When the instance needs a wake-up for its start or its time limit; None: never."""
    if _is_new(instance) and instance.start_at is not None:
        return instance.start_at
    return instance.deadline


def look_to_arm(before: Instance, after: Instance, batch: Iterable[Delivery], *, again: bool) -> datetime | None:
    """The time of the next wake-up for start or time limit, if this turn must arm a reminder for it.

    This turn must if it is the first one, if a reminder was early by this host's clock, or if an earlier commit may not
    have been dispatched (``again``).
    """
    if (after.start_at is None and after.deadline is None) or after.is_terminal:
        return None
    begins = _is_new(before) and not after.is_unstarted
    early = any(reminder.task_id == CLOCK_TASK for delivery in batch for reminder in delivery.message.reminders)
    return next_look(after) if begins or early or again else None


def ending_before_start(instance: Instance, rows: Sequence[InboxRow], *, early: bool) -> InboxRow | None:
    """The request that ends an instance before its code, or that of its next generation, has begun.

    A cancellation ends it only before the time of its start, when there is nothing to clean up; later the code receives
    it.
    """
    kinds = _ENDINGS if early else (InboxKind.TERMINATE,)
    return next((row for row in rows if row.kind in kinds), None)


def _is_new(instance: Instance) -> bool:
    return instance.is_unstarted and instance.generation == 0
