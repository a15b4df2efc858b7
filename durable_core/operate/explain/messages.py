"""Causes of an instance that waits for what others send it, and of one that nobody reads its inbox for."""

from __future__ import annotations

from datetime import timedelta
from difflib import SequenceMatcher

from ...engine.callbacks import name_of_callback
from ...engine.events import (
    EventRaised,
    ExecutionStarted,
    Incoming,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TimerFired,
    describe,
)
from ...hub.inbox import InboxKind
from ...hub.times import iso
from ...models import JSON, RuntimeStatus, Wait
from . import words
from .facts import Facts
from .finding import Finding, Rank

READ_BY = timedelta(seconds=90)  # after which a row of the inbox counts as unread: a host reads it within seconds
ALIKE = 0.65  # of two names, from 0 to 1
_NAMED = (InboxKind.EVENT, InboxKind.UPDATE)
COMPARED = 200  # names that are compared at most, the newest


async def unread(facts: Facts) -> Finding | None:
    """No host reads its inbox."""
    now = facts.now
    rows = [row for row in facts.inbox if now - row.timestamp > READ_BY and row.kind is not InboxKind.RESULTS]
    if not rows or facts.instance.status is RuntimeStatus.SUSPENDED:
        return None
    oldest = min(row.timestamp for row in rows)
    queue = facts.hub.control_queue(facts.id)
    depth, partitions = await queue.count(), facts.hub.names.partitions
    kinds = sorted({row.kind.value if row.kind in _NAMED else f"request to {row.kind.value}" for row in rows})
    what = words.count(len(rows), "message") if len(kinds) > 1 else words.count(len(rows), kinds[0])
    return Finding(
        cause="inbox-unread",
        sentence=(
            f"{what} in its inbox {'is' if len(rows) == 1 else 'are'} unread{words.since(oldest, now)}: no host takes "
            f"its messages. Queue {queue.name} holds about {depth:,}; the hub has "
            f"{words.count(partitions, 'partition')}."
        ),
        action=(
            "See that a host runs with this hub, this store and the same number of partitions, and that its control "
            "function is not disabled. If the queue is empty, run `durable_core recover`."
        ),
        details={"unread": len(rows), "since": iso(oldest), "queue": queue.name, "depth": depth},
        rank=Rank.NEEDS_SOMEBODY,
    )


def event(facts: Facts, wait: Wait) -> Finding:
    """It waits for an external event; perhaps it came under another name."""
    details: dict[str, JSON] = {"name": words.plain(wait.name), "line": words.plain(wait.line)}
    details |= {} if wait.since is None else {"since": iso(wait.since)}
    sentence = (
        f"It waits for the event {words.name(wait.name)}{words.line(wait.line)}{words.since(wait.since, facts.now)}."
    )
    action = f"Raise it: {words.command('raise', facts.id, wait.name)}."
    rank = Rank.PATIENCE
    alike, others = _came_instead(facts, wait.name)
    if alike:
        details["alike"] = [words.plain(each, words.NAME_CHARS) for each in alike]
        kept = "Came and kept" if _knows_kept(facts) else "Came"
        sentence += (
            f" {kept}: {words.listed([words.name(each) for each in alike], 3)} - did the sender mean this event?"
        )
        action = f"Raise it under the name that the code waits for: {words.command('raise', facts.id, wait.name)}."
        rank = Rank.NEEDS_SOMEBODY
    elif others and _knows_kept(facts):
        details["kept"] = [words.plain(each, words.NAME_CHARS) for each in others[:5]]
        sentence += f" Came and kept: {words.listed([words.name(each) for each in others], 3)}."
    return Finding(cause="event", sentence=sentence, action=action, details=details, rank=rank)


def paused_schedule(facts: Facts) -> Finding:
    """A schedule that waits for no due time and no run."""
    schedule_id = facts.id.partition(":")[2]
    return Finding(
        cause="paused",
        sentence="The schedule is paused: it starts no runs.",
        action=f"Resume it when it is to run again: {words.command('schedules resume', schedule_id)}.",
        details={"scheduleId": words.plain(schedule_id, words.NAME_CHARS)},
    )


def callback(facts: Facts, wait: Wait) -> Finding:
    """It waits until somebody calls the URL of a callback."""
    return Finding(
        cause="callback",
        sentence=(
            f"It waits until the URL of its callback {words.name(wait.name)} is called{words.line(wait.line)}"
            f"{words.since(wait.since, facts.now)}."
        ),
        action="Ask the partner who was given the URL.",
        details={"name": words.plain(wait.name), "line": words.plain(wait.line)},
    )


def condition(facts: Facts, wait: Wait) -> Finding:
    """It waits until a condition over its own variables holds."""
    looked = ""
    if facts.history.last is not None:
        last, at = facts.history.last
        looked = f" It was last checked after {_told(facts, last)} {words.at(at, facts.now)}."
    where = f" at {words.plain(wait.line)}" if wait.line else ""
    return Finding(
        cause="condition",
        sentence=f"It waits{where} for a condition{words.since(wait.since, facts.now)}.{looked}",
        action="Send the events or updates, or let the calls end, that change the variables of the condition.",
        details={"line": words.plain(wait.line)},
    )


def _told(facts: Facts, event: Incoming) -> str:
    """What came last, in words."""
    match event:
        case EventRaised(name=name):
            return f"event {words.name(name)} came"
        case ExecutionStarted():
            return "its beginning"
        case (
            TaskCompleted(task_id=task_id)
            | TaskFailed(task_id=task_id)
            | SubOrchestrationCompleted(task_id=task_id)
            | SubOrchestrationFailed(task_id=task_id)
            | TimerFired(task_id=task_id)
            | StepCompleted(task_id=task_id)
        ):
            call = facts.history.calls.get(task_id)
            return f"task {task_id}{f' ({words.name(call.name)})' if call is not None and call.name else ''} ended"
        case _:
            return words.plain(describe(event), words.NAME_CHARS)


def nothing(facts: Facts, wait: Wait) -> Finding | None:
    """It waits for a condition whose variables nothing can change, as the code at hand shows."""
    replayed = facts.replayed
    if replayed is None or replayed.problem or replayed.can_change:
        return None
    where = f" at {words.plain(replayed.waits_at)}" if replayed.waits_at else ""
    return Finding(
        cause="nothing",
        sentence=(
            f"It waits{where} for nothing: for a condition, and no open call, awaited event or handler can change its "
            "variables."
        ),
        action=(
            f"Terminate it ({words.command('terminate', facts.id)}), and mend the code; a new version or ctx.patched "
            "keeps other instances going (docs/versioning.md)."
        ),
        details={"line": words.plain(replayed.waits_at or wait.line)},
        rank=Rank.NEEDS_SOMEBODY,
    )


# ---------------------------------------------------------------- names


def _knows_kept(facts: Facts) -> bool:
    return facts.replayed is not None and not facts.replayed.problem


def _came_instead(facts: Facts, awaited: str) -> tuple[list[str], list[str]]:
    """Names of events that came and are not the awaited one: those that are alike, the most alike first; the others.

    With the code at hand those that it has not received; else all of this generation.
    """
    if facts.replayed is not None and _knows_kept(facts):
        came = list(facts.replayed.kept_events)
    else:
        came = [raised.name for raised, _ in facts.history.came]
    came += [row.name for row in facts.inbox if row.kind is InboxKind.EVENT]
    names = [name for name in dict.fromkeys(reversed(came)) if name_of_callback(name) is None][:COMPARED]
    names = [name for name in names if name.casefold() != awaited.casefold()]
    scored = sorted(((_likeness(name, awaited), name) for name in names), key=lambda each: -each[0])
    return [name for score, name in scored if score >= ALIKE], [name for score, name in scored if score < ALIKE]


def _likeness(one: str, other: str) -> float:
    """From 0 to 1; names that differ in case, separators or a plural are alike."""
    left, right = (_letters(name)[: words.NAME_CHARS] for name in (one, other))
    return 1.0 if left == right else SequenceMatcher(None, left, right).ratio()


def _letters(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
