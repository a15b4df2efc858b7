"""What every part of the orchestration context stands on: identity, input, time, chance, logging."""

from __future__ import annotations

import logging
import random as _random  # noqa: TID251  only ever seeded from the instance's identity
import uuid
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ...converter import Converter
from ...errors import OrchestratorCodeError
from ...log_context import Work
from ...models import JSON
from ...moments import after, in_utc
from ..conditions import Conditions
from ..events import Event, Segment, TimerCreated
from ..external_events import ExternalEvents
from ..handlers import Queries
from ..state import ExecutionState, InstanceInfo
from ..tasks import Task, TimedTask, TimerTask, has_ended
from ..updates import Updates
from ..user_frames import caller
from ..values import read, write

if TYPE_CHECKING:
    from ...interceptors import CallKind, OutgoingCall
    from .orchestration_context import OrchestrationContext

T = TypeVar("T")

_NAMESPACE = uuid.UUID("5d1c8a52-6d0f-5f5b-9d5e-0b7f6a3c1e90")
"""Namespace of the ids that orchestrators make; any fixed value would do."""


class ContextBase:
    """The identity of the instance, its input, and what is the same at every replay."""

    __slots__ = (
        "_before",
        "_callbacks",
        "_conditions",
        "_converter",
        "_decisions",
        "_ids",
        "_info",
        "_input",
        "_input_type",
        "_logger",
        "_mailbox",
        "_queries",
        "_slot",
        "_updates",
    )

    def __init__(
        self,
        info: InstanceInfo,
        decisions: ExecutionState,
        mailbox: ExternalEvents,
        converter: Converter,
        data: JSON,
        kind: Any,
        *,
        conditions: Conditions,
        queries: Queries,
        updates: Updates,
        before: Sequence[Callable[[OrchestrationContext, OutgoingCall], None]] = (),
    ) -> None:
        """before: what interceptors do before each call of the code."""
        self._before = before
        self._info, self._decisions, self._mailbox, self._converter = info, decisions, mailbox, converter
        self._conditions, self._queries, self._updates = conditions, queries, updates
        self._input, self._input_type = data, kind
        self._ids = self._callbacks = 0
        self._slot: int | None = None
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None

    # ------------------------------------------------------------ identity

    @property
    def instance_id(self) -> str:
        """The id of this instance."""
        return self._info.instance_id

    @property
    def name(self) -> str:
        """The name of the orchestrator."""
        return self._info.name

    @property
    def headers(self) -> Mapping[str, JSON]:
        """The headers of this instance, which its calls get, too: the same in each generation and at every replay.

        Whoever starts an instance gives it headers; a child has those of its parent. Interceptors add others to calls.
        """
        from ...headers import headers_in

        return headers_in(self._info.headers)

    @property
    def parent_instance_id(self) -> str | None:
        """The id of the parent, if this instance is a sub-orchestration; None if a client started it."""
        return None if self._info.parent is None else self._info.parent.instance_id

    @property
    def version(self) -> str:
        """The version of the orchestrator with which this instance was started; '' if it has none."""
        return self._info.version

    @property
    def is_replaying(self) -> bool:
        """Whether this line runs in a replay. For logging and metrics only; decisions must not depend on it."""
        return self._decisions.is_replaying or not self._decisions.is_running

    @property
    def histories(self) -> tuple[Event, ...]:
        """The history of this generation, as committed so far."""
        return tuple(event for segment in self._decisions.history for event in segment.events)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The same, commit by commit, each with its time."""
        return tuple(self._decisions.history)

    @property
    def custom_status(self) -> JSON:
        """The last value given to ``set_custom_status``; None if there is none."""
        return self._decisions.custom_status

    def set_custom_status(self, value: object) -> None:
        """Set the JSON value that this instance's status shows. SerializationError if it is not JSON."""
        self._decisions.set_custom_status(write(self._converter, value, "the custom status"))

    def get_input(self) -> Any:
        """The input of this instance, as the type of the orchestrator's second parameter; plain JSON without one."""
        return read(self._converter, self._input, self._input_type)

    # ------------------------------------------------------------ time, chance, logging

    @property
    def current_utc_datetime(self) -> datetime:
        """The time (UTC) of the event after which the code runs; the same at every replay."""
        return self._decisions.now

    def new_guid(self) -> uuid.UUID:
        """A new id, the same at every replay."""
        self._ids += 1
        return uuid.uuid5(_NAMESPACE, f"{self._seed}/{self._ids}")

    def new_uuid(self) -> str:
        """A new id as text, the same at every replay."""
        return str(self.new_guid())

    @property
    def random(self) -> _random.Random:
        """Random numbers, the same at every replay. Not for secrets."""
        decisions = self._decisions
        if decisions.random is None:
            decisions.random = _random.Random(self._seed)
        return decisions.random

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Logs to ``durable_core.orchestrator``; silent while replaying, so that a line is logged once."""
        if self._logger is None:
            self._logger = _ReplaySafeLogger(self._decisions, self._info)
        return self._logger

    @property
    def _seed(self) -> str:
        info = self._info
        own = f"{info.instance_id}/{info.execution_id}/{info.generation}"
        return f"{info.seed or own}{self._decisions.salt}"

    # ------------------------------------------------------------ parts

    def _headers_of(self, kind: CallKind, name: str, operation: str = "") -> JSON:
        """The headers that interceptors have given a call; None if they are those of the instance."""
        from ..intercepted import headers_of_call

        return headers_of_call(self._before, cast("OrchestrationContext", self), kind, name, operation)

    def _moment(self, at: datetime | timedelta, what: str) -> datetime:
        """The moment in UTC. OrchestratorCodeError for a naive datetime or a negative timedelta."""
        if isinstance(at, timedelta):
            if at < timedelta(0):
                raise OrchestratorCodeError(f"{what} takes a timedelta that is not negative, not {at!r}", caller())
            return after(self._decisions.now, at)
        if not isinstance(at, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OrchestratorCodeError(f"{what} takes a datetime or a timedelta, not {at!r}", caller())
        if at.utcoffset() is None:
            raise OrchestratorCodeError(
                f"{what} needs a time with a time zone, not {at!r}: "
                "add to ctx.current_utc_datetime, or give a timedelta",
                caller(),
            )
        return in_utc(at)

    def _limited(self, task: Task[T], timeout: timedelta, late: object) -> Task[T]:
        """The task with a time limit; the task itself, without a timer, if it has ended already."""
        if not isinstance(timeout, timedelta) or timeout < timedelta(0):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise bad_timeout(timeout)
        if has_ended(task):
            return task
        decisions = self._decisions
        event = TimerCreated(decisions.next_id(), after(decisions.now, timeout), caller())
        timer = TimerTask(decisions, event, decisions.cancel_timer)
        decisions.call(timer, event, None)
        return cast("Task[T]", TimedTask(decisions, task, timer, late))


def bad_timeout(timeout: object) -> OrchestratorCodeError:
    return OrchestratorCodeError(f"a timeout must be a timedelta that is not negative, not {timeout!r}", caller())


class _ReplaySafeLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs nothing in a replay. Each record has the attributes ``instance_id`` and ``orchestrator``."""

    def __init__(self, decisions: ExecutionState, info: InstanceInfo) -> None:
        work = Work(info.instance_id, info.execution_id)
        identity: dict[str, object] = {
            "instance_id": info.instance_id,
            "orchestrator": info.name,
            **work.fields(),
        }
        super().__init__(logging.getLogger("durable_core.orchestrator"), identity)
        self._identity = identity
        self._decisions = decisions

    def isEnabledFor(self, level: int) -> bool:
        decisions = self._decisions
        return decisions.is_running and not decisions.is_replaying and self.logger.isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **self._identity}
        return msg, kwargs
