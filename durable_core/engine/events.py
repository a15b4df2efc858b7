"""The events of the history, with the names of DurableTask, and their stored form.

The history holds events of two directions. *Incoming* events give something to the orchestrator: a result, a fired
timer, an external event. *Outgoing* events are decisions of its code, which the runtime dispatches.

A commit is a ``Segment``: its incoming events in the order in which they were applied, then its outgoing events in the
order in which the code made them. The time of the segment is the orchestrator's clock while its code ran (DurableTask's
OrchestratorStarted, which is not stored as an event here).

Stored form: a JSON array per event, with a two-letter code and then the fields in order. A new field is added at the
end with a default value, so that older events stay readable; trailing default values are not written. Values are JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeAlias

from ..errors import DamagedRowError, NewerFormatError
from ..lazy_dataclass import dataclass, fields_of
from ..models import JSON, FailureDetails
from ..moments import from_epoch
from .frozen import maker, twin_of

# ---------------------------------------------------------------- incoming


@dataclass(frozen=True, slots=True)
class ExecutionStarted:
    """slot: that of a limit, which the generation before has held and this one goes on to hold: ``[gate, name]``."""

    name: str
    version: str
    input: JSON = None
    slot: JSON = None


@dataclass(frozen=True, slots=True)
class TaskCompleted:
    """The success of an activity.

    timing: ``[ms, ms, host]`` of the last attempt: how long it waited from when it was due, how long it ran, and the id
    of the host process. attempt: the number of the last attempt. tries: the first attempt and the last four, where
    there was more than one (see ``hub.attempts``). Here and below, these three are for people: two events that differ
    in nothing else are equal.
    waits: an invocation of a journaled activity has ended, and these are what the call waits for (``journal_waits``);
        None: the call has ended. Versions before journals do not read it, and leave the instance to others.
    """

    task_id: int
    result: JSON = None
    timing: JSON = field(default=None, compare=False)
    attempt: int = field(default=1, compare=False)
    tries: JSON = field(default=None, compare=False)
    waits: JSON = None


@dataclass(frozen=True, slots=True)
class TaskFailed:
    task_id: int
    failure: FailureDetails
    timing: JSON = field(default=None, compare=False)
    attempt: int = field(default=1, compare=False)
    tries: JSON = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TimerFired:
    task_id: int


@dataclass(frozen=True, slots=True)
class SubOrchestrationCompleted:
    task_id: int
    result: JSON = None
    attempt: int = field(default=1, compare=False)
    tries: JSON = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SubOrchestrationFailed:
    task_id: int
    failure: FailureDetails
    attempt: int = field(default=1, compare=False)
    tries: JSON = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class OperationAnswered:
    """The answer of an entity to a call. ``failure`` None: success."""

    task_id: int
    result: JSON = None
    failure: FailureDetails | None = None


@dataclass(frozen=True, slots=True)
class LockGranted:
    """All entities of a lock request are locked."""

    task_id: int


@dataclass(frozen=True, slots=True)
class EventRaised:
    """An external event; ``name`` in the sender's letter case. Here and below, ``event_id`` is the key of the event's
    inbox row, by which a row that is read twice is recognised."""

    name: str
    data: JSON = None
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class UpdateAccepted:
    """An update that a handler has accepted; its validator is not called again in a replay. ``data``: the arguments.
    ``update_id``: chosen by the sender, unique in the execution."""

    name: str
    data: JSON = None
    event_id: str = ""
    update_id: str = ""


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """The end of a step (``ctx.run``), and its only event, so that it costs one write. ``failure`` None: success."""

    task_id: int
    name: str
    result: JSON = None
    failure: FailureDetails | None = None
    line: str = ""
    timing: JSON = field(default=None, compare=False)
    attempt: int = field(default=1, compare=False)
    tries: JSON = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ExecutionSuspended:
    reason: str = ""
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionResumed:
    reason: str = ""
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class ExecutionTerminated:
    """A termination. ``recursive``: whether the open sub-orchestrations are terminated, too."""

    reason: str = ""
    event_id: str = ""
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """A cancellation: a TaskCancelledError is raised where the code waits. ``recursive`` as in a termination."""

    reason: str = ""
    event_id: str = ""
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionTimedOut:
    """The execution has passed its ``deadline``, which is in UTC."""

    deadline: datetime


@dataclass(frozen=True, slots=True)
class ExecutionRewound:
    """A rewind: the commits of this generation from ``to`` on are void, up to the one with this event.

    number: of the rewind in its execution, from 1. undone: the ids of tasks that are done again, though they ended.
    again: the ids of all calls that are dispatched for this event: those that are open without the void commits.
    last: the highest task id of the void commits; later calls have higher ones.
    shift: seconds by which open timers move.
    request_id: tells this rewind from others, for callers that ask again and for new random numbers.
    inputs: of a fork, the inputs with which open calls run instead of their own: pairs of task id and input.
    ended: the ids of open calls that have ended and are not done again. Maps call the items anew that have failed, of
        these calls and of earlier ones. None: they do not, as the code is a fork's or an older build wrote the event.
    """

    number: int
    to: int
    undone: JSON
    again: JSON
    last: int
    shift: float
    request_id: str
    reason: str = ""
    inputs: JSON = None
    ended: JSON = None


# ---------------------------------------------------------------- outgoing


@dataclass(frozen=True, slots=True)
class TaskScheduled:
    """A call of an activity. ``line`` is the ``file:line`` of the call; ``options`` are those that the worker needs.

    headers: here and below, those that interceptors have given the call, as an object; None: those of the instance.
    """

    task_id: int
    name: str
    input: JSON = None
    line: str = ""
    options: JSON = None
    headers: JSON = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TimerCreated:
    """A new timer. ``fire_at`` is in UTC."""

    task_id: int
    fire_at: datetime
    line: str = ""


@dataclass(frozen=True, slots=True)
class TimerCanceled:
    task_id: int
    line: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SubOrchestrationCreated:
    """A call of a sub-orchestration. ``version`` None takes the default or newest one at the start of the child;
    ``instance_id`` '' is derived from the parent.

    options: ``timeout``, the time limit of the child in seconds.
    """

    task_id: int
    name: str
    version: str | None = None
    instance_id: str = ""
    input: JSON = None
    line: str = ""
    options: JSON = None
    headers: JSON = field(default=None, compare=False)

    def option(self, name: str) -> JSON:
        """An option by name; None if it was not given."""
        options: dict[str, JSON] = self.options or {}
        return options.get(name)


@dataclass(frozen=True, slots=True)
class OrchestrationStarted:
    """A detached orchestration, started without waiting for it. ``version`` as in ``SubOrchestrationCreated``."""

    task_id: int
    name: str
    instance_id: str
    version: str | None = None
    input: JSON = None
    line: str = ""
    headers: JSON = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class EventSent:
    task_id: int
    instance_id: str
    name: str
    data: JSON = None
    line: str = ""


@dataclass(frozen=True, slots=True)
class EntityCalled:
    """A call of an operation of an entity. ``entity`` as ``@name@key``.

    section: the task id of the lock request, if the call is made in a critical section; 0 if not.
    after, busy: here and below. after: the number of the commit of this generation before this one that holds a
        decision for the same entity; -1 if there is none. The entity applies the decisions of one sender in their
        order.
    busy: whether earlier calls to this entity are open, so that it must keep their answers.
    """

    task_id: int
    entity: str
    operation: str
    input: JSON = None
    line: str = ""
    section: int = 0
    after: int = field(default=-1, compare=False)
    busy: bool = field(default=False, compare=False)
    headers: JSON = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class EntitySignaled:
    """An operation that is sent to an entity without waiting for it. ``at``: not to run before then, in UTC."""

    task_id: int
    entity: str
    operation: str
    input: JSON = None
    line: str = ""
    at: datetime | None = None
    after: int = field(default=-1, compare=False)
    busy: bool = field(default=False, compare=False)
    headers: JSON = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LockRequested:
    """A request to lock these entities, in the order in which they are locked. Begins a critical section, which is
    known by this task id."""

    task_id: int
    entities: JSON
    line: str = ""
    after: int = field(default=-1, compare=False)
    busy: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class LockReleased:
    """The end of a critical section, or of the request for its locks. ``entities`` as in the request."""

    section: int
    entities: JSON
    line: str = field(default="", compare=False)
    after: int = field(default=-1, compare=False)
    busy: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class RequestSent:
    """A cancellation or termination that is sent to an open sub-orchestration.

    child: the task id of its call. kind: 'cancel' or 'terminate'.
    """

    child: int
    kind: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UpdateEnded:
    """The handler of an update has ended. The result or failure is in the row of the update, written by the same
    commit. ``line``: where the handler has raised."""

    update_id: str
    failed: bool = False
    line: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class PatchMarked:
    """``ctx.patched`` was True here; the decisions after it are those of the new code.

    deprecated: whether ``deprecate_patch`` has made the mark.
    """

    patch_id: str
    line: str = ""
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class ContinueAsNew:
    """The end of a generation; the next one starts with ``input``.

    version: that of the next generation; None keeps it. upgrade: take the version of a new start, at the commit.
    """

    input: JSON = None
    keep_events: bool = True
    version: str | None = None
    upgrade: bool = False
    line: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ExecutionCompleted:
    """The end of an execution with ``status``, a RuntimeStatus. ``failure`` is None unless it failed. ``line``: the
    ``file:line`` at which the code has returned or raised. ``because``: the ids of the tasks whose failures have ended
    a failed execution, also of batches of a map with a failed item; None if there is none. ``over``: for those of them
    that are items of a map which was over at the end of another task, pairs of the id and that of the other task."""

    status: str
    result: JSON = None
    failure: FailureDetails | None = None
    line: str = field(default="", compare=False)
    because: JSON = field(default=None, compare=False)
    over: JSON = field(default=None, compare=False)


Incoming: TypeAlias = (
    ExecutionStarted
    | TaskCompleted
    | TaskFailed
    | TimerFired
    | SubOrchestrationCompleted
    | SubOrchestrationFailed
    | OperationAnswered
    | LockGranted
    | EventRaised
    | UpdateAccepted
    | StepCompleted
    | ExecutionSuspended
    | ExecutionResumed
    | ExecutionTerminated
    | CancelRequested
    | ExecutionTimedOut
    | ExecutionRewound
)
Outgoing: TypeAlias = (
    TaskScheduled
    | TimerCreated
    | TimerCanceled
    | SubOrchestrationCreated
    | OrchestrationStarted
    | EventSent
    | EntityCalled
    | EntitySignaled
    | LockRequested
    | LockReleased
    | RequestSent
    | UpdateEnded
    | PatchMarked
    | ContinueAsNew
    | ExecutionCompleted
)
Event: TypeAlias = Incoming | Outgoing
Called: TypeAlias = TaskScheduled | TimerCreated | SubOrchestrationCreated | EntityCalled | LockRequested
"""Decisions that have a result, for which the code can wait."""
Answered: TypeAlias = (
    TaskCompleted | TaskFailed | SubOrchestrationCompleted | SubOrchestrationFailed | OperationAnswered | LockGranted
)
"""The ends of calls that others have carried out: of all but timers."""
ForEntity: TypeAlias = EntityCalled | EntitySignaled | LockRequested | LockReleased
"""Decisions that are sent to an entity."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One commit. ``seq`` numbers the commits of an execution; ``commit_id`` is random and identifies the write.

    told: what commits brought that are void since this one, and the next turn tells again; it is stored with them.
    """

    seq: int
    commit_id: str
    timestamp: datetime
    events: tuple[Event, ...]
    told: tuple[Incoming, ...] = ()


make_segment = maker(Segment)
make_task_scheduled = maker(TaskScheduled)

# ---------------------------------------------------------------- stored form

_CODES: dict[str, type[Any]] = {
    "XS": ExecutionStarted,
    "TC": TaskCompleted,
    "TF": TaskFailed,
    "RF": TimerFired,
    "SD": SubOrchestrationCompleted,
    "SF": SubOrchestrationFailed,
    "NA": OperationAnswered,
    "LG": LockGranted,
    "ER": EventRaised,
    "UA": UpdateAccepted,
    "IC": StepCompleted,
    "XP": ExecutionSuspended,
    "XR": ExecutionResumed,
    "XT": ExecutionTerminated,
    "XQ": CancelRequested,
    "XO": ExecutionTimedOut,
    "XB": ExecutionRewound,
    "TS": TaskScheduled,
    "RC": TimerCreated,
    "RX": TimerCanceled,
    "SC": SubOrchestrationCreated,
    "OS": OrchestrationStarted,
    "ES": EventSent,
    "NC": EntityCalled,
    "NS": EntitySignaled,
    "LQ": LockRequested,
    "LX": LockReleased,
    "QS": RequestSent,
    "UE": UpdateEnded,
    "PM": PatchMarked,
    "CN": ContinueAsNew,
    "XC": ExecutionCompleted,
}
_CODE_OF = {kind: code for code, kind in _CODES.items()}
_DEFAULTS = {kind: tuple(each.default for each in fields_of(kind).values()) for kind in _CODE_OF}
_NAMES = {kind: tuple(fields_of(kind)) for kind in _CODE_OF}


def to_array(event: Event) -> list[JSON]:
    """The stored form of an event."""
    kind = type(event)
    defaults = _DEFAULTS[kind]
    values = _VALUES[kind](event)
    last = len(defaults)
    while last and (value := values[last - 1]) == defaults[last - 1] and type(value) is type(defaults[last - 1]):
        last -= 1
    stored = [_stored(value) for value in values[:last]] if kind in _CONVERTED else values[:last]
    return [_CODE_OF[kind], *stored]


def _stored(value: Any) -> JSON:
    if isinstance(value, FailureDetails):
        return value.to_json()
    return value.timestamp() if isinstance(value, datetime) else value


def _values_of(kind: type[Any]) -> Callable[[Any], Sequence[Any]]:
    """A function that returns the values of all fields of an event of this kind, in order."""
    first, *more = _NAMES[kind]
    return attrgetter(first, *more) if more else lambda event: (getattr(event, first),)


def from_array(array: list[JSON]) -> Event:
    """The event of a stored form. Errors as ``from_arrays``."""
    return from_arrays((array,))[0]


def from_arrays(arrays: Iterable[list[JSON]]) -> tuple[Event, ...]:
    """The events of stored forms, in order. NewerFormatError for an event of a newer version, DamagedRowError for a
    field with a value that no version writes."""
    events: list[Event] = []
    code: Any = ""
    try:
        for array in arrays:
            code = array[0] if array else ""
            twin, kind, convert = _FORMS[code]
            event = twin(*array) if convert is None else twin(*_converted(convert, array))
            event.__class__ = kind
            events.append(event)
    except KeyError:
        raise NewerFormatError(
            f"the history holds an event of kind '{code}', which this version does not know"
        ) from None
    except TypeError as error:
        raise NewerFormatError(
            f"the history holds a '{code}' event with fields that this version does not know"
        ) from error
    return tuple(events)


def _converted(convert: Callable[[list[JSON]], list[JSON]], array: list[JSON]) -> list[JSON]:
    try:
        return convert(array)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise DamagedRowError(f"the history holds a '{array[0]}' event with an invalid field: {problem}") from error


def _failure_at(at: int) -> Callable[[list[JSON]], list[JSON]]:
    """A function that converts the failure at this index of a stored form."""
    return lambda array: [*array[:at], FailureDetails.from_json(array[at]), *array[at + 1 :]]


def _failure_if_any_at(at: int) -> Callable[[list[JSON]], list[JSON]]:
    read = _failure_at(at)
    return lambda array: array if len(array) <= at or array[at] is None else read(array)


def _time_if_any_at(at: int) -> Callable[[list[JSON]], list[JSON]]:
    read = _time_at(at)
    return lambda array: array if len(array) <= at or array[at] is None else read(array)


def _time_at(at: int) -> Callable[[list[JSON]], list[JSON]]:
    return lambda array: [*array[:at], from_epoch(array[at]), *array[at + 1 :]]


_CONVERTED = {  # kinds with a field that is not a JSON value
    TaskFailed: _failure_at(2),
    SubOrchestrationFailed: _failure_at(2),
    StepCompleted: _failure_if_any_at(4),
    ExecutionCompleted: _failure_if_any_at(3),
    OperationAnswered: _failure_if_any_at(3),
    EntitySignaled: _time_if_any_at(6),
    TimerCreated: _time_at(2),
    ExecutionTimedOut: _time_at(1),
}
_VALUES = {kind: _values_of(kind) for kind in _CODE_OF}
_FORMS = {code: (twin_of(kind, "code"), kind, _CONVERTED.get(kind)) for code, kind in _CODES.items()}


_DESCRIBED = frozenset(
    {
        *("task_id", "name", "instance_id", "fire_at", "patch_id", "status", "event_id", "child", "kind"),
        *("entity", "operation", "section", "entities", "update_id"),
    }
)


def describe(event: Event) -> str:
    """One readable line for an event, for errors and listings."""
    kind = type(event)
    parts = [
        f"{name}={value.isoformat() if isinstance(value, datetime) else repr(value)}"
        for name in _NAMES[kind]
        if name in _DESCRIBED and (value := getattr(event, name)) not in ("", None)
    ]
    return f"{kind.__name__}({', '.join(parts)})"
