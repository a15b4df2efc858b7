"""Compares the decisions of code and history, and makes the error that shows a difference.

Decisions agree if their kind, task id and name are equal. Inputs, due times and results may differ, because a new
release may compute them in another way; those of the history are used. A test whose code has not changed since compares
the values, too: a value that differs comes from a clock or from chance.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Collection, Sequence
from itertools import zip_longest
from operator import attrgetter
from typing import Any

from ..errors import NonDeterminismError
from ..lazy_dataclass import dataclass
from .events import (
    Called,
    ContinueAsNew,
    EntityCalled,
    EntitySignaled,
    Event,
    EventSent,
    ExecutionCompleted,
    LockReleased,
    LockRequested,
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
    UpdateEnded,
    describe,
)
from .state import Completion, ExecutionState, InstanceInfo


def _always(_event: Outgoing) -> object:
    return None


_IDENTITY: dict[type, Callable[[Any], object]] = {
    SubOrchestrationCreated: attrgetter("task_id", "name"),
    TimerCreated: attrgetter("task_id"),
    TimerCanceled: attrgetter("task_id"),
    OrchestrationStarted: attrgetter("task_id", "name"),
    EventSent: attrgetter("task_id", "name"),
    EntityCalled: attrgetter("task_id", "entity", "operation"),
    EntitySignaled: attrgetter("task_id", "entity", "operation"),
    LockRequested: attrgetter("task_id", "entities"),
    LockReleased: attrgetter("section"),
    RequestSent: attrgetter("child", "kind"),
    UpdateEnded: attrgetter("update_id"),
    PatchMarked: attrgetter("patch_id"),
    ContinueAsNew: _always,
    ExecutionCompleted: attrgetter("status"),
}

_NAMED = TaskScheduled | SubOrchestrationCreated | OrchestrationStarted | EventSent
_ENDS = ExecutionCompleted | ContinueAsNew
_GOES_ON = "it continues with "
_LONGEST_SIDE = 300  # characters shown of a decision with its value
_HINT = (
    "conditions and loops must not depend on a clock, random numbers, environment or global state: "
    "use ctx.current_utc_datetime and ctx.random, or an activity"
)

_OTHER_VALUE = f"the value differs at each run: it comes from a clock, chance or global state; {_HINT}"


def first_difference(expected: Sequence[Outgoing], actual: Sequence[Outgoing], *, values: bool = False) -> int | None:
    """The index of the first decision in which history and code differ; None if they agree.

    values: whether inputs, data and due times must be equal, too.
    """
    known = len(actual)
    for at, recorded in enumerate(expected):
        if at == known:
            return at
        made = actual[at]
        if isinstance(recorded, TaskScheduled) and isinstance(made, TaskScheduled):  # nearly all of most histories
            if recorded.task_id != made.task_id or recorded.name != made.name:
                return at
        elif (kind := type(recorded)) is not type(made) or _IDENTITY[kind](recorded) != _IDENTITY[kind](made):
            return at
        if values and _value(recorded) != _value(made):
            return at
    return None if len(expected) == known else len(expected)


def _value(event: Outgoing) -> str:
    """The input, data or due time of a decision as text; the texts of equal JSON values are equal, also with NaN."""
    match event:
        case TaskScheduled() | ContinueAsNew() | EntityCalled():
            return json.dumps(event.input, sort_keys=True)
        case SubOrchestrationCreated() | OrchestrationStarted():
            return f"{event.instance_id} {json.dumps(event.input, sort_keys=True)}".lstrip()
        case EventSent():
            return json.dumps(event.data, sort_keys=True)
        case EntitySignaled():
            return f"{event.at} {json.dumps(event.input, sort_keys=True)}"
        case TimerCreated():
            return event.fire_at.isoformat()
        case _:
            return ""


def mismatch(
    info: InstanceInfo,
    history: Sequence[Segment],
    following: Sequence[Segment],
    expected: Sequence[Outgoing],
    actual: Sequence[Outgoing],
    at: int,
    waits_at: str,
    mentioned: Collection[str],
) -> NonDeterminismError:
    """The error for a segment whose decisions differ at this index.

    history: the segments replayed so far. following: the segment with the difference, and those after it.
    waits_at: ``file:line`` at which the code waits. mentioned: names that the code mentions.
    """
    recorded: Event | None = expected[at] if at < len(expected) else None
    made = actual[at] if at < len(actual) else None
    if recorded is not None and made is not None and first_difference(expected[at : at + 1], [made]) is None:
        code = _Code(made, waits_at, actual[:at], actual[at + 1 :], text=_with_value(made))
        return _error(info, history, following, recorded, code, _OTHER_VALUE, text=_with_value(expected[at]))
    known = [*expected[at + 1 :], *(event for after in following[1:] for event in after.events)]
    expects = ""
    if recorded is None and isinstance(made, _ENDS):  # the next event of the history is in a later commit
        recorded, expects = next(iter(known), None), _GOES_ON
    return _error(
        info,
        history,
        following,
        recorded,
        _Code(made, waits_at, actual[:at], actual[at + 1 :]),
        _likely_cause(recorded, made, known, actual[at + 1 :], mentioned),
        expects,
    )


def other_value(info: InstanceInfo, expected: str, actual: str) -> NonDeterminismError:
    """The error for code that has ended like its history, but returned another value. Both values are texts."""
    expected, actual = _cut(expected), _cut(actual)
    return NonDeterminismError(
        instance_id=info.instance_id,
        orchestrator=info.name,
        task_id=None,
        expected=expected,
        actual=actual,
        cause=_OTHER_VALUE,
        comparison=side_by_side(Side("history holds", expected, "", (), ()), Side("the code did", actual, "", (), ())),
    )


def _with_value(event: Outgoing) -> str:
    return _cut(f"{describe(event)} with {_value(event)}")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SIDE else text[:_LONGEST_SIDE] + "..."


def ended_early(
    info: InstanceInfo, history: Sequence[Segment], segment: Segment, event: Event, completion: Completion
) -> NonDeterminismError:
    """The error for code that has ended although its history has a further event."""
    cause = f"the code returns, or fails, earlier than before; {_HINT}"
    return _error(info, history, (segment,), event, _Code(completion), cause, _GOES_ON)


def unasked_step(
    info: InstanceInfo,
    history: Sequence[Segment],
    segment: Segment,
    event: StepCompleted,
    decisions: ExecutionState,
    waits_at: str,
) -> NonDeterminismError:
    """The error for the result of a step that the code does not call, or calls by another name."""
    made = decisions.steps.get(event.task_id)
    call = decisions.pending.get(event.task_id)
    if made is not None:
        code = _Code(
            StepCompleted(made.task_id, made.name), made.line, text=f"Step(task_id={made.task_id}, name={made.name!r})"
        )
        cause = f"the step was renamed or replaced, or a condition takes another path than before; {_HINT}"
    else:
        code = _Code(None, waits_at) if call is None else _Code(call.event)
        cause = f"a call was added or removed, or a condition or loop takes another path than before; {_HINT}"
    return _error(info, history, (segment,), event, code, cause)


@dataclass(frozen=True, slots=True)
class _Code:
    """The side of the code. ``at``: ``file:line`` at which it waits, for a decision without a line."""

    event: Event | None
    at: str = ""
    before: Sequence[Outgoing] = ()
    after: Sequence[Outgoing] = ()
    text: str = ""


def _error(
    info: InstanceInfo,
    history: Sequence[Segment],
    following: Sequence[Segment],
    recorded: Event | None,
    code: _Code,
    cause: str,
    expects: str = "",
    *,
    text: str = "",
) -> NonDeterminismError:
    expected = text or ("" if recorded is None else expects + describe(recorded))
    actual = code.text or ("" if code.event is None else describe(code.event))
    actual_at = getattr(code.event, "line", "") or code.at
    expected_at = _line_of(recorded, [*history, *following])
    before, after = _around(history, following, recorded)
    where = f"it waits at {actual_at}" if code.event is None and actual_at else actual_at
    return NonDeterminismError(
        instance_id=info.instance_id,
        orchestrator=info.name,
        task_id=_task_id(recorded) if _task_id(recorded) is not None else _task_id(code.event),
        expected=expected,
        actual=actual,
        expected_at=expected_at,
        actual_at=actual_at,
        cause=cause,
        comparison=side_by_side(
            Side("history holds", expected, expected_at, before, after),
            Side("the code did", actual, where, code.before, code.after),
        ),
    )


def unasked_patch(
    info: InstanceInfo, history: Sequence[Segment], segment: Segment, mark: PatchMarked, waits_at: str
) -> NonDeterminismError:
    """The error for a patch mark for which the code does not ask."""
    name = mark.patch_id
    cause = (
        f"this code is older than the change '{name}', or ctx.patched('{name}') was removed too soon: put "
        f"ctx.deprecate_patch('{name}') in its place until no open instance has this mark"
    )
    return _error(info, history, (segment,), mark, _Code(None, waits_at), cause)


def _likely_cause(
    recorded: Event | None,
    made: Event | None,
    known: Sequence[Event],
    made_later: Sequence[Event],
    mentioned: Collection[str],
) -> str:
    """known: the events of the history after ``recorded``. mentioned: names that the code mentions."""
    if made is None:
        return f"a call was removed, or a condition or loop takes another path than before; {_HINT}"
    if isinstance(recorded, _ENDS) or isinstance(made, _ENDS):
        return f"the code ends earlier, later or in another way than before; {_HINT}"
    if recorded is None:
        return f"a call was added, or a condition or loop takes another path than before; {_HINT}"
    comes_later = _what(recorded) in map(_what, made_later)
    came_later = isinstance(made, _NAMED) and _what(made) in map(_what, known)
    if comes_later and not came_later:
        return f"a call was added before this one, or the calls are made in another order; {_HINT}"
    if comes_later or (came_later and getattr(recorded, "name", "") in mentioned):
        return "the same calls are made in another order"
    if came_later:
        return f"a call was removed, or the calls are made in another order; {_HINT}"
    if type(recorded) is type(made) and isinstance(recorded, _NAMED):
        if recorded.name in mentioned:
            return f"the same calls are made in another order, or a condition takes another path than before; {_HINT}"
        return f"the call was renamed or replaced, or a condition takes another path than before; {_HINT}"
    return f"a call was added or removed, or a condition takes another path than before; {_HINT}"


def _what(event: Event) -> tuple[type, object]:
    return type(event), getattr(event, "name", None) or getattr(event, "operation", None)


def _task_id(event: Event | None) -> int | None:
    return getattr(event, "task_id", None)


def _line_of(event: Event | None, known: Sequence[Segment]) -> str:
    """``file:line`` of the decision in the history; for a result, of its call."""
    line, task_id = getattr(event, "line", ""), _task_id(event)
    if line or task_id is None:
        return line
    calls = (e for segment in known for e in segment.events if isinstance(e, Called))
    return next((call.line for call in calls if call.task_id == task_id), "")


def _around(
    history: Sequence[Segment], following: Sequence[Segment], event: Event | None
) -> tuple[list[Event], list[Event]]:
    """The events of the history before and after this one; for None, around the end of the first following segment."""
    known = [e for segment in (*history[-NEARBY:], *following[: NEARBY + 1]) for e in segment.events]
    end = sum(len(segment.events) for segment in (*history[-NEARBY:], following[0]))
    at = next((at for at, e in enumerate(known) if e is event), None)
    before, after = (known[:end], known[end:]) if at is None else (known[:at], known[at + 1 :])
    return before[-NEARBY:], after[:NEARBY]


WIDTH = 52  # characters of a column


NEARBY = 3  # events shown before and after the difference, so that its place in the code can be recognised


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the comparison at the difference (``text``, and ``at``: ``file:line``), with events around it."""

    title: str
    text: str
    at: str
    before: Sequence[Event] = ()
    after: Sequence[Event] = ()

    def above(self) -> list[str]:
        return [line for event in self.before[-NEARBY:] for line in _cell("  ", describe(event))]

    def here(self) -> list[str]:
        cell = _cell("> ", self.text or "nothing")
        return [*cell, *_cell("    ", self.at)] if self.at else cell

    def below(self) -> list[str]:
        return [line for event in self.after[:NEARBY] for line in _cell("  ", describe(event))]


def side_by_side(left: Side, right: Side) -> list[str]:
    """The lines of a table of two columns, with the difference in the same row of both."""
    above, above_too = left.above(), right.above()
    height = max(len(above), len(above_too))
    rows = [
        (left.title, right.title),
        ("-" * WIDTH, "-" * WIDTH),
        *zip(_lowered(above, height), _lowered(above_too, height), strict=True),
        *zip_longest(left.here(), right.here(), fillvalue=""),
        *zip_longest(left.below(), right.below(), fillvalue=""),
    ]
    return [f"  {one:<{WIDTH}} | {other}".rstrip() for one, other in rows]


def _lowered(lines: list[str], height: int) -> list[str]:
    return [""] * (height - len(lines)) + lines


def _cell(mark: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=mark, subsequent_indent="    ", break_on_hyphens=False, drop_whitespace=True
    )
