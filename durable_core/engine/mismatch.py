"""Whether code and history agree, and if not, what to tell a person about it.

Decisions agree by kind, task id and name. Inputs, due times and results may differ: they follow from values that a
new release may compute otherwise, and history's are the ones that count. Who knows that the code has not changed since,
as a test does, asks for the same values too: one that differs came from a clock or from chance.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from ..errors import NonDeterminismError
from .decisions import Decisions, InstanceInfo
from .events import (
    ContinueAsNew,
    Event,
    EventSent,
    ExecutionCompleted,
    OrchestrationStarted,
    Outgoing,
    PatchMarked,
    RequestSent,
    Segment,
    StepCompleted,
    SubOrchestrationCreated,
    TaskScheduled,
    TimerCanceled,
    TimerCreated,
    describe,
)


def _always(_event: Outgoing) -> object:
    return None


_IDENTITY: dict[type, Callable[[Any], object]] = {
    TaskScheduled: attrgetter("task_id", "name"),
    SubOrchestrationCreated: attrgetter("task_id", "name"),
    TimerCreated: attrgetter("task_id"),
    TimerCanceled: attrgetter("task_id"),
    OrchestrationStarted: attrgetter("task_id", "name"),
    EventSent: attrgetter("task_id", "name"),
    RequestSent: attrgetter("child", "kind"),
    PatchMarked: attrgetter("patch_id"),
    ContinueAsNew: _always,
    ExecutionCompleted: attrgetter("status"),
}

_NAMED = TaskScheduled | SubOrchestrationCreated | OrchestrationStarted | EventSent
_LONGEST_SIDE = 500  # characters shown of a decision with its value
_NEARBY = 3  # events shown before and after
_HINT = (
    "conditions and loops must not look at a clock, random numbers, environment or global state: "
    "use ctx.current_utc_datetime and ctx.random, or an activity"
)


def first_difference(expected: Sequence[Outgoing], actual: Sequence[Outgoing], *, values: bool = False) -> int | None:
    """Where the decisions in history and those of the code begin to differ; None if they agree.

    values: inputs, data and due times must be the same, too.
    """
    identity = _IDENTITY
    for at, (recorded, made) in enumerate(zip(expected, actual, strict=False)):
        kind = type(recorded)
        if kind is not type(made) or identity[kind](recorded) != identity[kind](made):
            return at
        if values and _value(recorded) != _value(made):
            return at
    return None if len(expected) == len(actual) else min(len(expected), len(actual))


def _value(event: Outgoing) -> str:
    """What is handed on with a decision, as text: equal for what is the same JSON, also where NaN is in it."""
    match event:
        case TaskScheduled() | ContinueAsNew():
            return json.dumps(event.input, sort_keys=True)
        case SubOrchestrationCreated() | OrchestrationStarted():
            return f"{event.instance_id} {json.dumps(event.input, sort_keys=True)}".lstrip()
        case EventSent():
            return json.dumps(event.data, sort_keys=True)
        case TimerCreated():
            return event.fire_at.isoformat()
        case _:
            return ""


def mismatch(
    info: InstanceInfo,
    history: Sequence[Segment],
    segment: Segment,
    expected: Sequence[Outgoing],
    actual: Sequence[Outgoing],
    at: int,
    waits_at: str,
) -> NonDeterminismError:
    """The error for a segment whose decisions differ at this index. ``waits_at``: the line where the code stands."""
    recorded = expected[at] if at < len(expected) else None
    made = actual[at] if at < len(actual) else None
    if recorded is not None and made is not None and first_difference([recorded], [made]) is None:
        return other_value(
            info,
            (f"{describe(recorded)} with {_value(recorded)}", f"{describe(made)} with {_value(made)}"),
            task_id=_task_id(recorded),
            lines=(getattr(recorded, "line", ""), getattr(made, "line", "")),
            context=_around(history, segment, recorded),
        )
    return NonDeterminismError(
        instance_id=info.instance_id,
        orchestrator=info.name,
        task_id=_task_id(recorded) if _task_id(recorded) is not None else _task_id(made),
        expected="" if recorded is None else describe(recorded),
        actual="" if made is None else describe(made),
        expected_at=getattr(recorded, "line", ""),
        actual_at=waits_at if made is None else getattr(made, "line", ""),
        cause=_likely_cause(recorded, made, expected[at + 1 :], actual[at + 1 :]),
        context=_around(history, segment, recorded),
    )


def other_value(
    info: InstanceInfo,
    sides: tuple[str, str],
    *,
    task_id: int | None = None,
    lines: tuple[str, str] = ("", ""),
    context: Sequence[str] = (),
) -> NonDeterminismError:
    """The error for the same decision with another value in it: that of history and that of the code, as text."""
    expected, actual = (side if len(side) <= _LONGEST_SIDE else side[:_LONGEST_SIDE] + "..." for side in sides)
    return NonDeterminismError(
        instance_id=info.instance_id,
        orchestrator=info.name,
        task_id=task_id,
        expected=expected,
        actual=actual,
        expected_at=lines[0],
        actual_at=lines[1],
        cause=f"the value is another one at each run: it comes from a clock, chance or global state; {_HINT}",
        context=context,
    )


def ended_early(
    info: InstanceInfo, history: Sequence[Segment], segment: Segment, event: Event, completion: Event
) -> NonDeterminismError:
    """The error for code that has ended where history has one more event for it."""
    return NonDeterminismError(
        instance_id=info.instance_id,
        orchestrator=info.name,
        task_id=getattr(event, "task_id", None),
        expected=f"it goes on with {describe(event)}",
        actual=describe(completion),
        cause=f"the code returns, or fails, earlier than it did; {_HINT}",
        context=_around(history, segment, event),
    )


def unasked_step(
    info: InstanceInfo,
    history: Sequence[Segment],
    segment: Segment,
    event: StepCompleted,
    decisions: Decisions,
    waits_at: str,
) -> NonDeterminismError:
    """The error for the result of an inline step that the code did not call, or calls by another name."""
    made = decisions.steps.get(event.task_id)
    call = decisions.pending.get(event.task_id)
    if made is not None:
        actual, line = f"Step(task_id={made.task_id}, name={made.name!r})", made.line
        cause = f"the step was renamed or replaced, or a condition goes another way than it did; {_HINT}"
    else:
        actual, line = ("", waits_at) if call is None else (describe(call.event), call.event.line)
        cause = f"a call was added or taken away, or a condition or loop goes another way than it did; {_HINT}"
    return NonDeterminismError(
        instance_id=info.instance_id,
        orchestrator=info.name,
        task_id=event.task_id,
        expected=describe(event),
        actual=actual,
        expected_at=event.line,
        actual_at=line,
        cause=cause,
        context=_around(history, segment, event),
    )


def _likely_cause(
    recorded: Outgoing | None, made: Outgoing | None, later: Sequence[Outgoing], made_later: Sequence[Outgoing]
) -> str:
    if recorded is None:
        return f"a call was added, or a condition or loop goes another way than it did; {_HINT}"
    if made is None:
        return f"a call was taken away, or a condition or loop goes another way than it did; {_HINT}"
    if _what(recorded) in map(_what, made_later) or _what(made) in map(_what, later):
        return "the same calls are made in another order"
    if type(recorded) is type(made) and isinstance(recorded, _NAMED):
        return f"what is called here was renamed or replaced, or a condition goes another way than it did; {_HINT}"
    if isinstance(recorded, ExecutionCompleted | ContinueAsNew) or isinstance(made, ExecutionCompleted | ContinueAsNew):
        return f"the code ends earlier, later or otherwise than it did; {_HINT}"
    return f"a call was added or taken away, or a condition goes another way than it did; {_HINT}"


def _what(event: Outgoing) -> tuple[type, object]:
    return type(event), getattr(event, "name", None)


def _task_id(event: Outgoing | None) -> int | None:
    return getattr(event, "task_id", None)


def _around(history: Sequence[Segment], segment: Segment, event: Event | None) -> list[str]:
    before = [e for past in history[-_NEARBY:] for e in past.events]
    index = next((at for at, e in enumerate(segment.events) if e is event), len(segment.events))
    known = [*before, *segment.events]
    index += len(before)
    start = max(0, index - _NEARBY)
    nearby = known[start : index + _NEARBY + 1]
    return [("> " if start + at == index else "  ") + describe(e) for at, e in enumerate(nearby)]
