"""Causes of an instance that waits for something it has called: activities, steps, timers, sub-orchestrations."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from ...definitions import MAP_NAME
from ...engine.events import SubOrchestrationCreated, TaskCompleted, TaskScheduled
from ...errors import QueueNotFoundError
from ...hub.attempts import EndedAttempt, KeptAttempts, span_of
from ...hub.payloads import PayloadGoneError
from ...hub.times import iso
from ...models import JSON, RetryPolicy, Wait
from ...moments import after, from_epoch
from ...storage.ports import Queue
from ..call_index import Call
from . import words
from .facts import UNREADABLE, Facts, read_facts
from .finding import ASK_ITS_WRITER, GOES_ON, NOTHING, RECOVER, Finding, in_need, patient, under_way
from .steps import last_part, with_steps

USUAL = 100  # ended calls of an activity by which it is judged how long one takes
LATE = timedelta(minutes=1)  # that a reminder or a result may take before it counts as lost


async def activity(facts: Facts, wait: Wait) -> Finding:
    """An activity was called and has not ended; of a journaled one with its steps."""
    wait = replace(wait, task_id=last_part(facts, wait.task_id))
    return await with_steps(facts, wait, await _activity(facts, wait))


async def _activity(facts: Facts, wait: Wait) -> Finding:
    call, now = facts.history.calls.get(wait.task_id), facts.now
    what, details = _task(wait), _details(wait)
    if call is None or not isinstance(call.event, TaskScheduled):
        sentence = f"Activity {what} runs inside a host, or is being recorded."
        return under_way("activity", sentence, details, f"{NOTHING}its result is on the way.")
    if (overdue := _past_its_limit(facts, call, what, details)) is not None:
        return overdue
    if (missing := _not_here(facts, wait, what, details)) is not None:
        return missing
    if running := await _reported(facts, call, what, details) or _in_this_process(facts, call, what, details):
        return running
    queue, depth = await _queue(facts, call.event)
    details |= {"queue": queue.name, "own": _own_queue(facts, call.event), "depth": depth}
    if depth == 0:
        return await _without_work_message(facts, call, what, details)
    oldest, holds = await queue.oldest(), f"about {words.count(depth, 'message')}"
    called = f"Activity {what} was called {words.at(call.since, now)} and has not ended"
    if oldest is None:
        where = f"it runs; queue {queue.name} holds {holds}, none of which waits to be taken"
    else:
        since = f"the oldest that waits came {words.at(oldest.inserted_at, now)}"
        again = f" and was delivered {words.count(oldest.dequeue_count, 'time')}" if oldest.dequeue_count else ""
        where = f"it waits in queue {queue.name}, or runs; the queue holds {holds}, {since}{again}"
    limits, more = _limits(facts, wait.name)
    return under_way("activity", f"{called}: {where}.{limits}", details | more)


async def _reported(facts: Facts, call: Call, what: str, details: dict[str, JSON]) -> Finding | None:
    """It has reported progress: where it runs and since when. None if it has not, or if an earlier attempt did."""
    instance, now, task_id = facts.instance, facts.now, call.event.task_id
    try:
        last = await facts.hub.heartbeats.last(facts.id, instance.execution_id, instance.generation, task_id)
    except (*UNREADABLE, PayloadGoneError):
        return None
    state = instance.retries.get(task_id)
    if last is None or (state is not None and last.attempt.number < state.attempt):
        return None
    said = words.plain(json.dumps(last.details, ensure_ascii=False), words.NAME_CHARS)
    started, host = last.attempt.started, words.plain(last.attempt.host, 20)
    return under_way(
        "activity",
        f"Activity {what} runs on host {host}{words.since(started, now)}{_usual(facts, call.name)}; its last report "
        f"came {words.at(last.at, now)}: {said}.",
        {**details, "host": host, "started": iso(started), "reported": iso(last.at)},
    )


def _in_this_process(facts: Facts, call: Call, what: str, details: dict[str, JSON]) -> Finding | None:
    """The process that is asked runs the activity itself, or lets it wait for a slot."""
    held = None if facts.code is None else facts.code.in_hand(facts.instance, call.event.task_id)
    if facts.code is None or held is None:
        return None
    limits, more = _limits(facts, call.name)
    details = {**details, **more, "host": facts.code.host}
    if held.started is None:
        sentence = f"Activity {what} waits on host {facts.code.host}, which was asked, for a slot.{limits}"
        return under_way("activity", sentence, details)
    since = words.since(held.started, facts.now)
    sentence = f"Activity {what} runs on host {facts.code.host}, which was asked,{since}{_usual(facts, call.name)}."
    return under_way("activity", sentence, {**details, "started": iso(held.started)})


def _usual(facts: Facts, name: str) -> str:
    """How long the other calls of this activity took in this generation, to be put after since when one runs."""
    took: list[int] = []
    for task_id, (end, at) in facts.history.ends.items():
        call = facts.history.calls.get(task_id)
        if isinstance(end, TaskCompleted) and call is not None and call.name == name:
            span = span_of(end.timing, end.tries, call.since, at)
            took += [] if span is None else [span.run_ms]
    if not took:
        return ""
    slowest = sorted(took[-USUAL:])[max(len(took[-USUAL:]) * 95 // 100 - 1, 0)]
    most = f"{slowest:,} ms" if slowest < 1000 else words.length(timedelta(milliseconds=slowest))
    return f" (95% of the last {words.count(len(took[-USUAL:]), 'call')} here: up to {most})"


async def _without_work_message(facts: Facts, call: Call, what: str, details: dict[str, JSON]) -> Finding:
    """No work queue holds its message: it runs where its orchestrator ran, or is just being sent, or was lost."""
    now, called = facts.now, f"Activity {what} was called {words.at(call.since, facts.now)}"
    if await _control_depth(facts):
        sentence = f"{called} and has not ended: it runs inside the host that ran its orchestrator."
        return under_way("activity", sentence, {**details, "inline": True})
    if now - call.since <= LATE:
        return under_way("activity", f"{called}; its message is on the way.", details)
    sentence = f"{called}, and no queue holds a message of it: it was lost, or is in the poison queue."
    return in_need("activity-lost", sentence, details)


def _past_its_limit(facts: Facts, call: Call, what: str, details: dict[str, JSON]) -> Finding | None:
    event = cast("TaskScheduled", call.event)
    limit: float | None = _options(event).get("schedule_to_close")
    if limit is None or (deadline := after(call.since, limit)) + LATE > facts.now:
        return None
    return in_need(
        "past-its-limit",
        f"Activity {what} should have ended {words.at(deadline, facts.now)} (schedule_to_close): its reminder is lost, "
        "or no host runs.",
        details | {"deadline": iso(deadline)},
    )


def _not_here(facts: Facts, wait: Wait, what: str, details: dict[str, JSON]) -> Finding | None:
    """This app has the orchestrator and not the activity: hosts of the same code cannot run it."""
    if facts.code is None or facts.replayed is None or facts.code.activity(wait.name) is not None:
        return None
    if facts.instance.name == MAP_NAME:
        return None  # every app has the orchestrator of batches, also one without the code of the map
    return in_need(
        "no-activity",
        f"Activity {what} is not in this app, which has the orchestrator: a host with other code must run it.",
        details,
        "Deploy a host with this activity, or give it back its old name; the instance goes on by itself.",
    )


def _limits(facts: Facts, name: str) -> tuple[str, dict[str, JSON]]:
    """The limits of an activity, and how they are used in this process, in words and as data."""
    definition = None if facts.code is None else facts.code.activity(name)
    if facts.code is None or definition is None or (definition.max_concurrency is None and definition.rate is None):
        return "", {}
    told: list[str] = []
    details: dict[str, JSON] = {}
    most, use = definition.max_concurrency, facts.code.slots(name)
    if most is not None:
        told.append(f"max_concurrency={most} on each host")
        details["maxConcurrency"] = most
    if definition.rate is not None:
        told.append(f"rate={definition.rate:g} per second on each host")
        details["rate"] = definition.rate
    if use is not None:
        details["waiting"] = use.waiting
        if most is not None:
            details["taken"] = use.taken
            told[0] += f": {_taken(use.taken, most)} on {facts.code.host}, which was asked"
        if use.waiting:
            told.append(f"{words.count(use.waiting, 'call')} {'waits' if use.waiting == 1 else 'wait'} there")
    return f" {'; '.join(told)}.", details


def _taken(taken: int, most: int) -> str:
    if taken < most:
        return f"{taken} of {most} taken"
    return "taken" if most == 1 else "both taken" if most == 2 else f"all {most} taken"


def _own_queue(facts: Facts, event: TaskScheduled) -> str:
    """The ``queue=`` of the call; '' for the common one."""
    definition = None if facts.code is None else facts.code.activity(event.name)
    return str(_options(event).get("queue", "")) if definition is None else definition.queue


async def _queue(facts: Facts, event: TaskScheduled) -> tuple[Queue, int]:
    """The work queue of the call, and about how many messages it holds."""
    own = _own_queue(facts, event)
    queue = facts.hub.work_queue(own, facts.id)
    try:
        return queue, await queue.count()
    except QueueNotFoundError:
        if not own:
            raise
        queue = facts.hub.work_queue("", facts.id)  # to which work for a missing queue is sent
        return queue, await queue.count()


async def _control_depth(facts: Facts) -> int:
    """A message of the instance itself, while an activity runs in the turn that called it."""
    return await facts.hub.control_queue(facts.id).count()


def _options(event: TaskScheduled) -> dict[str, Any]:
    return cast("dict[str, Any]", event.options or {})


# ---------------------------------------------------------------- retry, step, timer


async def retry(facts: Facts, wait: Wait) -> Finding:
    """An attempt has failed, and another follows, or is under way."""
    state, call, now = facts.instance.retries.get(wait.task_id), facts.history.calls.get(wait.task_id), facts.now
    if state is None:  # written by another commit since
        return await activity(facts, wait)
    failed, of = state.attempt - 1, _attempts_of(facts, wait)
    times = f"{failed} of {of} times" if of else words.count(failed, "time")
    details = _details(wait) | {"failed": failed, "nextAttempt": state.attempt, "nextTime": iso(state.next_try)}
    details |= {"maxAttempts": of} if of else {}
    kept = KeptAttempts(facts.instance.tries, facts.hub.payloads.encoding).of(wait.task_id)
    last, told = _ended_attempt(kept[-1], now) if kept else ({}, "")
    details |= last
    sentence = f"{_KIND_NAMES[_kind_of(call)]} {_task(wait)} failed {times}{told}"
    if state.next_try > now:
        found = under_way(
            "retry",
            f"{sentence}; attempt {state.attempt} begins {words.at(state.next_try, now)}.",
            details,
            f"{NOTHING}it is tried again. If it cannot succeed, mend what it calls, or cancel the instance.",
        )
        return await with_steps(facts, wait, found)
    if call is not None and isinstance(call.event, SubOrchestrationCreated):
        found = await child(facts, replace(wait, kind="child"))
        return replace(found, sentence=f"{sentence}. {found.sentence}", details={**details, **found.details})
    if now - state.next_try <= LATE or call is None:
        told = f"{sentence}; attempt {state.attempt} began {words.at(state.next_try, now)} and has not ended."
        return await with_steps(facts, wait, under_way("retry", told, details))
    found = await activity(facts, replace(wait, kind="activity"))
    due = f"{sentence}; attempt {state.attempt} was due {words.at(state.next_try, now)}"
    return replace(found, sentence=f"{due}. {found.sentence}", details={**details, **found.details})


def _ended_attempt(attempt: EndedAttempt, now: datetime) -> tuple[dict[str, JSON], str]:
    """The last attempt that failed, as data and in words."""
    error = words.plain(attempt.error.rpartition(".")[2], words.NAME_CHARS)
    message = words.plain(attempt.message).rstrip(".")
    details: dict[str, JSON] = {"errorType": words.plain(attempt.error, words.NAME_CHARS), "message": message}
    told = ", the last one"
    if attempt.started is not None:
        ended = from_epoch(attempt.started + (attempt.ms or 0) / 1000)
        details |= {"lastAttemptTime": iso(ended), "host": words.plain(attempt.host, 20)}
        told += f" {words.at(ended, now)} on host {words.plain(attempt.host, 20)}"
    return details, f"{told}: {error}{f': {message}' if message else ''}"


def _attempts_of(facts: Facts, wait: Wait) -> int | None:
    """How often the task is tried, where the code at hand says it."""
    policy: RetryPolicy | None = None
    if facts.replayed is not None:
        policy = facts.replayed.retries.get(wait.task_id)
    if policy is None and facts.code is not None and (definition := facts.code.activity(wait.name)) is not None:
        policy = definition.retry
    return None if policy is None else policy.max_attempts


def step(facts: Facts, wait: Wait) -> Finding:
    """A step runs in the process of the orchestrator."""
    return under_way(
        "step",
        f"Step {_task(wait)} runs in the process of the orchestrator{words.since(wait.since, facts.now)}.",
        _details(wait),
        f"{NOTHING}it ends by itself, and runs again in another host if its host dies.",
    )


def timer(facts: Facts, wait: Wait) -> Finding:
    """It sleeps; or its reminder is lost."""
    now, due = facts.now, wait.due
    details = _details(wait)
    where = words.line(wait.line)
    if due is None:
        return patient("timer", f"It sleeps until a timer fires{where}.", details)
    details |= {"due": iso(due)}
    if due + LATE > now:
        return patient("timer", f"It sleeps{where} until a timer fires {words.at(due, now)}.", details)
    sentence = f"Its timer{where} was due {words.at(due, now)}: the reminder is lost, or no host runs."
    return in_need("timer-late", sentence, details)


# ---------------------------------------------------------------- sub-orchestrations


async def child(facts: Facts, wait: Wait) -> Finding:
    """A sub-orchestration has not ended: why not, is its own cause."""
    call, now = facts.history.calls.get(wait.task_id), facts.now
    details = _details(wait)
    when_ended = f"{NOTHING}it goes on when that has ended."
    if call is None or not isinstance(call.event, SubOrchestrationCreated):
        return patient("child", f"It waits for sub-orchestration {_task(wait)}.", details, when_ended)
    child_id = facts.child_id(call.event)
    details["childId"] = child_id
    what = f"It waits for sub-orchestration {_task(wait)}, instance {words.name(child_id)},"
    try:
        below = await read_facts(facts.hub, child_id, now, facts.code)
    except UNREADABLE as error:
        return in_need(
            "child-unreadable",
            f"{what} whose rows cannot be read here: {words.plain(str(error))}.",
            details,
            ASK_ITS_WRITER,
        )
    if below is None:
        sentence = (
            f"{what} which it called {words.at(call.since, now)} and which does not exist: its host died before it "
            "wrote it, or it was purged."
        )
        if now - call.since <= LATE:
            return under_way("child-missing", sentence, details, f"{NOTHING}it is being started.")
        return in_need("child-missing", sentence, details, f"{RECOVER} A purged one is started again.")
    instance = below.instance
    if instance.parent != facts.link(call.event):
        return in_need(
            "child-id-taken",
            f"{what} an id that another instance has.",
            details,
            "Give the sub-orchestration an id of its own, or leave the id out.",
        )
    if instance.is_terminal:
        sentence = f"{what} which has ended as {instance.status.value} {words.at(instance.updated, now)}"
        if now - instance.updated <= LATE:
            return under_way("child", f"{sentence}; its result is on the way.", details, GOES_ON)
        lost = f"{sentence}: the message with its result is lost, or no host runs."
        return in_need("child-not-heard", lost, details)
    sentence = f"{what}{words.since(wait.since or call.since, now)}."
    return replace(patient("child", sentence, details, when_ended), below=below)


# ---------------------------------------------------------------- fan-out


class Progress(NamedTuple):
    """How far the calls have come that were made together. wait: for the oldest open one of them."""

    done: int
    calls: int
    wait: Wait


def fan_out(facts: Facts, wait: Wait) -> Progress | None:
    """The calls that were made together with the one that is waited for; None if it was made alone."""
    first = facts.history.calls.get(wait.task_id)
    if first is None or wait.kind not in ("activity", "child", "retry"):
        return None
    ends, group = facts.history.ends, _group_of(facts, first)
    still_open = [call for call in group if call.event.task_id not in ends]
    if len({call.seq for call in still_open}) <= 1:  # else a window: its calls are made one after another
        group = [call for call in group if call.seq == first.seq]
        still_open = [call for call in group if call.event.task_id not in ends]
    if len(group) < 2:
        return None
    oldest = still_open[0] if still_open else first
    task_id = oldest.event.task_id
    kind = "retry" if task_id in facts.instance.retries else "child" if _is_child(oldest) else "activity"
    done = len(group) - len(still_open)
    return Progress(done, len(group), replace(wait, kind=kind, task_id=task_id, since=oldest.since))


def with_progress(finding: Finding, progress: Progress) -> Finding:
    """The cause of the oldest open call of a fan-out, and how far the others have come."""
    done, wait = progress.done, progress.wait
    told = (
        f"{done:,} of {progress.calls:,} calls of {words.name(wait.name)} have ended{words.line(wait.line)}; the "
        f"oldest open one is task {wait.task_id}. {finding.sentence}"
    )
    counts: JSON = {"done": done, "calls": progress.calls}
    return replace(finding, sentence=told, details={**finding.details, "progress": counts})


def _group_of(facts: Facts, first: Call) -> list[Call]:
    key = (type(first.event), first.name, first.event.line)
    return [call for call in facts.history.calls.values() if (type(call.event), call.name, call.event.line) == key]


def _is_child(call: Call) -> bool:
    return isinstance(call.event, SubOrchestrationCreated)


# ---------------------------------------------------------------- words

_KIND_NAMES = {"activity": "Activity", "child": "Sub-orchestration", "step": "Step"}


def _kind_of(call: Call | None) -> str:
    return "step" if call is None else "child" if _is_child(call) else "activity"


def _task(wait: Wait) -> str:
    """A call in a sentence: its name, its number, its line."""
    return f"{words.name(wait.name)} (task {wait.task_id}{words.place(wait.line)})"


def _details(wait: Wait) -> dict[str, JSON]:
    details: dict[str, JSON] = {"taskId": wait.task_id, "name": words.plain(wait.name), "line": words.plain(wait.line)}
    return details if wait.since is None else details | {"since": iso(wait.since)}
