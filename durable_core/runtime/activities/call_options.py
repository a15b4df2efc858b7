"""Time limits and work queue of a call: the options of the call, else those of the activity's decorator.

The options of the call are in the history; the decorator is that of this host, which may lack the activity.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from ...engine.events import TaskScheduled
from ...engine.state import PendingTask
from ...errors import TaskFailedError, TaskTimeoutError, UnknownActivityError
from ...hub.messages import Call
from ...models import JSON, FailureDetails, type_name
from ...moments import after
from ...registry import ActivityDefinition, Registry

_BASES = tuple(type_name(base) for base in TaskTimeoutError.__mro__[1:] if issubclass(base, TaskFailedError.__mro__[1]))


def definition_here(registry: Registry, name: str) -> ActivityDefinition | None:
    """The activity of this name on this host; None if this host lacks it."""
    try:
        return registry.activity(name)
    except UnknownActivityError:
        return None


def queue_of(registry: Registry, event: TaskScheduled) -> str:
    """The work queue of a call, '' for the common one."""
    definition = definition_here(registry, event.name)
    return str(_options(event.options).get("queue", "")) if definition is None else definition.queue


def deadline_of(registry: Registry, event: TaskScheduled, since: datetime) -> datetime | None:
    """When a call made at ``since`` must have ended (its ``schedule_to_close``); None: it has no such limit."""
    limit = _options(event.options).get("schedule_to_close")
    if limit is None and (definition := definition_here(registry, event.name)) is not None:
        limit = definition.schedule_to_close
    return None if limit is None else after(since, limit)


def deadline_of_pending(registry: Registry, task: PendingTask) -> datetime | None:
    return deadline_of(registry, task.event, task.since) if isinstance(task.event, TaskScheduled) else None


def call_of(registry: Registry, event: TaskScheduled, generation: int, attempt: int, since: datetime) -> Call:
    """The call of an attempt in the form in which a work message carries it."""
    given, options = _options(event.options), dict[str, JSON]()
    if "timeout" in given:
        options["timeout"] = given["timeout"]
    if (deadline := deadline_of(registry, event, since)) is not None:
        options["deadline"] = deadline.timestamp()
    if "queue" in given and definition_here(registry, event.name) is None:
        options["queue"] = given["queue"]
    return Call(generation, event.task_id, attempt, event.name, event.input, options or None)


def timed_out(message: str, *, retriable: bool = True) -> FailureDetails:
    """The failure of an activity that did not end in time; an orchestrator gets it as a TaskTimeoutError."""
    return FailureDetails(type_name(TaskTimeoutError), message, retriable=retriable, bases=_BASES)


def timed_out_at_all(event: TaskScheduled, since: datetime, deadline: datetime) -> FailureDetails:
    """The failure of a call whose ``schedule_to_close`` has passed."""
    return timed_out(
        f"activity '{event.name}' did not end within {in_words((deadline - since).total_seconds())} of its call "
        "(schedule_to_close)",
        retriable=False,
    )


def in_words(seconds: float) -> str:
    return f"{seconds:g} s"


def options_of(call: Call) -> dict[str, Any]:
    return _options(call.options)


def _options(options: JSON) -> dict[str, Any]:
    return cast("dict[str, Any]", options or {})
