"""What the code of an orchestrator waits for: the open calls, events and conditions on which the yielded task depends.

A combination (``task_all``, ``task_any``, ``gather``, a window, a flow) is shown by the open tasks in it.
"""

# pyright: reportPrivateUsage=false
# A friend of Task, as the functions of ``tasks`` are.

from __future__ import annotations

from datetime import datetime
from typing import Any

from ..models import Wait
from .callbacks import name_of_callback
from .combinators import NextTask
from .events import EntityCalled, LockRequested, SubOrchestrationCreated, TaskScheduled, TimerCreated
from .state import ExecutionState
from .steps import Step
from .tasks import Combination, ConditionTask, EventTask, Task

MAX_WAITS = 8


def waits_of(task: Task[Any] | None, decisions: ExecutionState) -> list[Wait]:
    """What ``task`` waits for, at most ``MAX_WAITS``, in the order in which the code gave the tasks to its combination.

    If there are more, of the calls of one name at one line only the first is shown: so a wide fan-out is one entry,
    which changes seldom. None: the code waits for nothing. ``instance_id`` is that which the code gave, if any. The
    time that this takes does not grow with the number of tasks that have ended.
    """
    if type(task) is Task and not task._done and task not in decisions.journaled:  # one call: the usual case
        wait = _wait_for(task, decisions)
        return [] if wait is None else [wait]
    found = _first(task, decisions, MAX_WAITS + 1)
    if len(found) <= MAX_WAITS:
        return found
    calls: dict[tuple[str, str, str], Wait] = {}
    for wait in found:
        calls.setdefault((wait.kind, wait.name, wait.line), wait)
    return list(calls.values())[:MAX_WAITS]


def _first(task: Task[Any] | None, decisions: ExecutionState, limit: int) -> list[Wait]:
    found: list[Wait] = []
    seen: set[int] = set()
    to_visit: list[Task[Any]] = [] if task is None else [task]
    while to_visit and len(found) < limit:
        task = to_visit.pop()
        if task._done or id(task) in seen:
            continue
        seen.add(id(task))
        if isinstance(task, Combination):
            to_visit.extend(reversed(task.open_children(limit)))
        elif isinstance(task, NextTask):
            to_visit.append(task.source)
        elif (journaled := decisions.journaled.get(task)) is not None and journaled.now is not None:
            to_visit.append(journaled.now)
        elif (wait := _wait_for(task, decisions)) is not None:
            found.append(wait)
    return found


def _wait_for(task: Task[Any], decisions: ExecutionState) -> Wait | None:
    match task.call:
        case TaskScheduled(task_id=task_id, name=name, line=line):
            pending = decisions.pending.get(task_id)
            return Wait("activity", name, line, task_id, None if pending is None else pending.since)
        case SubOrchestrationCreated(task_id=task_id, name=name, line=line, instance_id=asked):
            return Wait("child", name, line, task_id, _called(task_id, decisions), instance_id=asked)
        case TimerCreated(task_id=task_id, fire_at=due, line=line):
            return Wait("timer", "", line, task_id, _called(task_id, decisions), due)
        case EntityCalled(task_id=task_id, entity=entity, operation=operation, line=line):
            return Wait("entity", f"{entity} {operation}", line, task_id, _called(task_id, decisions))
        case LockRequested(task_id=task_id, entities=entities, line=line):
            return Wait("lock", ", ".join(entities), line, task_id, _called(task_id, decisions))
        case Step(task_id=task_id, name=name, line=line, born=born):
            history = decisions.history
            return Wait("step", name, line, task_id, history[born].timestamp if born < len(history) else decisions.now)
        case None:
            if isinstance(task, ConditionTask):
                return Wait("condition", "", task.line, 0, task.since)
            if isinstance(task, EventTask):
                callback = name_of_callback(task.event_name)
                kind, name = ("event", task.event_name) if callback is None else ("callback", callback)
                return Wait(kind, name, task.line, 0, task.since)
            return None


def _called(task_id: int, decisions: ExecutionState) -> datetime | None:
    pending = decisions.pending.get(task_id)
    return None if pending is None else pending.since
