"""Gathers the new events of a turn: the start, inbox rows, results, due timers, in this order.

Before the start of a new generation come terminations and suspensions, as its code may end without any wait.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from ...engine.events import (
    CancelRequested,
    EventRaised,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    ExecutionTimedOut,
    Incoming,
    UpdateAccepted,
)
from ...engine.executor import OrchestrationExecutor, Turn
from ...engine.updates import MAX_OPEN
from ...hub.attempts import KeptAttempts
from ...hub.inbox import InboxKind, InboxRow
from ...hub.instance_row import Instance
from ...hub.messages import ControlMessage
from ...lazy_dataclass import dataclass
from ...models import JSON
from ...storage.accounts import charge
from .cached import CachedOrchestrator
from .delivery import Delivery, longest
from .freshness import is_of_this_execution
from .retries import Results, Told
from .services import Services
from .start_and_deadline import ending_before_start, is_early, is_overdue
from .wakeups import DueReminders, due_reminders

INBOX_BATCH = 90  # a transaction holds a hundred rows
UPDATES_BATCH = 28  # updates in one turn: each deletes one row and changes one, and all that are open may end in it
TURN_CHARS = 8 * 1024 * 1024  # of JSON from the inbox; after that the rest waits for the next turn


@dataclass(slots=True)
class Mail:
    """The inbox as read. rows: to consume now, in order. stale: rows of another execution. more: whether there are
    more."""

    rows: list[InboxRow]
    stale: list[InboxRow]
    more: bool

    @classmethod
    def sort(cls, inbox: Sequence[InboxRow], instance: Instance) -> Mail:
        ours = sorted((row for row in inbox if is_for(row, instance)), key=lambda row: row.order)
        stale = [row for row in inbox if not is_for(row, instance)]
        taken = ours[:INBOX_BATCH]
        if instance.takes_updates:
            taken = taken[: INBOX_BATCH - MAX_OPEN]
            if any(row.kind is InboxKind.UPDATE for row in taken):
                taken = taken[:UPDATES_BATCH]
        return cls(taken, stale, len(ours) > len(taken))

    def leave_from(self, at: int) -> None:
        """Leave the rows from this one on for the next turn."""
        self.rows, self.more = self.rows[:at], True


@dataclass(slots=True)
class Gathered:
    """The new events, and the time of the turn. ``saved``: messages that were saved in the inbox, as if delivered
    now."""

    now: datetime
    mail: Mail
    results: Results
    reminders: DueReminders
    incoming: list[Incoming]
    saved: list[Delivery]

    def consumed(self, turn: Turn) -> list[str]:
        """Keys of the rows that the turn has handled. Rows after the end of a generation are left for the next one."""
        late = {event.event_id for event in turn.unapplied}
        return [row.key for row in self.mail.rows if row.kind is InboxKind.RESULTS or row.key not in late]


async def gather(
    services: Services, warm: CachedOrchestrator, batch: Sequence[Delivery], inbox: Sequence[InboxRow], *, again: bool
) -> Gathered:
    """Gather the new events for the orchestrator. ``again``: results of this batch may be recorded already."""
    instance, live, hub = warm.instance, warm.live, services.hub
    now = max(services.clock.now(), instance.updated)
    mail = Mail.sort(inbox, instance) if inbox else Mail([], [], False)
    outcomes: list[Told] = []
    incoming: list[Incoming] = [*live.told_again]
    saved: list[Delivery] = []
    kept = KeptAttempts(instance.tries, hub.payloads.encoding)
    is_unstarted = instance.is_unstarted
    early = is_unstarted and is_early(instance, now)
    ending = ending_before_start(instance, mail.rows, early=early) if is_unstarted and mail.rows else None
    if ending is not None:
        mail.rows = [ending]
    elif instance.deadline is not None and is_overdue(instance, now):
        incoming.append(ExecutionTimedOut(instance.deadline))
    elif early:
        mail.rows, mail.more = [], False  # they wait in the inbox
        return Gathered(now, mail, Results(kept, [], {}, set()), DueReminders(), incoming, saved)
    elif is_unstarted or (not live.started and _must_begin(live)):
        data = await hub.payloads.load(instance.instance_id, instance.input)
        slot = json.loads(instance.slot) if instance.slot else None
        incoming.append(ExecutionStarted(instance.name, instance.version, data, slot))
        if instance.carry is not None:
            incoming.extend((await hub.instances.carry(instance)).events)
    taken = 0
    for at, row in enumerate(mail.rows):
        if taken > TURN_CHARS:
            mail.leave_from(at)
            break
        text = await hub.payloads.load_text(instance.instance_id, row.data)
        taken += len(text)
        match row.kind:
            case InboxKind.EVENT:
                incoming.append(EventRaised(row.name, json.loads(text), row.key))
            case InboxKind.UPDATE:
                update_id, args = json.loads(text)
                incoming.append(UpdateAccepted(row.name, args, row.key, update_id))
            case InboxKind.TERMINATE:
                incoming.append(ExecutionTerminated(row.name, row.key, await is_recursive(services, row, instance)))
            case InboxKind.CANCEL:
                incoming.append(CancelRequested(row.name, row.key, await is_recursive(services, row, instance)))
            case InboxKind.SUSPEND:
                incoming.append(ExecutionSuspended(row.name, row.key))
            case InboxKind.RESUME:
                incoming.append(ExecutionResumed(row.name, row.key))
            case InboxKind.RESULTS:
                message = await hub.read_message(json.loads(text))
                if isinstance(message, ControlMessage):
                    charge(message.operations)
                    outcomes.extend(Told(outcome, True, message.rewinds) for outcome in message.outcomes)
                    lease = longest(batch)
                    saved.append(Delivery(message=message, lease=lease, redelivered=message.redelivered))
    for delivery in batch:
        if is_of_this_execution(delivery.message, instance):
            redelivered, rewinds = delivery.redelivered or again, delivery.message.rewinds
            for outcome in delivery.message.outcomes:
                outcomes.append(Told(outcome, redelivered, rewinds))
    reminders = due_reminders(live, instance, [*batch, *saved] if saved else batch, now)
    results = services.retry_decider.decide(
        outcomes, instance, live, now, hub.ids.unit, kept, is_deadline=reminders.is_deadline
    )
    incoming.extend(results.events)
    incoming.extend(live.due_timers(now))
    if (
        is_unstarted and instance.generation
    ):  # else code that continues as new without ever waiting would never receive it
        incoming.sort(key=lambda event: not isinstance(event, ExecutionSuspended | ExecutionResumed))
    return Gathered(now, mail, results, reminders, incoming, saved)


def _must_begin(live: OrchestrationExecutor) -> bool:
    """Whether a rewind has left nothing of the generation that has not started: it was ended before it began."""
    return live.is_rewound and not any(isinstance(event, ExecutionStarted) for event in live.told_again)


def is_for(row: InboxRow, instance: Instance) -> bool:
    """Whether an inbox row is for this execution, and a request for its present run: one that was meant to end a failed
    run must not end the next (rules R9, R26)."""
    if row.execution_id != instance.execution_id:
        return False
    return not row.kind.is_request or row.rewinds >= instance.rewinds


def is_kept(row: InboxRow, instance: Instance) -> bool:
    """Whether a row stays in the inbox of an instance that has ended: a rewind will tell it (rule R26)."""
    return row.kind is InboxKind.EVENT and row.execution_id == instance.execution_id


async def is_recursive(services: Services, row: InboxRow, instance: Instance) -> bool:
    asked: dict[str, JSON] | None = await services.hub.payloads.load(instance.instance_id, row.data)
    return asked is not None and bool(asked.get("recursive"))
