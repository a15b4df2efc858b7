"""The frozen data classes that users and all layers share: statuses, failures, retry policies.

Imports errors and no other layer. ``JSON`` is the type of every stored value.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from .errors import NonRetriableError, TaskFailedError
from .lazy_dataclass import dataclass
from .moments import LAST_SECONDS
from .user_code import attribute_of, text_of

JSON: TypeAlias = Any  # None | bool | int | float | str | list[JSON] | dict[str, JSON]; a recursive alias slows pyright

_NAME: Any = vars(type)["__qualname__"]
_MODULE: Any = vars(type)["__module__"]
MAX_STACK = 8_000  # characters of a stack trace that are kept: enough for the frames that matter
MAX_MESSAGE = 4_000
MAX_CAUSES = 5
MAX_MEMBERS = 5  # of an exception group


class RuntimeStatus(StrEnum):
    """The state of an instance, with the names of Durable Functions."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETED = "Completed"
    FAILED = "Failed"
    TERMINATED = "Terminated"
    CANCELED = "Canceled"
    CONTINUED_AS_NEW = "ContinuedAsNew"

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({RuntimeStatus.COMPLETED, RuntimeStatus.FAILED, RuntimeStatus.TERMINATED, RuntimeStatus.CANCELED})
STATUSES = {status.value: status for status in RuntimeStatus}
"""The statuses by their texts: the enum itself takes three calls to find one."""


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """An exception as data, to be stored in the history and sent between hosts.

    ``type`` is the exception's qualified name (without ``builtins``), ``bases`` the names of its base classes, by
    which ``is_caused_by(OSError)`` matches a ``FileNotFoundError`` of another process. With ``retriable`` False, no
    retry policy starts another attempt. ``members`` are the first exceptions of an ``ExceptionGroup``. ``line``: in the
    failure of an orchestrator, the ``file:line`` of its code that raised; '' if it is not known.
    """

    type: str
    message: str
    stack_trace: str = ""
    cause: FailureDetails | None = None
    retriable: bool = True
    bases: tuple[str, ...] = ()
    members: tuple[FailureDetails, ...] = ()
    line: str = field(default="", compare=False)

    @classmethod
    def from_exception(cls, error: BaseException, *, retriable: bool = True, depth: int = 0) -> FailureDetails:
        """The failure of an exception and of its chain of causes. Never raises, even if ``str(error)`` does.

        Texts and the chain are cut: a failure takes some 100 KB at most. With ``retriable`` False, or for a
        ``NonRetriableError``, the failure is final.
        """
        kind, text = type(error), text_of(error)[:MAX_MESSAGE]
        inner: FailureDetails | None = None
        if issubclass(kind, TaskFailedError):
            inner = attribute_of(error, "failure", FailureDetails)
        elif depth < MAX_CAUSES:
            following = _cause_of(error)
            inner = None if following is None else cls.from_exception(following, depth=depth + 1)
        return cls(
            type=type_name(kind),
            message=text,
            stack_trace=_stack_of(error, text),
            cause=inner,
            retriable=retriable and not issubclass(kind, NonRetriableError),
            bases=tuple(type_name(b) for b in kind.__mro__[1:] if b not in (object, BaseException, Exception)),
            members=tuple(cls.from_exception(member, depth=depth + 2) for member in _members_of(error, depth)),
        )

    def is_caused_by(self, kind: type[BaseException] | str) -> bool:
        """Whether this failure, or one in its chain of causes, has this exception type or derives from it.

        A name may be qualified or not: ``"app.errors.CardRefused"`` or ``"CardRefused"``.
        """
        wanted = kind if isinstance(kind, str) else type_name(kind)
        if wanted in ("Exception", "BaseException"):
            return True
        if any(name == wanted or name.endswith(f".{wanted}") for name in (self.type, *self.bases)):
            return True
        return any(failure.is_caused_by(wanted) for failure in (self.cause, *self.members) if failure is not None)

    def to_json(self) -> JSON:
        out: dict[str, JSON] = {"type": self.type, "message": self.message}
        if self.stack_trace:
            out["stack"] = self.stack_trace
        if self.bases:
            out["bases"] = list(self.bases)
        if not self.retriable:
            out["retriable"] = False
        if self.cause is not None:
            out["cause"] = self.cause.to_json()
        if self.members:
            out["members"] = [member.to_json() for member in self.members]
        if self.line:
            out["line"] = self.line
        return out

    @classmethod
    def from_json(cls, data: JSON) -> FailureDetails:
        cause = data.get("cause")
        return cls(
            type=data["type"],
            message=data["message"],
            stack_trace=data.get("stack", ""),
            cause=None if cause is None else cls.from_json(cause),
            retriable=data.get("retriable", True),
            bases=tuple(data.get("bases", ())),
            members=tuple(cls.from_json(member) for member in data.get("members", ())),
            line=data.get("line", ""),
        )


def _members_of(error: BaseException, depth: int) -> Sequence[BaseException]:
    """The first exceptions of a group; none at the third level of nested groups, so that the size stays bounded."""
    if depth > 2 or not issubclass(type(error), BaseExceptionGroup):
        return ()
    members = cast("tuple[BaseException, ...] | None", attribute_of(error, "exceptions", tuple))
    return (members or ())[:MAX_MEMBERS]


def _cause_of(error: BaseException) -> BaseException | None:
    """The exception from which this one was raised, or in whose handler."""
    cause = attribute_of(error, "__cause__", BaseException)
    if cause is not None or attribute_of(error, "__suppress_context__", bool):
        return cause
    return attribute_of(error, "__context__", BaseException)


def _stack_of(error: BaseException, text: str) -> str:
    """The stack trace of this exception alone, as Python prints it; ``traceback`` would add causes and members."""
    notes = cast("list[object] | None", attribute_of(error, "__notes__", list)) or ()
    trace = attribute_of(error, "__traceback__", TracebackType)
    lines = ["Traceback (most recent call last):\n", *traceback.format_tb(trace)]
    lines.append(f"{type_name(type(error))}: {text}\n" if text else f"{type_name(type(error))}\n")
    lines.extend(f"{note}\n" for note in notes if isinstance(note, str))
    return "".join(lines)[-MAX_STACK:].encode("utf-8", "backslashreplace").decode()


def type_name(kind: type) -> str:
    """The name of an exception type in histories: qualified, but without ``builtins``."""
    name, module = _NAME.__get__(kind), _MODULE.__get__(kind)  # not of a metaclass, which may have others
    return name if module == "builtins" else f"{module}.{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and after which delays, a failed activity, step or sub-orchestration is tried again.

    ``max_attempts`` counts the first attempt. The delay before attempt n+1 is ``first_interval * backoff**(n-1)``, at
    most ``max_interval``; ``jitter`` (0 to 1) shortens each delay by a random share of at most this. ``total_timeout``
    bounds the time from the start of the first attempt to the start of the last. A failure whose exception type (or
    the name of it) is in ``non_retriable`` is final; so is one for which ``retry_if`` returns False. ``retry_if`` is
    called after all other checks. No delay follows the last failure.

    Raises ValueError for an option out of its range or of the wrong type.
    """

    max_attempts: int = 3
    first_interval: timedelta = timedelta(seconds=1)
    backoff: float = 2.0
    max_interval: timedelta = timedelta(minutes=10)
    total_timeout: timedelta | None = None
    jitter: float = 0.0
    non_retriable: Sequence[type[BaseException] | str] = ()
    retry_if: Callable[[FailureDetails], bool] | None = None

    def __post_init__(self) -> None:
        for name in ("first_interval", "max_interval", "total_timeout"):
            value: object = getattr(self, name)
            if not isinstance(value, timedelta) and not (value is None and name == "total_timeout"):
                raise ValueError(f"{name} must be a datetime.timedelta such as timedelta(seconds=5), not {value!r}")
        for name, kinds in (("max_attempts", int), ("backoff", int | float), ("jitter", int | float)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise ValueError(f"{name} must be a {'whole ' if kinds is int else ''}number, not {value!r}")
        if self.retry_if is not None and not callable(self.retry_if):
            raise ValueError(f"retry_if must be a function that takes a FailureDetails, not {self.retry_if!r}")
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts counts the first attempt and must be at least 1, not {self.max_attempts}")
        if self.first_interval < timedelta(0) or self.max_interval < timedelta(0):
            raise ValueError(
                f"intervals must not be negative, but first_interval is {self.first_interval} and max_interval is "
                f"{self.max_interval}"
            )
        if not self.backoff >= 1:
            raise ValueError(f"backoff multiplies the interval and must be at least 1, not {self.backoff}")
        if not self.backoff < math.inf:
            raise ValueError(f"backoff must be a finite number, not {self.backoff}; max_interval bounds the wait")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is a share of the interval, from 0 to 1, not {self.jitter}")
        if self.total_timeout is not None and self.total_timeout < timedelta(0):
            raise ValueError(f"total_timeout must not be negative, but is {self.total_timeout}; None sets no bound")
        listed: Any = self.non_retriable
        if isinstance(listed, str | type):
            raise ValueError(f"non_retriable is a list of exception types or their names, not {listed!r}")

    def allows(self, failure: FailureDetails, attempt: int) -> bool:
        """Whether another attempt may follow attempt number ``attempt`` (from 1), which ended with ``failure``."""
        if attempt >= self.max_attempts or not failure.retriable:
            return False
        if any(failure.is_caused_by(kind) for kind in self.non_retriable):
            return False
        return self.retry_if is None or self.retry_if(failure)

    def delay_after(self, attempt: int, unit_random: float = 0.0) -> timedelta:
        """The delay after attempt number ``attempt`` (from 1) failed; ``unit_random`` in [0, 1) scales the jitter."""
        seconds = self.first_interval.total_seconds()
        ceiling = self.max_interval.total_seconds()
        for _ in range(attempt - 1):  # a loop, because a power would overflow; the loop stops at max_interval
            seconds *= self.backoff
            if seconds >= ceiling:
                break
        longest = min(seconds, ceiling, LAST_SECONDS)
        return timedelta(seconds=longest * (1 - self.jitter * unit_random))


def RetryOptions(first_retry_interval_in_milliseconds: int, max_number_of_attempts: int) -> RetryPolicy:
    """A retry policy with a fixed interval, with the parameter names of Durable Functions."""
    interval = timedelta(milliseconds=first_retry_interval_in_milliseconds)
    return RetryPolicy(max_attempts=max_number_of_attempts, first_interval=interval, backoff=1.0, max_interval=interval)


@dataclass(frozen=True, slots=True)
class ParentLink:
    """The task of a parent, and the attempt, to which a sub-orchestration reports its result."""

    instance_id: str
    execution_id: str
    generation: int
    task_id: int
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """The execution that an instance was made of, by a restart or a fork."""

    instance_id: str
    execution_id: str


class Operations(NamedTuple):
    """Numbers of storage operations, each as Azure bills it.

    reads: of tables, a page of rows is one. writes: of tables, a transaction is one.
    messages: on queues: each send, receipt and deletion of a message.
    """

    reads: int = 0
    writes: int = 0
    messages: int = 0

    @property
    def total(self) -> int:
        return self.reads + self.writes + self.messages

    def plus(self, other: Operations) -> Operations:
        if other is NO_OPERATIONS:  # nearly always
            return self
        if self is NO_OPERATIONS:
            return other
        return Operations(self.reads + other.reads, self.writes + other.writes, self.messages + other.messages)


NO_OPERATIONS = Operations()

WaitKind: TypeAlias = Literal[
    "activity", "timer", "event", "child", "condition", "step", "callback", "retry", "entity", "lock"
]


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that the code of an instance waits for.

    kind: ``retry`` is an activity, a sub-orchestration or a step of which an attempt has failed and that is tried
        again.
    name: of the activity, orchestrator, step, event or callback; '' for a timer or a condition.
    line: ``file:line`` of the call. task_id: the number of the call; 0 for an event or a condition.
    since: the time of the call. due: when a timer is due. Both in UTC.
    instance_id: of a sub-orchestration that is waited for, that of its last attempt.
    """

    kind: WaitKind
    name: str
    line: str
    task_id: int = 0
    since: datetime | None = None
    due: datetime | None = None
    instance_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestrationStatus:
    """The status of an instance. Falsy if the task hub has no such instance: then only ``instance_id`` is set.

    runtime_status: the state of the instance; None if there is no such instance.
    failure: why a Failed instance failed. stuck_reason: why the instance is stuck; None if it is not.
    scheduled_start_time: the time of a delayed start. deadline: the time at which an instance that still runs is ended.
        Both in UTC; None if none was given.
    restarted_from: the execution of which this one is a restart (``client.restart``); None if it is none.
    forked_from: the execution of which this one is a fork (``client.fork``); None if it is none.
    history_events: the history, if it was asked for.
    pause_reason: why a Suspended instance was suspended; None if no reason was given.
    generation: how often the execution has continued as new.
    parent_task_id: of a sub-orchestration, the number of its call in its parent.
    ended_time: when the instance ended, in UTC; None if it has not ended.
    retrying: the number of open calls that are tried again for long: at the fourth attempt, or half a minute after the
        call. In a list without details it is 0 or 1, and may be out of date.
    operations: the storage operations of this execution up to its last commit, and after its end those that follow an
        end. Approximate: what a crashed host did after its last commit is missing, and a receipt of several messages
        counts one for each. None if it was begun by a version of durable_core that did not count; in a list without
        details, if it has not ended.
    waits: what the code waits for, at most eight; empty if the instance has ended, has not begun, or was committed last
        by a version of durable_core that did not record it.
    headers: those of the instance, if they were asked for; else None.
    """

    instance_id: str
    name: str = ""
    version: str = ""
    runtime_status: RuntimeStatus | None = None
    created_time: datetime | None = None
    last_updated_time: datetime | None = None
    input_: JSON = None
    output: JSON = None
    custom_status: JSON = None
    failure: FailureDetails | None = None
    stuck_reason: str | None = None
    parent_instance_id: str | None = None
    execution_id: str = ""
    tags: dict[str, str] = field(default_factory=dict[str, str])
    history_events: list[dict[str, JSON]] | None = None
    scheduled_start_time: datetime | None = None
    deadline: datetime | None = None
    restarted_from: Origin | None = None
    forked_from: Origin | None = None
    waits: tuple[Wait, ...] = ()
    pause_reason: str | None = None
    generation: int = 0
    parent_task_id: int | None = None
    ended_time: datetime | None = None
    retrying: int = 0
    operations: Operations | None = None
    headers: dict[str, JSON] | None = None

    def __bool__(self) -> bool:
        return self.runtime_status is not None

    @property
    def is_terminal(self) -> bool:
        return self.runtime_status is not None and self.runtime_status.is_terminal
