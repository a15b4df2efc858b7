"""Whether code and history agree, and if not, what to tell a person about it.

Decisions agree by kind, task id and name. Inputs, due times and results may differ: they follow from values that a
new release may compute otherwise, and history's are the ones that count.
"""

from __future__ import annotations

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
_NEARBY = 3  # events shown before and after
_HINT = (
    "conditions and loops must not look at a clock, random numbers, environment or global state: "
    "use ctx.current_utc_datetime and ctx.random, or an activity"
)


def first_difference(expected: Sequence[Outgoing], actual: Sequence[Outgoing]) -> int | None:
    """Where the decisions in history and those of the code begin to differ; None if they agree."""
    identity = _IDENTITY
    for at, (recorded, made) in enumerate(zip(expected, actual, strict=False)):
        kind = type(recorded)
        if kind is not type(made) or identity[kind](recorded) != identity[kind](made):
            return at
    return None if len(expected) == len(actual) else min(len(expected), len(actual))


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


def unasked_patch(
    info: InstanceInfo, history: Sequence[Segment], segment: Segment, mark: PatchMarked, waits_at: str
) -> NonDeterminismError:
    """The error for a patch's mark that the code does not ask for."""
    name = mark.patch_id
    return NonDeterminismError(
        instance_id=info.instance_id,
        orchestrator=info.name,
        task_id=None,
        expected=describe(mark),
        actual="",
        expected_at=mark.line,
        actual_at=waits_at,
        cause=(
            f"this code is older than the change '{name}', or ctx.patched('{name}') was taken out too soon: leave "
            f"ctx.deprecate_patch('{name}') in its place until no open instance has this mark"
        ),
        context=_around(history, segment, mark),
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
