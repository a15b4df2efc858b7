"""What is kept of attempts that have ended: when, for how long and on which host each ran, and why it failed.

The instance row keeps the attempts of open tasks, in properties beside the retry states; the event that ends a task
takes them over. They are for people: nothing is decided by them, and an older host that drops them does no harm.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from ..errors import DurableError
from ..lazy_dataclass import dataclass
from ..models import JSON, FailureDetails
from ..moments import LAST_SECONDS, from_epoch
from ..storage.ports import Value
from .encoding import Encoding
from .payloads import PLAIN_CHARS, dumps

RETRY_BUCKETS = 16  # a row has 252 properties: retry states share these, and so do the attempts kept
FIRST_KEPT = 1
LAST_KEPT = 4
MESSAGE_CHARS = 200  # of the failure of an attempt
TYPE_CHARS = 200
HOST_CHARS = 64
BUCKET_CHARS = 8 * 1024  # of all attempts that share a property: a commit that retries a task writes them all again

_SHORTER = ((FIRST_KEPT + LAST_KEPT, MESSAGE_CHARS), (2, 80), (1, 0))  # attempts for each task, characters of a message

logger = logging.getLogger("durable_core.hub")


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of an attempt. started: seconds since 1970, by the clock of its host, to the millisecond. ms: for how
    long it ran. host: the id of the host process."""

    started: float
    ms: int
    host: str

    @classmethod
    def of(cls, begun: datetime, seconds: float, host: str) -> Ran:
        return cls(round(begun.timestamp(), 3), max(round(seconds * 1000), 0), host)

    def to_json(self) -> JSON:
        return [self.started, self.ms, self.host]

    def timing(self, due: datetime) -> JSON:
        """As the event of the end holds it: milliseconds from when it was due until it ran, for how long, and where."""
        return [max(round((self.started - due.timestamp()) * 1000), 0), self.ms, self.host]


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """An attempt at a task that has ended.

    number: from 1. started: seconds since 1970; ms: how long it ran; both None if the host did not report them.
    host: the id of the host process; '' if not reported. error, message: type and text of the failure, cut; '' if the
    attempt succeeded, or if the event of the task's end holds the failure.
    """

    number: int
    started: float | None = None
    ms: int | None = None
    host: str = ""
    error: str = ""
    message: str = ""

    @classmethod
    def of(cls, number: int, ran: Ran | None, failure: FailureDetails | None) -> EndedAttempt:
        error, message = ("", "") if failure is None else (failure.type[:TYPE_CHARS], failure.message[:MESSAGE_CHARS])
        if ran is None:
            return cls(number, error=error, message=message)
        return cls(number, ran.started, ran.ms, ran.host, error, message)

    def to_json(self, message_chars: int = MESSAGE_CHARS) -> JSON:
        fields: list[JSON] = [self.number, self.started, self.ms, self.host]
        return [*fields, self.error, self.message[:message_chars]] if self.error else fields

    @classmethod
    def from_json(cls, data: JSON) -> EndedAttempt:
        """ValueError or TypeError if it is not the form of ``to_json``; later versions may add fields at the end."""
        number, started, ms, host, *failure = data
        error, message, *_ = (*failure, "", "")
        if type(number) is not int or not all(isinstance(text, str) for text in (host, error, message)):
            raise TypeError("not an attempt")
        if ms is not None and type(ms) is not int:
            raise TypeError("not a number of milliseconds")
        return cls(number, None if started is None else moment(started), ms, host, error, message)


def moment(value: object) -> float:
    """Seconds since 1970 that a calendar has. TypeError."""
    if type(value) not in (int, float) or not 0 <= value <= LAST_SECONDS:  # pyright: ignore[reportOperatorIssue]
        raise TypeError("expected a time")
    return value  # pyright: ignore[reportReturnType]


def attempts_in(tries: JSON) -> tuple[EndedAttempt, ...]:
    """The attempts that an event holds; none where the event's field is damaged."""
    try:
        return tuple(EndedAttempt.from_json(each) for each in tries or ())
    except (TypeError, ValueError):
        return ()


class Span(NamedTuple):
    """The last attempt at a task, as the event of its end tells of it.

    queue_ms: from when it was due until it ran. ended: by the clock of the host that ran it.
    """

    started: datetime
    ended: datetime
    queue_ms: int
    run_ms: int
    host: str


def span_of(timing: JSON, tries: JSON, scheduled: datetime | None, recorded: datetime) -> Span | None:
    """When an attempt ran. None if the event does not say, as one of an older host, or says nonsense.

    scheduled: when the task was called; None for an inline step, whose call is in no event. recorded: when the event
    was committed.
    """
    if not timing:
        return None
    try:
        queue_ms, run_ms, host, *_ = timing
        run = timedelta(milliseconds=run_ms)
        last = attempts_in(tries)[-1:]
        if last and last[0].started is not None:
            started = from_epoch(last[0].started)
        elif scheduled is not None:
            started = scheduled + timedelta(milliseconds=queue_ms)
        else:
            started = recorded - run
        return Span(started, started + run, queue_ms, run_ms, str(host))
    except (ArithmeticError, TypeError, ValueError):
        return None


def first_and_last(attempts: Sequence[EndedAttempt]) -> tuple[EndedAttempt, ...]:
    """The first attempt and the last four."""
    if len(attempts) <= FIRST_KEPT + LAST_KEPT:
        return tuple(attempts)
    return (*attempts[:FIRST_KEPT], *attempts[-LAST_KEPT:])


class KeptAttempts:
    """The ended attempts of open tasks, in the buckets of the instance row; a bucket is read when a task asks for it.

    stored: the value of each bucket. ``changed``: the buckets that were changed. is_used: whether there may be any.
    """

    __slots__ = ("_encoding", "_read", "_stored", "changed", "is_used")

    def __init__(self, stored: Mapping[int, Value], encoding: Encoding) -> None:
        self.is_used = bool(stored)
        self._stored = stored
        self._encoding = encoding
        self._read: dict[int, dict[int, tuple[EndedAttempt, ...]]] = {}
        self.changed: set[int] = set()

    def of(self, task_id: int) -> tuple[EndedAttempt, ...]:
        """The attempts kept of this task, in order."""
        return self._bucket(task_id).get(task_id, ()) if self.is_used else ()

    def add(self, task_id: int, attempt: EndedAttempt) -> None:
        self.is_used = True
        bucket = self._bucket(task_id)
        bucket[task_id] = first_and_last((*bucket.get(task_id, ()), attempt))
        self.changed.add(task_id % RETRY_BUCKETS)

    def drop(self, task_id: int) -> None:
        """The task has ended."""
        if self.is_used and self._bucket(task_id).pop(task_id, None) is not None:
            self.changed.add(task_id % RETRY_BUCKETS)

    def changes(self) -> dict[int, Value]:
        """The new values of the buckets that have changed. CodecError."""
        return {number: _packed(self._read[number], self._encoding) for number in sorted(self.changed)}

    def all(self) -> dict[int, tuple[EndedAttempt, ...]]:
        """The attempts of every task, by task id."""
        return {task: attempts for number in self._stored for task, attempts in self._bucket(number).items()}

    def _bucket(self, task_id: int) -> dict[int, tuple[EndedAttempt, ...]]:
        number = task_id % RETRY_BUCKETS
        if (bucket := self._read.get(number)) is None:
            stored = self._stored.get(number)
            bucket = self._read[number] = _unpacked(stored, self._encoding) if stored else {}
        return bucket


def _packed(bucket: Mapping[int, Sequence[EndedAttempt]], encoding: Encoding) -> Value:
    """The stored value of a bucket. What would make it too long is left out: messages, then middle attempts, then whole
    tasks."""
    if not bucket:
        return ""
    arrays: dict[str, JSON] = {}
    for most, chars in _SHORTER:
        arrays = {str(task): [each.to_json(chars) for each in _fewer(bucket[task], most)] for task in bucket}
        if len(dumps(arrays)) <= BUCKET_CHARS:
            break
    text = dumps(_that_fit(arrays))
    return text if len(text) <= PLAIN_CHARS and not encoding.hides else encoding.pack(text)


def _that_fit(arrays: Mapping[str, JSON]) -> dict[str, JSON]:
    """As many of these as fit into a bucket; those of the tasks that failed first."""
    some: dict[str, JSON] = {}
    room = BUCKET_CHARS
    for task, attempts in arrays.items():
        room -= len(dumps({task: attempts}))
        if room < 0:
            break
        some[task] = attempts
    return some


def _fewer(attempts: Sequence[EndedAttempt], most: int) -> Sequence[EndedAttempt]:
    """The first attempts and the last one."""
    return attempts if len(attempts) <= most else [*attempts[: most - 1], attempts[-1]]


def _unpacked(stored: Value, encoding: Encoding) -> dict[int, tuple[EndedAttempt, ...]]:
    try:
        text = encoding.unpack(stored) if isinstance(stored, bytes) else str(stored)
        found = cast("dict[str, Any]", json.loads(text))
        return {int(task): tuple(EndedAttempt.from_json(each) for each in attempts) for task, attempts in found.items()}
    except (DurableError, TypeError, ValueError, AttributeError) as error:  # no decision depends on them
        logger.warning("the attempts kept in an instance row cannot be read, and are left out: %s", error)
        return {}
