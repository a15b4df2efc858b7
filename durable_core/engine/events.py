"""History events: what an orchestration instance is made of. Pure data with DurableTask's names.

Two directions meet in history. *Incoming* events tell the orchestrator something (a result, a fired timer, an
external event); *outgoing* ones record a decision of its code and are at the same time what the dispatcher acts on.

A commit is a ``Segment``: its incoming events in the order in which they were applied, then its outgoing ones in the
order in which the code made them. The segment's time is the orchestrator's clock while it ran (DurableTask's
OrchestratorStarted; it is not repeated as an event).

Stored form: a JSON array per event, a two-letter code and then the fields in order. New fields go to the end with a
default, so that older events stay readable; trailing defaults are not written. Values are JSON values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeAlias

from ..errors import DamagedRowError, NewerFormatError
from ..models import JSON, FailureDetails
from ..moments import from_epoch
from .frozen import maker, twin_of

# ---------------------------------------------------------------- incoming


@dataclass(frozen=True, slots=True)
class ExecutionStarted:
    name: str
    version: str
    input: JSON = None


@dataclass(frozen=True, slots=True)
class TaskCompleted:
    task_id: int
    result: JSON = None


@dataclass(frozen=True, slots=True)
class TaskFailed:
    task_id: int
    failure: FailureDetails


@dataclass(frozen=True, slots=True)
class TimerFired:
    task_id: int


@dataclass(frozen=True, slots=True)
class SubOrchestrationCompleted:
    task_id: int
    result: JSON = None


@dataclass(frozen=True, slots=True)
class SubOrchestrationFailed:
    task_id: int
    failure: FailureDetails


@dataclass(frozen=True, slots=True)
class EventRaised:
    """``name`` as the sender wrote it. Here and below, ``event_id`` is the key of the inbox row it came from, by which
    the same row read twice is known."""

    name: str
    data: JSON = None
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class StepCompleted:
    """An inline step (``ctx.run``): its only event, so that it costs one write. ``failure`` None: it succeeded."""

    task_id: int
    name: str
    result: JSON = None
    failure: FailureDetails | None = None
    line: str = ""


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
    """``recursive``: its open sub-orchestrations are terminated too."""

    reason: str = ""
    event_id: str = ""
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Cooperative: a TaskCancelledError is raised where the code waits. ``recursive`` as in a termination."""

    reason: str = ""
    event_id: str = ""
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionTimedOut:
    """The whole run took longer than its start allowed. ``deadline`` is UTC."""

    deadline: datetime


# ---------------------------------------------------------------- outgoing


@dataclass(frozen=True, slots=True)
class TaskScheduled:
    """``line`` is where in the user's code, as ``file:line``. ``options`` holds what the worker must know."""

    task_id: int
    name: str
    input: JSON = None
    line: str = ""
    options: JSON = None


@dataclass(frozen=True, slots=True)
class TimerCreated:
    """``fire_at`` is UTC."""

    task_id: int
    fire_at: datetime
    line: str = ""


@dataclass(frozen=True, slots=True)
class TimerCanceled:
    task_id: int
    line: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SubOrchestrationCreated:
    """``version`` None: the default, or newest, when the child is made. ``instance_id`` '' : derived from the parent.

    options: ``timeout``, seconds for the child's whole run.
    """

    task_id: int
    name: str
    version: str | None = None
    instance_id: str = ""
    input: JSON = None
    line: str = ""
    options: JSON = None

    def option(self, name: str) -> JSON:
        """An option by name; None if it was not given."""
        options: dict[str, JSON] = self.options or {}
        return options.get(name)


@dataclass(frozen=True, slots=True)
class OrchestrationStarted:
    """A detached orchestration: started, and not waited for. ``version`` as in ``SubOrchestrationCreated``."""

    task_id: int
    name: str
    instance_id: str
    version: str | None = None
    input: JSON = None
    line: str = ""


@dataclass(frozen=True, slots=True)
class EventSent:
    task_id: int
    instance_id: str
    name: str
    data: JSON = None
    line: str = ""


@dataclass(frozen=True, slots=True)
class RequestSent:
    """A cancellation or the end of this orchestration goes on to an open sub-orchestration.

    child: the task id of its call. kind: 'cancel' or 'terminate'.
    """

    child: int
    kind: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PatchMarked:
    """``ctx.patched`` said yes here, and what follows is the changed code's. deprecated: by ``deprecate_patch``."""

    patch_id: str
    line: str = ""
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class ContinueAsNew:
    """Ends a generation; the next one starts with ``input``.

    version: of the next one; None: the same. upgrade: the one that a new start takes, when the commit is written.
    """

    input: JSON = None
    keep_events: bool = True
    version: str | None = None
    upgrade: bool = False
    line: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ExecutionCompleted:
    """``status`` is the RuntimeStatus it ended with. ``failure`` None unless it failed. ``line``: where the code
    returned, or raised what it failed with."""

    status: str
    result: JSON = None
    failure: FailureDetails | None = None
    line: str = field(default="", compare=False)


Incoming: TypeAlias = (
    ExecutionStarted
    | TaskCompleted
    | TaskFailed
    | TimerFired
    | SubOrchestrationCompleted
    | SubOrchestrationFailed
    | EventRaised
    | StepCompleted
    | ExecutionSuspended
    | ExecutionResumed
    | ExecutionTerminated
    | CancelRequested
    | ExecutionTimedOut
)
Outgoing: TypeAlias = (
    TaskScheduled
    | TimerCreated
    | TimerCanceled
    | SubOrchestrationCreated
    | OrchestrationStarted
    | EventSent
    | RequestSent
    | PatchMarked
    | ContinueAsNew
    | ExecutionCompleted
)
Event: TypeAlias = Incoming | Outgoing


@dataclass(frozen=True, slots=True)
class Segment:
    """One commit. ``seq`` numbers the commits of an execution; ``commit_id`` is random and tells whose it is."""

    seq: int
    commit_id: str
    timestamp: datetime
    events: tuple[Event, ...]


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
    "ER": EventRaised,
    "IC": StepCompleted,
    "XP": ExecutionSuspended,
    "XR": ExecutionResumed,
    "XT": ExecutionTerminated,
    "XQ": CancelRequested,
    "XO": ExecutionTimedOut,
    "TS": TaskScheduled,
    "RC": TimerCreated,
    "RX": TimerCanceled,
    "SC": SubOrchestrationCreated,
    "OS": OrchestrationStarted,
    "ES": EventSent,
    "QS": RequestSent,
    "PM": PatchMarked,
    "CN": ContinueAsNew,
    "XC": ExecutionCompleted,
}
_CODE_OF = {kind: code for code, kind in _CODES.items()}
_DEFAULTS = {kind: tuple(f.default for f in fields(kind)) for kind in _CODE_OF}
_NAMES = {kind: tuple(f.name for f in fields(kind)) for kind in _CODE_OF}


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
    """What reads all fields of an event of this kind, in order."""
    first, *more = _NAMES[kind]
    return attrgetter(first, *more) if more else lambda event: (getattr(event, first),)


def from_array(array: list[JSON]) -> Event:
    """The event of a stored form. NewerFormatError if this version does not know it."""
    return from_arrays((array,))[0]


def from_arrays(arrays: Iterable[list[JSON]]) -> tuple[Event, ...]:
    """The events of stored forms, in order. NewerFormatError if this version does not know one, DamagedRowError if
    a field holds what no version writes."""
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
        raise NewerFormatError(f"history holds an event of kind '{code}', which this version does not know") from None
    except TypeError as error:
        raise NewerFormatError(f"history holds a '{code}' event with fields that this version does not know") from error
    return tuple(events)


def _converted(convert: Callable[[list[JSON]], list[JSON]], array: list[JSON]) -> list[JSON]:
    try:
        return convert(array)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise DamagedRowError(f"history holds a '{array[0]}' event with a field that cannot be: {problem}") from error


def _failure_at(at: int) -> Callable[[list[JSON]], list[JSON]]:
    """What reads the failure in this place of a stored form."""
    return lambda array: [*array[:at], FailureDetails.from_json(array[at]), *array[at + 1 :]]


def _failure_if_any_at(at: int) -> Callable[[list[JSON]], list[JSON]]:
    read = _failure_at(at)
    return lambda array: array if len(array) <= at or array[at] is None else read(array)


def _time_at(at: int) -> Callable[[list[JSON]], list[JSON]]:
    return lambda array: [*array[:at], from_epoch(array[at]), *array[at + 1 :]]


_CONVERTED = {  # kinds with a field that is no JSON value
    TaskFailed: _failure_at(2),
    SubOrchestrationFailed: _failure_at(2),
    StepCompleted: _failure_if_any_at(4),
    ExecutionCompleted: _failure_if_any_at(3),
    TimerCreated: _time_at(2),
    ExecutionTimedOut: _time_at(1),
}
_VALUES = {kind: _values_of(kind) for kind in _CODE_OF}
_FORMS = {code: (twin_of(kind, "code"), kind, _CONVERTED.get(kind)) for code, kind in _CODES.items()}


def describe(event: Event) -> str:
    """One readable line of an event, for errors and listings."""
    kind = type(event)
    parts = [
        f"{name}={value.isoformat() if isinstance(value, datetime) else repr(value)}"
        for name in _NAMES[kind]
        if name in ("task_id", "name", "instance_id", "fire_at", "patch_id", "status", "event_id", "child", "kind")
        and (value := getattr(event, name)) not in ("", None)
    ]
    return f"{kind.__name__}({', '.join(parts)})"
