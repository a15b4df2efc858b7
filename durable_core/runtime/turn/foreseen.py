"""The storage operations that a commit says in advance, for the next one may be another host's, or there is none.

They are those of others: of the senders of the inbox rows that it consumes, and of those who receive the messages that
come after the end; and those of this process after the commit. See ``operations`` for the rest.
"""

from __future__ import annotations

from datetime import timedelta

from ...engine.events import (
    ContinueAsNew,
    EntityCalled,
    LockRequested,
    SubOrchestrationCreated,
    TaskScheduled,
    TimerCanceled,
    TimerCreated,
)
from ...engine.executor import OrchestrationExecutor, Turn
from ...hub.inbox import InboxKind
from ...models import NO_OPERATIONS, Operations
from .cached import CachedOrchestrator
from .new_events import Gathered
from .operations import ON_A_MESSAGE, on_reminder

_LISTED = Operations(writes=1)
_LISTED_AGAIN = Operations(reads=1, writes=2)  # the row of the run before a rewind is looked for, and deleted
_LATE_REMINDER = Operations(reads=1)  # the host that receives a message after the end loads the instance
_LATE_RESULT = Operations(reads=1, messages=ON_A_MESSAGE)
_LATE_CALL = Operations(reads=1, messages=2 * ON_A_MESSAGE)  # the work message, and the message with its result


def by_others(gathered: Gathered, turn: Turn, live: OrchestrationExecutor) -> Operations:
    """Those of others: before the turn, and after the end if it ends the instance."""
    total = _by_senders(gathered, turn) if gathered.mail.rows else NO_OPERATIONS
    return total if live.completion is None else total.plus(_late_messages(live, turn))


def _by_senders(gathered: Gathered, turn: Turn) -> Operations:
    """Those of the senders of the inbox rows that this turn consumes: each has read the instance and written the row.
    (A row with results was written by an actor, in its account.)"""
    consumed = set(gathered.consumed(turn))
    sent = sum(row.kind is not InboxKind.RESULTS and row.key in consumed for row in gathered.mail.rows)
    return Operations(reads=sent, writes=sent)


def coming(
    warm: CachedOrchestrator, turn: Turn, gathered: Gathered, rows_from: timedelta, *, is_lone: bool
) -> Operations:
    """Those that this process does after the commit: the reminders of new timers, and the catalogue.

    rows_from: see ``LongTimers``. is_lone: the turn has called a lone activity.
    """
    total = NO_OPERATIONS
    for event in turn.outgoing:
        if type(event) is TimerCreated:
            total = total.plus(on_reminder(event.fire_at - gathered.now, rows_from))
    if warm.live.completion is None:
        if is_lone or warm.live.steps:
            return total
        return total if warm.listed is warm.status else total.plus(_LISTED)
    if isinstance(warm.live.completion, ContinueAsNew):
        return total
    return total.plus(after_the_end(warm.instance.rewinds))


def after_the_end(rewinds: int) -> Operations:
    """Those on the catalogue by the process that ends an instance."""
    return _LISTED_AGAIN if rewinds else _LISTED


def _late_messages(live: OrchestrationExecutor, turn: Turn) -> Operations:
    """If this turn ends the instance: those on messages for calls that are open then, or were given up in this turn."""
    if isinstance(live.completion, ContinueAsNew):
        return NO_OPERATIONS
    canceled = [event for event in turn.outgoing if type(event) is TimerCanceled]
    total = Operations(reads=len(canceled)) if canceled else NO_OPERATIONS
    for pending in live.pending.values():
        match pending.event:
            case TaskScheduled():
                total = total.plus(_LATE_CALL)
            case SubOrchestrationCreated() | EntityCalled() | LockRequested():
                total = total.plus(_LATE_RESULT)
            case TimerCreated():
                total = total.plus(_LATE_REMINDER)
    return total
