"""When an instance may begin and when it must have ended: delayed starts and the time allowed to a whole run.

Both are properties of the instance row, so they hold over hosts, crashes and continue-as-new. What wakes the instance
for them is only a reminder, as for any timer: one that comes early is armed again, one that is lost is made up for by
recovery. Knows the row and the inbox, and nothing of the orchestrator's code.
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
    return fresh.but(start_at=start_at, deadline=deadline)


def is_early(instance: Instance, now: datetime) -> bool:
    """Whether the time for its delayed start has not come."""
    return _is_new(instance) and instance.start_at is not None and instance.start_at > now


def is_overdue(instance: Instance, now: datetime) -> bool:
    """Whether the time allowed to the whole run is over."""
    return instance.deadline is not None and instance.deadline <= now


def next_look(instance: Instance) -> datetime | None:
    """When the instance must be looked at for its own sake, whatever its tasks do."""
    if _is_new(instance) and instance.start_at is not None:
        return instance.start_at
    return instance.deadline


def look_to_arm(before: Instance, after: Instance, batch: Iterable[Delivery], *, again: bool) -> datetime | None:
    """When the next look at the instance itself is due, if this turn must see to it.

    It must when it is the first, when a reminder came before its time by this host's clock, and when an earlier commit
    may not have been dispatched (``again``).
    """
    if (after.start_at is None and after.deadline is None) or after.is_terminal:
        return None
    begins = _is_new(before) and not after.is_unstarted
    early = any(reminder.task_id == CLOCK_TASK for delivery in batch for reminder in delivery.message.reminders)
    return next_look(after) if begins or early or again else None


def ending_before_start(instance: Instance, rows: Sequence[InboxRow], *, early: bool) -> InboxRow | None:
    """The request that ends an instance whose code has not begun, or not begun anew, and therefore never will.

    A cancellation is the code's to answer once its time has come; before that there is nothing to clean up.
    """
    kinds = _ENDINGS if early else (InboxKind.TERMINATE,)
    return next((row for row in rows if row.kind in kinds), None)


def _is_new(instance: Instance) -> bool:
    return instance.is_unstarted and instance.generation == 0
