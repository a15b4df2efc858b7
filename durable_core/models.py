"""The data that users and layers share: statuses, failures, retry policies. Frozen, without behaviour of its own.

Knows only errors. ``JSON`` is the vocabulary of everything that is stored.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias, cast

from .errors import NonRetriableError, TaskFailedError
from .moments import LAST_SECONDS
from .user_code import is_interrupt

JSON: TypeAlias = Any  # None | bool | int | float | str | list[JSON] | dict[str, JSON]; a recursive alias slows pyright

MAX_STACK = 8_000  # characters of a stack trace that are kept: enough for the frames that matter
MAX_MESSAGE = 4_000
MAX_CAUSES = 5
MAX_MEMBERS = 5  # of an exception group


class RuntimeStatus(StrEnum):
    """Where an instance stands; the names of Durable Functions."""

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


@dataclass(frozen=True, slots=True)
class FailureDetails:
    """What went wrong, as data: it crosses processes and hosts and is stored in history.

    ``type`` is the exception's qualified name (``builtins`` left out), ``bases`` the names of its base classes, by
    which ``is_caused_by(OSError)`` matches a ``FileNotFoundError`` of another process. ``retriable`` False: no retry
    policy tries again. ``members`` are the first exceptions of an ``ExceptionGroup``.
    """

    type: str
    message: str
    stack_trace: str = ""
    cause: FailureDetails | None = None
    retriable: bool = True
    bases: tuple[str, ...] = ()
    members: tuple[FailureDetails, ...] = ()

    @classmethod
    def from_exception(cls, error: BaseException, *, retriable: bool = True, depth: int = 0) -> FailureDetails:
        """What an exception says, with its chain of causes; never raises, whatever the exception is like.

        Texts are cut, the chain too: a failure takes some 100 KB at most. ``retriable`` False, or a
        ``NonRetriableError``: final.
        """
        kind, text = type(error), _text_of(error)
        inner: FailureDetails | None = None
        if isinstance(error, TaskFailedError):
            inner = error.failure
        elif depth < MAX_CAUSES:
            following = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
            inner = None if following is None else cls.from_exception(following, depth=depth + 1)
        return cls(
            type=type_name(kind),
            message=text,
            stack_trace=_stack_of(error, text),
            cause=inner,
            retriable=retriable and not isinstance(error, NonRetriableError),
            bases=tuple(type_name(b) for b in kind.__mro__[1:] if b not in (object, BaseException, Exception)),
            members=tuple(cls.from_exception(member, depth=depth + 2) for member in _members_of(error, depth)),
        )

    def is_caused_by(self, kind: type[BaseException] | str) -> bool:
        """Whether this failure, or one in its chain of causes, is of this type or derives from it.

        A name is qualified, as in ``type``, or the class's own: ``"app.errors.CardRefused"`` or ``"CardRefused"``.
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
        )


def _members_of(error: BaseException, depth: int) -> Sequence[BaseException]:
    """What a group holds; not that of groups in groups in groups, which would grow without bound."""
    if depth > 2 or not isinstance(error, BaseExceptionGroup):
        return ()
    members = cast("BaseExceptionGroup[BaseException]", error).exceptions
    return members[:MAX_MEMBERS]


def _text_of(error: BaseException) -> str:
    try:
        text = str(error)[:MAX_MESSAGE]
    except BaseException as broken:  # an exception whose own text raises is reported all the same
        if is_interrupt(broken):
            raise
        text = f"(its text cannot be had: str() raised {type(broken).__name__})"
    return text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair is no text


def _stack_of(error: BaseException, text: str) -> str:
    """As Python prints it, of this exception alone: ``traceback`` would walk its causes and a group's members, too."""
    notes: Sequence[object] = getattr(error, "__notes__", ())
    lines = ["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)]
    lines.append(f"{type_name(type(error))}: {text}\n" if text else f"{type_name(type(error))}\n")
    lines.extend(f"{note}\n" for note in notes if isinstance(note, str))
    return "".join(lines)[-MAX_STACK:].encode("utf-8", "backslashreplace").decode()


def type_name(kind: type) -> str:
    """The name by which an exception type is known in histories: qualified, but plain for builtins."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often a failed activity or sub-orchestration is tried again.

    ``max_attempts`` counts the first try. The wait before attempt n+1 is ``first_interval * backoff**(n-1)``, at most
    ``max_interval``; ``jitter`` (0 to 1) shortens it by a random share up to that. ``total_timeout`` bounds the time
    from the first try to the start of the last. ``non_retriable`` lists exception types (or their names) that end it
    at once; ``retry_if`` is asked last. There is no wait after the last failure.
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
                raise ValueError(f"{name} must be a datetime.timedelta: timedelta(seconds=5), say; not {value!r}")
        for name, kinds in (("max_attempts", int), ("backoff", int | float), ("jitter", int | float)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise ValueError(f"{name} must be a {'whole ' if kinds is int else ''}number, not {value!r}")
        if self.retry_if is not None and not callable(self.retry_if):
            raise ValueError(f"retry_if must be a function of a FailureDetails, not {self.retry_if!r}")
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts counts the first try and must be at least 1, not {self.max_attempts}")
        if self.first_interval < timedelta(0) or self.max_interval < timedelta(0):
            raise ValueError("intervals must not be negative")
        if not self.backoff >= 1:
            raise ValueError(f"backoff multiplies the interval and must be at least 1, not {self.backoff}")
        if not self.backoff < math.inf:
            raise ValueError(f"backoff must be a finite number, not {self.backoff}; max_interval bounds the wait")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is a share of the interval, from 0 to 1, not {self.jitter}")
        if self.total_timeout is not None and self.total_timeout < timedelta(0):
            raise ValueError(f"total_timeout must not be negative, not {self.total_timeout}; None sets no bound")
        listed: Any = self.non_retriable
        if isinstance(listed, str | type):
            raise ValueError(f"non_retriable is a list of exception types or their names, not {listed!r}")

    def allows(self, failure: FailureDetails, attempt: int) -> bool:
        """Whether attempt number ``attempt`` (from 1), which failed so, may be followed by another one."""
        if attempt >= self.max_attempts or not failure.retriable:
            return False
        if any(failure.is_caused_by(kind) for kind in self.non_retriable):
            return False
        return self.retry_if is None or self.retry_if(failure)

    def delay_after(self, attempt: int, unit_random: float = 0.0) -> timedelta:
        """The wait after attempt number ``attempt`` (from 1) failed; ``unit_random`` in [0, 1) drives the jitter."""
        seconds = self.first_interval.total_seconds()
        ceiling = self.max_interval.total_seconds()
        for _ in range(attempt - 1):  # not a power: that overflows, this stops at the ceiling
            seconds *= self.backoff
            if seconds >= ceiling:
                break
        longest = min(seconds, ceiling, LAST_SECONDS)
        return timedelta(seconds=longest * (1 - self.jitter * unit_random))


def RetryOptions(first_retry_interval_in_milliseconds: int, max_number_of_attempts: int) -> RetryPolicy:
    """Durable Functions' spelling of a retry policy: a fixed interval."""
    return RetryPolicy(
        max_attempts=max_number_of_attempts,
        first_interval=timedelta(milliseconds=first_retry_interval_in_milliseconds),
        backoff=1.0,
    )


@dataclass(frozen=True, slots=True)
class ParentLink:
    """The task of a parent orchestration, and the attempt at it, that a sub-orchestration answers to."""

    instance_id: str
    execution_id: str
    generation: int
    task_id: int
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestrationStatus:
    """What is known of an instance. Falsy when there is no such instance.

    scheduled_start_time: of a delayed start; deadline: when the run is ended if it has not ended itself. Both UTC.
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

    def __bool__(self) -> bool:
        return self.runtime_status is not None

    @property
    def is_terminal(self) -> bool:
        return self.runtime_status is not None and self.runtime_status.is_terminal
