"""Asks the causes of one instance in order, and follows a sub-orchestration down to the root cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from ...definitions import SCHEDULE_NAME
from ...engine.slots import is_gate
from ...hub.taskhub import TaskHub
from ...hub.times import iso
from ...models import JSON, Wait
from . import beginning_and_end, calls, entities, held_up, messages, words
from .code_here import CodeHere
from .explanation import ChainLink, Explanation
from .facts import UNREADABLE, Facts, known_waits, read_facts
from .finding import ASK_ITS_WRITER, Finding, Rank
from .hosts import with_hosts

MAX_LEVELS = 8  # of sub-orchestrations that are followed
TOLD_WAITS = 3  # of the other things that the code waits for

Ask = Callable[[Facts], Finding | Awaitable[Finding | None] | None]


async def explain(hub: TaskHub, instance_id: str, now: datetime, code: CodeHere | None = None) -> Explanation:
    """Why the instance does not go on. ``code``: the app's code, if it is at hand.

    At most 2 reads for each instance on the way to the root cause, and 4 at that; see docs/operating.md. Raises
    StorageError.
    """
    try:
        facts = await read_facts(hub, instance_id, now, code)
    except UNREADABLE as error:
        return _of(
            instance_id,
            None,
            Finding(
                cause="unreadable",
                sentence=f"The rows of {words.name(instance_id)} cannot be read here: {words.plain(str(error))}.",
                action=ASK_ITS_WRITER,
            ),
        )
    if facts is None:
        return _of(instance_id, None, await beginning_and_end.without_row(hub, instance_id, now))
    finding = await _cause_of(facts)
    root, at, chain = finding, facts, list[ChainLink]()
    while root.below is not None and len(chain) < MAX_LEVELS:
        at = root.below
        root = await _cause_of(at)
        chain.append(ChainLink(at.id, root.sentence))
    if chain:
        below: JSON = {"instanceId": at.id, "cause": root.cause}
        which = "That one" if len(chain) == 1 else f"At the end of {len(chain)} levels is instance {words.name(at.id)}"
        finding = replace(
            finding,
            sentence=f"{finding.sentence} {which}: {root.sentence}",
            action=finding.action if finding.cause == "failed" else root.action,  # its children are rewound with it
            rank=root.rank,
            details={**finding.details, "root": below},
        )
    return replace(_of(instance_id, facts, finding), chain=tuple(chain))


def _of(instance_id: str, facts: Facts | None, finding: Finding) -> Explanation:
    return Explanation(
        instance_id=instance_id,
        runtime_status=None if facts is None else facts.instance.status,
        cause=finding.cause,
        sentence=finding.sentence,
        action=finding.action,
        details=finding.details,
        needs_somebody=finding.rank is Rank.NEEDS_SOMEBODY,
        waits=() if facts is None or facts.instance.is_terminal or facts.problem else known_waits(facts),
    )


_BEFORE_WAITS: tuple[Ask, ...] = (
    beginning_and_end.ended,
    held_up.stuck,
    beginning_and_end.unreadable,
    beginning_and_end.suspended,
    beginning_and_end.not_begun,
    held_up.does_not_fit,
    messages.unread,
)


async def _cause_of(facts: Facts) -> Finding:
    finding = await _first_cause(facts)
    return _with_notes(facts, finding if finding.below is not None else await with_hosts(facts, finding))


async def _first_cause(facts: Facts) -> Finding:
    for ask in _BEFORE_WAITS:
        found = ask(facts)
        finding = found if found is None or isinstance(found, Finding) else await found
        if finding is not None:
            return finding
    return await _what_it_waits_for(facts)


async def _what_it_waits_for(facts: Facts) -> Finding:
    waits = known_waits(facts)
    if not waits:
        return _between_turns()
    if facts.instance.name == SCHEDULE_NAME:
        waits = tuple(wait for wait in waits if wait.kind != "event")  # requests to the schedule, which need not come
        if not waits:
            return messages.paused_schedule(facts)
    found = [(wait, await _finding_of(facts, wait)) for wait in _asked(waits)]
    first = min(range(len(found)), key=lambda at: found[at][1].rank)
    finding = found[first][1]
    told = found[first][0]
    others = [
        _short(wait, facts.now)
        for wait in waits
        if wait is not told and ("progress" not in finding.details or (wait.name, wait.line) != (told.name, told.line))
    ]
    if others:
        told_once = words.listed(_counted(others), TOLD_WAITS)
        finding = replace(finding, sentence=f"{finding.sentence} It also waits for {told_once}.")
    return finding


def _counted(others: list[str]) -> list[str]:
    """Each once; those that are there several times with their number, such as the calls that wait for a limit."""
    return [each if count == 1 else f"{each} ({count:,} times)" for each, count in Counter(others).items()]


def _asked(waits: tuple[Wait, ...]) -> list[Wait]:
    """Those whose cause is looked for: only one of each kind that costs a read."""
    seen: set[str] = set()
    asked: list[Wait] = []
    for wait in waits:
        if wait.kind in ("timer", "event", "callback", "condition", "step") or wait.kind not in seen:
            asked.append(wait)
        seen.add(wait.kind)
    return asked


async def _finding_of(facts: Facts, wait: Wait) -> Finding:
    progress = calls.fan_out(facts, wait)
    if progress is None:
        return await _single(facts, wait)
    return calls.with_progress(await _single(facts, progress.wait), progress)


async def _single(facts: Facts, wait: Wait) -> Finding:
    match wait.kind:
        case "activity":
            return await calls.activity(facts, wait)
        case "retry":
            return await calls.retry(facts, wait)
        case "child":
            return await calls.child(facts, wait)
        case "timer":
            return calls.timer(facts, wait)
        case "step":
            return calls.step(facts, wait)
        case "entity":
            return await entities.operation(facts, wait)
        case "lock":
            return await entities.lock(facts, wait)
        case "event":
            return messages.event(facts, wait)
        case "callback":
            return messages.callback(facts, wait)
        case "condition":
            return messages.nothing(facts, wait) or messages.condition(facts, wait)


def _between_turns() -> Finding:
    """Nothing open is known: another version of durable_core committed last, and the code is not at hand."""
    return Finding(
        cause="unknown",
        sentence=(
            "It waits for an event or a condition, or its next turn is on the way: another version of durable_core, "
            "which committed last, did not record what this one can read."
        ),
        action="Ask a host of the app, whose code tells it.",
    )


def _short(wait: Wait, now: datetime) -> str:
    match wait.kind:
        case "timer":
            return "a timer" if wait.due is None else f"a timer {words.at(wait.due, now)}"
        case "condition":
            return "a condition"
        case "retry":
            return f"another attempt at {words.name(wait.name)}"
        case "child":
            return f"the sub-orchestration {words.name(wait.name)}"
        case "entity" if is_gate(wait.name):
            return f"a slot of limit {words.name(entities.limit_of(wait))}"
        case "entity":
            return f"operation {words.name(wait.name)}"
        case _:
            return f"the {wait.kind} {words.name(wait.name)}"


def _with_notes(facts: Facts, finding: Finding) -> Finding:
    """What else is decided about the instance: a cancellation, updates that are under way, and the time limit of the
    run."""
    instance, now = facts.instance, facts.now
    if instance.is_terminal:
        return finding
    notes: list[str] = []
    details = dict(finding.details)
    if facts.history.cancelled is not None:
        request, at = facts.history.cancelled
        why = f" ({words.name(request.reason)})" if request.reason else ""
        notes.append(f"Its cancellation was asked for {words.at(at, now)}{why}: its code cleans up.")
        details["cancelTime"] = iso(at)
    if updates := facts.history.index.open_updates:
        shown = [f"{words.name(each.event.name)}{words.since(each.since, now)}" for each in updates]
        notes.append(
            f"{words.count(len(updates), 'update')} {'is' if len(updates) == 1 else 'are'} under way: "
            f"{words.listed(shown, TOLD_WAITS)}."
        )
        details["updates"] = [
            {"name": words.plain(each.event.name), "since": iso(each.since)} for each in updates[:TOLD_WAITS]
        ]
    if instance.deadline is not None:
        passed = instance.deadline <= now
        notes.append(
            f"Its time limit was over {words.at(instance.deadline, now)}: its reminder is lost, or no host runs."
            if passed
            else f"The whole run ends {words.at(instance.deadline, now)}."
        )
        details["deadline"] = iso(instance.deadline)
    if not notes:
        return finding
    return replace(finding, sentence=" ".join([finding.sentence, *notes]), details=details)
