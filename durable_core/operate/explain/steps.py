"""How far a journaled activity has come: which of its steps are recorded, and which runs here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from ...engine.events import TaskScheduled
from ...hub.journals import root_of
from ...models import JSON, Wait
from ...moments import from_epoch
from . import words
from .facts import UNREADABLE, Facts
from .finding import Finding

SHOWN = 5  # steps that run at once


def last_part(facts: Facts, task_id: int) -> int:
    """The number of the last part of a call, by which it is under way: its own, unless it has waited."""
    parts = [
        other
        for other, call in facts.history.calls.items()
        if isinstance(call.event, TaskScheduled) and root_of(call.event) == task_id
    ]
    return max(parts, default=task_id)


async def with_steps(facts: Facts, wait: Wait, found: Finding) -> Finding:
    """What was found of a call, with its steps if its activity is journaled. One more read then."""
    call = facts.history.calls.get(wait.task_id)
    if call is None or not isinstance(call.event, TaskScheduled) or not _is_journaled(facts, call.event):
        return found
    more, details = await _recorded(facts, call.event)
    running, shown = _running(facts, wait.task_id)
    told = " ".join(each for each in (found.sentence, more, running) if each)
    return replace(found, sentence=told, details={**found.details, **details, **shown})


def _is_journaled(facts: Facts, event: TaskScheduled) -> bool:
    if "journal" in cast("dict[str, Any]", event.options or {}):
        return True
    definition = None if facts.code is None else facts.code.activity(event.name)
    return definition is not None and definition.journal


async def _recorded(facts: Facts, event: TaskScheduled) -> tuple[str, dict[str, JSON]]:
    """The steps that are recorded, by this part of the call and those before it."""
    instance, root = facts.instance, root_of(event)
    try:
        entries = await facts.hub.journals.heads(facts.id, instance.execution_id, instance.generation, root)
    except UNREADABLE:
        return "", {}
    if not entries:
        return "None of its steps is recorded.", {"recordedSteps": 0}
    last = entries[-1]
    ended, name = from_epoch(last.started + last.took), words.plain(str(last.step), words.NAME_CHARS)
    details: dict[str, JSON] = {"recordedSteps": len(entries), "lastStep": name, "lastStepLine": words.plain(last.line)}
    how = "ended"
    if last.failure is not None:
        how = f"failed {words.count(last.tries, 'time')}"
    told = f"{words.count(len(entries), 'step')} of it {'is' if len(entries) == 1 else 'are'} recorded; the last, "
    return f"{told}{name}{words.line(last.line)}, {how} {words.at(ended, facts.now)}.", details


def _running(facts: Facts, task_id: int) -> tuple[str, dict[str, JSON]]:
    """The steps that run in the process that is asked."""
    held = None if facts.code is None else facts.code.in_hand(facts.instance, task_id)
    if held is None or not held.steps:
        return "", {}
    told: list[str] = []
    shown: list[JSON] = []
    for step in held.steps[:SHOWN]:
        name, error = words.plain(step.name, words.NAME_CHARS), words.plain(step.error).rstrip(".")
        failed = f", and has failed {words.count(step.failed, 'time')}: {error}" if step.error else ""
        told.append(f"Step {name} runs{words.line(step.line)}{failed}.")
        shown.append({"name": name, "line": words.plain(step.line), "failed": step.failed, "error": error})
    if len(held.steps) > SHOWN:
        told.append(f"{len(held.steps) - SHOWN:,} more run.")
    return " ".join(told), {"steps": shown}
