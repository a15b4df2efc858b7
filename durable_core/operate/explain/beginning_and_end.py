"""Causes of an instance that does not exist, has not begun, is suspended, or has ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

from ...engine.events import (
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskFailed,
)
from ...hub.catalog import OPEN
from ...hub.inbox import InboxKind
from ...hub.names import shard_of
from ...hub.payloads import PayloadGoneError
from ...hub.taskhub import TaskHub
from ...hub.times import iso
from ...hub.waits import waits_in
from ...models import JSON, FailureDetails, RuntimeStatus
from ...storage.ports import Value
from . import words
from .facts import UNREADABLE, Facts, History, read_facts
from .finding import ASK_ITS_WRITER, NOTHING, RECOVER, Finding, Rank, in_need, patient

PENDING_PATIENCE = timedelta(minutes=2)  # after which recovery wakes up an instance that has not begun
ENTRY_PATIENCE = timedelta(minutes=15)  # after which recovery removes a catalogue row without an instance
DELIVERY = timedelta(minutes=1)  # that a message may take before it counts as lost
LISTED = 1000  # catalogue rows that are searched for an instance without a row: one read
NOT_THERE = frozenset({"no-instance", "start-interrupted"})  # the causes of an instance that has no row
Failing: TypeAlias = TaskFailed | SubOrchestrationFailed | StepCompleted
CHILDREN_READ = 3  # sub-orchestrations of an ended instance that are looked at


async def without_row(hub: TaskHub, instance_id: str, now: datetime) -> Finding:
    """There is no such instance; perhaps its start was interrupted."""
    shard = f"{shard_of(instance_id, hub.names.partitions):02}"
    entries = await hub.catalog.read(shard, OPEN, limit=LISTED)
    entry = next((entry for entry in entries if entry.instance_id == instance_id), None)
    if entry is None:
        return Finding(
            cause="no-instance",
            sentence=(
                f"There is no instance {words.name(instance_id)}; nothing shows whether it was purged or never began."
            ),
            action="Check the id, the task hub (DURABLE_HUB) and the store.",
        )
    removed = entry.created + ENTRY_PATIENCE
    return Finding(
        cause="start-interrupted",
        sentence=(
            f"There is no instance {words.name(instance_id)}, only its entry in the catalogue, made "
            f"{words.at(entry.created, now)}: its starter writes it at this moment, or died before it wrote it."
        ),
        action=f"Start it again if it is still wanted; recovery removes the entry {words.at(removed, now)}.",
        details={"created": iso(entry.created)},
    )


def unreadable(facts: Facts) -> Finding | None:
    """This host cannot read the rows of the instance."""
    if not facts.problem:
        return None
    return in_need(
        "unreadable",
        f"Its rows cannot be read here: {words.plain(facts.problem).rstrip('.')}.",
        {},
        ASK_ITS_WRITER,
    )


# ---------------------------------------------------------------- before the first turn


async def not_begun(facts: Facts) -> Finding | None:
    """No turn of this generation is committed yet."""
    instance, now = facts.instance, facts.now
    if not instance.is_unstarted:
        return None
    if instance.generation:
        return await _waits_for_a_turn(facts, instance.updated, f"Its generation {instance.generation} began")
    if instance.start_at is not None and instance.start_at > now:
        sentence = f"It begins {words.at(instance.start_at, now)}, as its starter asked."
        return patient("delayed-start", sentence, {"startTime": iso(instance.start_at)})
    if instance.start_at is not None:
        return await _waits_for_a_turn(facts, instance.start_at, "It was to begin")
    return await _waits_for_a_turn(facts, instance.created, "It was started")


async def _waits_for_a_turn(facts: Facts, begun: datetime, what: str) -> Finding:
    hub, now = facts.hub, facts.now
    queue = hub.control_queue(facts.id)
    depth = await queue.count()
    details: dict[str, JSON] = {"since": iso(begun), "queue": queue.name, "depth": depth}
    if now - begun <= PENDING_PATIENCE:
        sentence = f"{what} {words.at(begun, now)}; its message waits: about {depth:,} in queue {queue.name}."
        return patient("pending", sentence, details, f"{NOTHING}a host takes the message.")
    return in_need(
        "no-host",
        f"{what} {words.at(begun, now)}, and no host has taken it; queue {queue.name} holds about "
        f"{words.count(depth, 'message')}.",
        details,
        "See that a host runs with this hub and store, that its control function is not disabled, and what it logs. "
        "Recovery sends the message again every 5 minutes.",
    )


# ---------------------------------------------------------------- suspended


def suspended(facts: Facts) -> Finding | None:
    """It is suspended, and keeps what comes."""
    if facts.instance.status is not RuntimeStatus.SUSPENDED:
        return None
    now, history = facts.now, facts.history
    reason, moment = "", None
    if history.suspended is not None:
        event, moment = history.suspended
        reason = f": {words.name(event.reason)}" if event.reason else ""
    since = "" if moment is None else words.since(moment, now)
    requests = [row for row in facts.inbox if row.kind is not InboxKind.EVENT]
    events = sum(hasattr(each, "event_id") for each in history.held) + len(facts.inbox) - len(requests)
    results = sum(not hasattr(each, "event_id") for each in history.held)
    held = [words.count(events, "event")] * bool(events) + [words.count(results, "result")] * bool(results)
    resume = any(row.kind is InboxKind.RESUME for row in requests)
    return Finding(
        cause="suspended",
        sentence=f"It is suspended{since}{reason}. "
        + (f"It holds {' and '.join(held)}." if held else "Nothing has come for it since."),
        action=(
            f"{NOTHING}a request to resume it is on its way."
            if resume
            else f"Resume it, which lets them in: {words.command('resume', facts.id)}."
        ),
        details={"events": events, "results": results} | ({} if moment is None else {"since": iso(moment)}),
    )


# ---------------------------------------------------------------- ended


async def ended(facts: Facts) -> Finding | None:
    """It has ended; what ended it, and who does not know of it yet."""
    instance, now = facts.instance, facts.now
    if not instance.is_terminal:
        return None
    moment, status = instance.updated, instance.status
    details: dict[str, JSON] = {"endedTime": iso(moment)}
    action, rank, below = f"{NOTHING}it has ended.", Rank.PATIENCE, None
    match status:
        case RuntimeStatus.FAILED:
            told, more, below = await _what_failed(facts, await _stored(facts, instance.failure))
            details |= more
            sentence = f"It failed {words.at(moment, now)}: {told}"
            action = (
                f"Mend the cause, then let it go on from before its failure, {words.command('rewind', facts.id)}, or "
                f"start it again, {words.command('restart', facts.id)}."
            )
            rank = Rank.NEEDS_SOMEBODY
        case RuntimeStatus.COMPLETED:
            sentence = f"It completed {words.at(moment, now)}."
        case _:
            output = await _stored(facts, instance.output)
            reason = output if isinstance(output, str) else ""
            verb = "terminated" if status is RuntimeStatus.TERMINATED else "cancelled"
            sentence = f"It was {verb} {words.at(moment, now)}" + (f": {words.name(reason)}." if reason else ".")
    for notes, remedy in ((await _open_children(facts), ""), (await _deaf_parent(facts), RECOVER)):
        if notes:
            sentence, action = f"{sentence} {notes}", remedy or action
            rank = Rank.NEEDS_SOMEBODY
    return Finding(
        cause=status.value.lower(), sentence=sentence, action=action, details=details, rank=rank, below=below
    )


async def _stored(facts: Facts, value: Value | None) -> JSON:
    """A value of the row; None if this host cannot read it."""
    try:
        return None if value is None else await facts.hub.payloads.load(facts.id, value)
    except (*UNREADABLE, PayloadGoneError):
        return None


async def _what_failed(facts: Facts, stored: JSON) -> tuple[str, dict[str, JSON], Facts | None]:
    """The failure in words and as data; and the sub-orchestration whose failure it was."""
    if stored is None:
        return "its failure cannot be read here.", {}, None
    failure = FailureDetails.from_json(stored)
    details: dict[str, JSON] = {"errorType": words.plain(failure.type, words.NAME_CHARS)}
    task_id = _failed_task(facts.history, failure)
    if task_id is None:
        line = facts.history.completed.line if facts.history.completed is not None else ""
        return f"{_in_words(failure)}{words.line(line)}.", details, None
    call, (end, _) = facts.history.calls.get(task_id), facts.history.ends[task_id]
    name, line, kind = (end.name, end.line, "step") if isinstance(end, StepCompleted) else ("", "", "task")
    below, its = None, failure if not isinstance(end, Failing) or end.failure is None else end.failure
    if call is not None:
        name, line, kind = call.name, call.event.line, "activity"
        if isinstance(call.event, SubOrchestrationCreated):
            kind, below = "sub-orchestration", await _failed_child(facts, call.event)
    details |= {"taskId": task_id, "name": words.plain(name), "line": words.plain(line)}
    told = f"{kind} {words.name(name)} (task {task_id}{words.place(line)}) failed"
    return f"{told}." if below is not None else f"{told}: {_in_words(its)}.", details, below


def _in_words(failure: FailureDetails) -> str:
    """The type of an exception without its module, and its message."""
    kind = words.plain(failure.type.rpartition(".")[2], words.NAME_CHARS)
    return f"{kind}: {words.plain(failure.message)}".removesuffix(": ").rstrip(".")


async def _failed_child(facts: Facts, call: SubOrchestrationCreated) -> Facts | None:
    try:
        child = await read_facts(facts.hub, facts.child_id(call), facts.now, None)
    except UNREADABLE:
        return None
    is_its = child is not None and child.instance.parent == facts.link(call)
    return child if is_its and child is not None and child.instance.status is RuntimeStatus.FAILED else None


def _failed_task(history: History, failure: FailureDetails) -> int | None:
    """The task that ended the run: the first that the last commit names; in histories of older versions the last one
    that failed with a failure in the chain of causes. None: no task did."""
    because = None if history.completed is None else history.completed.because
    for task_id in because or ():
        if task_id in history.ends and not isinstance(history.ends[task_id][0], SubOrchestrationCompleted):
            return int(task_id)  # else it is a batch of a map, of which an item has failed
    if because:
        return None
    for task_id, (end, _) in reversed(history.ends.items()):
        if isinstance(end, Failing) and end.failure is not None:
            cause: FailureDetails | None = failure
            while cause is not None:
                if (cause.type, cause.message) == (end.failure.type, end.failure.message):
                    return task_id
                cause = cause.cause
    return None


async def _open_children(facts: Facts) -> str:
    """The sub-orchestrations that run on."""
    running: list[str] = []
    calls = [call.event for call in facts.history.index.open_calls if isinstance(call.event, SubOrchestrationCreated)]
    for event in calls[:CHILDREN_READ]:
        child_id = facts.child_id(event)
        child = await facts.hub.instances.get(child_id)
        if child is not None and child.parent == facts.link(event) and not child.is_terminal:
            running.append(words.name(child_id))
    if not running:
        return ""
    are = "sub-orchestration still runs" if len(running) == 1 else "sub-orchestrations still run"
    return f"Its {are}: {', '.join(running)}."


async def _deaf_parent(facts: Facts) -> str:
    """Whether its parent waits for it although it has ended a while ago."""
    link = facts.instance.parent
    if link is None or facts.now - facts.instance.updated <= DELIVERY:
        return ""
    try:
        parent = await facts.hub.instances.get(link.instance_id)
        is_same = (
            parent is not None
            and (parent.execution_id, parent.generation) == (link.execution_id, link.generation)
            and not parent.is_terminal
            and parent.status is not RuntimeStatus.SUSPENDED
        )
        waits = waits_in(facts.hub.instances.waits(parent), parent) if parent is not None and is_same else ()
    except UNREADABLE:
        return ""
    if not any(wait.kind in ("child", "retry") and wait.task_id == link.task_id for wait in waits):
        return ""
    return f"Its parent {words.name(link.instance_id)} has not recorded the end."
