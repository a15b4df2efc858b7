"""Time limits and work queue of a call: the options of the call, else those of the activity's decorator.

The options of the call are in the history; the decorator is that of this host, which may lack the activity: then its
``definition`` is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ...definitions import ActivityDefinition
from ...engine.events import Segment, TaskScheduled
from ...engine.state import PendingTask
from ...errors import TaskFailedError, TaskTimeoutError, UnknownActivityError
from ...hub.journals import root_of
from ...hub.messages import Call
from ...models import JSON, FailureDetails, type_name
from ...moments import after, from_epoch
from ...registry import Registry

_BASES = tuple(type_name(base) for base in TaskTimeoutError.__mro__[1:] if issubclass(base, TaskFailedError.__mro__[1]))


def definition_here(registry: Registry, name: str) -> ActivityDefinition | None:
    """The activity of this name on this host; None if this host lacks it."""
    try:
        return registry.activity(name)
    except UnknownActivityError:
        return None


def queue_of(definition: ActivityDefinition | None, event: TaskScheduled) -> str:
    """The work queue of a call, '' for the common one."""
    return str(_options(event.options).get("queue", "")) if definition is None else definition.queue


def deadline_of(definition: ActivityDefinition | None, event: TaskScheduled, since: datetime) -> datetime | None:
    """When a call made at ``since`` must have ended (its ``schedule_to_close``); None: it has no such limit. All parts
    of the call of a journaled activity have one limit, from the first call on."""
    limit = event.options.get("schedule_to_close") if event.options else None
    if limit is None and definition is not None:
        limit = definition.schedule_to_close
    if limit is None:
        return None
    journal = event.options.get("journal") if event.options else None
    return after(since if journal is None else from_epoch(journal[1]), limit)


def deadline_of_pending(registry: Registry, task: PendingTask) -> datetime | None:
    event = task.event
    return (
        deadline_of(definition_here(registry, event.name), event, task.since)
        if isinstance(event, TaskScheduled)
        else None
    )


def call_of(
    definition: ActivityDefinition | None, event: TaskScheduled, generation: int, attempt: int, since: datetime
) -> Call:
    """The call of an attempt in the form in which a work message carries it."""
    given: dict[str, JSON] = event.options or {}
    options: dict[str, JSON] = {}
    if "timeout" in given:
        options["timeout"] = given["timeout"]
    has_limit = given or (definition is not None and definition.schedule_to_close is not None)
    if has_limit and (deadline := deadline_of(definition, event, since)) is not None:
        options["deadline"] = deadline.timestamp()
    if "queue" in given and definition is None:
        options["queue"] = given["queue"]
    if event.headers is not None:
        options["headers"] = event.headers
    if "journal" in given:
        options["journal"], options["woke"] = given["journal"], given["woke"]
    elif definition is not None and definition.journal:
        options["journal"] = [event.task_id, since.timestamp()]
    return Call(generation, event.task_id, attempt, event.name, event.input, options or None)


PART_RANK = 1_000
"""By so much a part's attempts are counted on, for each call that its instance has made since the first part."""

FIRST_LOOK, LONGEST_LOOK = 30.0, 600.0  # seconds between two looks whether another run of a call still works


def watched(call: Call) -> int | None:
    """How many entries the journal of this call had when the sender of the message left it to another run; None: the
    call is to be run in any case."""
    watch = options_of(call).get("watch")
    return None if watch is None else watch[0]


def calls_journals(registry: Registry, history: Sequence[Segment]) -> bool:
    """Whether a generation has called journaled activities."""
    names = {event.name for segment in history for event in segment.events if isinstance(event, TaskScheduled)}
    definitions = [definition_here(registry, name) for name in names]
    return any(definition is not None and definition.journal for definition in definitions)


def rank_of(call: Call) -> int:
    """The attempt, higher for a later part of a journaled activity's call than for all of an earlier part."""
    return PART_RANK * (call.task_id - root_of(call)) + call.attempt


def woke_of(call: Call) -> Sequence[JSON]:
    """The waits of a journaled activity that have ended since the part before."""
    return options_of(call).get("woke") or ()


def to_watch(call: Call, seen: int) -> tuple[Call, float]:
    """The call as a message carries it that looks after another run of it, and after how many seconds (rule J5)."""
    watch = options_of(call).get("watch")
    delay = FIRST_LOOK if watch is None else min(2 * watch[1], LONGEST_LOOK)
    return replace(call, options={**options_of(call), "watch": [seen, delay]}), delay


def without_watch(call: Call) -> Call:
    """The call to be run in any case."""
    options = {name: value for name, value in options_of(call).items() if name != "watch"}
    return replace(call, options=options or None)


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


def options_of(call: Call) -> dict[str, JSON]:
    return call.options or {}


def _options(options: JSON) -> dict[str, JSON]:
    return options or {}
