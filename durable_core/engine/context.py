"""What orchestrator code sees of the world: calls, time and chance that come out the same at every replay.

Owns the user's side only. Every call is noted in ``ExecutionState``; nothing here runs the generator or reads history.
"""

from __future__ import annotations

import logging
import random as _random  # noqa: TID251  only ever seeded from the instance's identity
import uuid
from collections.abc import Callable, Coroutine, MutableMapping
from datetime import datetime, timedelta
from typing import Any, TypeVar, Unpack, cast, overload

from ..activity_context import ActivityContext
from ..converter import Converter, is_plain
from ..errors import OrchestratorCodeError
from ..models import JSON, RetryPolicy
from ..moments import after, in_utc
from ..registry import definition_of, name_of
from .annotations import result_type, returned
from .call_options import CallOptions, check_retry, run_options, scheduled_options
from .composition import Composition, check_child_id, check_version
from .conditions import Conditions
from .events import (
    ContinueAsNew,
    Event,
    SubOrchestrationCreated,
    TimerCreated,
    make_task_scheduled,
)
from .external_events import ExternalEvents
from .handlers import Queries
from .interaction import Interaction
from .state import ExecutionState, InstanceInfo
from .tasks import Orchestration, Task, TimerTask
from .user_frames import caller
from .values import read, write

T = TypeVar("T")
X = TypeVar("X")

_NAMESPACE = uuid.UUID("5d1c8a52-6d0f-5f5b-9d5e-0b7f6a3c1e90")  # of ids made by orchestrators; any fixed value will do


class OrchestrationContext(Composition, Interaction):
    """First parameter of an orchestrator.

    Tasks are called through it and waited for with ``yield from`` (or ``yield``). Orchestrator code runs again and
    again from its beginning, so it takes time, ids and random numbers from here, and does everything else in
    activities.
    """

    __slots__ = ("_ids", "_input", "_input_type", "_logger", "_random")
    __durable_no_value__ = "the orchestrator's context is no value; hand on what is needed of it"

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
    ) -> None:
        super().__init__(info, decisions, mailbox, converter, conditions, queries)
        self._input, self._input_type = data, kind
        self._ids = 0
        self._random: _random.Random | None = None
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None

    # ------------------------------------------------------------ identity

    @property
    def instance_id(self) -> str:
        """Id of this instance."""
        return self._info.instance_id

    @property
    def parent_instance_id(self) -> str | None:
        """Instance that called this one as a sub-orchestration; None if a client started it."""
        return None if self._info.parent is None else self._info.parent.instance_id

    @property
    def version(self) -> str:
        """Version of the orchestrator that this instance was started with; '' if it has none."""
        return self._info.version

    @property
    def is_replaying(self) -> bool:
        """Whether this line has run before. For logging and metrics; decisions must not depend on it."""
        return self._decisions.is_replaying or not self._decisions.is_running

    @property
    def histories(self) -> tuple[Event, ...]:
        """The history events committed so far."""
        return tuple(event for segment in self._decisions.history for event in segment.events)

    @property
    def custom_status(self) -> JSON:
        """What ``set_custom_status`` set last; None: nothing."""
        return self._decisions.custom_status

    def set_custom_status(self, value: object) -> None:
        """Set the JSON value that this instance's status shows. SerializationError if it is not JSON."""
        self._decisions.set_custom_status(write(self._converter, value, "the custom status"))

    def get_input(self) -> Any:
        """The instance's input, as its orchestrator's second parameter is annotated; plain JSON if it has none."""
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
        if self._random is None:
            self._random = _random.Random(self._seed)
        return self._random

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Logs to ``durable_core.orchestrator``; silent while replaying, so that a line is logged once."""
        if self._logger is None:
            self._logger = _ReplaySafeLogger(self._decisions, self._info)
        return self._logger

    @property
    def _seed(self) -> str:
        return f"{self._info.instance_id}/{self._info.execution_id}/{self._info.generation}"

    # ------------------------------------------------------------ activities

    @overload
    def call_activity(
        self,
        fn_or_name: str,
        input_: object = None,
        *,
        returns: type[T],
        **options: Unpack[CallOptions],
    ) -> Task[T]: ...
    @overload
    def call_activity(
        self,
        fn_or_name: str,
        input_: object = None,
        *,
        expected_type: type[T],
        **options: Unpack[CallOptions],
    ) -> Task[T]: ...
    @overload
    def call_activity(
        self,
        fn_or_name: str,
        input_: object = None,
        *,
        returns: Any = None,
        expected_type: Any = None,
        **options: Unpack[CallOptions],
    ) -> Task[Any]: ...
    @overload
    def call_activity(
        self,
        fn_or_name: Callable[[], Coroutine[Any, Any, T]] | Callable[[ActivityContext], Coroutine[Any, Any, T]],
        input_: None = None,
        **options: Unpack[CallOptions],
    ) -> Task[T]: ...
    @overload
    def call_activity(
        self,
        fn_or_name: Callable[[X], Coroutine[Any, Any, T]] | Callable[[ActivityContext, X], Coroutine[Any, Any, T]],
        input_: X,
        **options: Unpack[CallOptions],
    ) -> Task[T]: ...
    @overload
    def call_activity(
        self,
        fn_or_name: Callable[[], T] | Callable[[ActivityContext], T],
        input_: None = None,
        **options: Unpack[CallOptions],
    ) -> Task[T]: ...
    @overload
    def call_activity(
        self,
        fn_or_name: Callable[[X], T] | Callable[[ActivityContext, X], T],
        input_: X,
        **options: Unpack[CallOptions],
    ) -> Task[T]: ...
    def call_activity(
        self,
        fn_or_name: str | Callable[..., Any],
        input_: object = None,
        *,
        returns: Any = None,
        expected_type: Any = None,
        **options: Unpack[CallOptions],
    ) -> Task[Any]:
        """Call an activity: it is scheduled now, and waited for where the task is yielded.

        returns: type of its result (``expected_type`` is the same); None: the function's annotation, else plain JSON.
        options: ``retry``, ``timeout``, ``schedule_to_close``, ``inline``, see ``CallOptions``.
        Raises SerializationError if the input is not JSON, OrchestratorCodeError for a time that is none.
        The task fails with ActivityFailedError, or with TaskTimeoutError if the last attempt overran its time.
        """
        definition = definition_of(fn_or_name)
        name = name_of(fn_or_name) if definition is None else definition.name
        kind: Any = expected_type if returns is None else returns
        if kind is None:
            kind = returned(fn_or_name, None) if definition is None else result_type(cast("Any", fn_or_name))
        data = input_ if is_plain(input_) else write(self._converter, input_, "the input of activity", name)
        kept = scheduled_options(definition, options)
        decisions = self._decisions
        task_id = decisions.next_id()
        event = decisions.foretold_activity(task_id, name) if decisions.expected_decisions else None
        if event is None:
            event = make_task_scheduled(task_id, name, data, caller(), kept)
        task: Task[Any] = Task(decisions, event, kind)
        decisions.call(task, event, options.get("retry"))
        return task

    def call_activity_with_retry(
        self, name: str | Callable[..., Any], retry_options: RetryPolicy, input_: object = None
    ) -> Task[Any]:
        """``call_activity(name, input_, retry=retry_options)``, as Durable Functions spells it."""
        return self.call_activity(cast("str", name), input_, retry=retry_options)

    # ------------------------------------------------------------ sub-orchestrations

    @overload
    def call_sub_orchestrator(
        self,
        fn_or_name: str,
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
        retry: RetryPolicy | None = None,
        *,
        timeout: timedelta | None = None,
        returns: type[T],
    ) -> Task[T]: ...
    @overload
    def call_sub_orchestrator(
        self,
        fn_or_name: str,
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
        retry: RetryPolicy | None = None,
        *,
        timeout: timedelta | None = None,
        returns: Any = None,
    ) -> Task[Any]: ...
    @overload
    def call_sub_orchestrator(
        self,
        fn_or_name: Callable[[OrchestrationContext], Orchestration[T]],
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
        retry: RetryPolicy | None = None,
        *,
        timeout: timedelta | None = None,
    ) -> Task[T]: ...
    @overload
    def call_sub_orchestrator(
        self,
        fn_or_name: Callable[[OrchestrationContext, X], Orchestration[T]],
        input_: X,
        instance_id: str | None = None,
        version: str | None = None,
        retry: RetryPolicy | None = None,
        *,
        timeout: timedelta | None = None,
    ) -> Task[T]: ...
    def call_sub_orchestrator(
        self,
        fn_or_name: str | Callable[..., Any],
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
        retry: RetryPolicy | None = None,
        *,
        timeout: timedelta | None = None,
        returns: Any = None,
    ) -> Task[Any]:
        """Start another orchestrator, whose result is this task's.

        instance_id: of the child; None: derived from this instance. One that this instance has given to an earlier call
        can be given again once that child has ended; its history goes then.
        version: None: that which any start takes then: the default one, else the newest. The child stays with it.
        retry: each attempt is an instance of its own; from the second on its id ends in the number of the attempt.
        timeout: for an attempt's whole run, from its start; then it is ended, and the task fails with TaskTimeoutError.
        Raises SerializationError if the input is not JSON, OrchestratorCodeError if the id is not allowed. The task
        fails with SubOrchestrationFailedError, caused by InstanceAlreadyExistsError if the id is somebody else's.
        """
        name = name_of(fn_or_name)
        kind = returned(fn_or_name, returns)
        data = write(self._converter, input_, "the input of orchestrator", name)
        options = run_options(timeout)
        check_retry(retry, "a sub-orchestration")
        check_version(version)
        if instance_id is not None:
            check_child_id(instance_id, retry)
        decisions = self._decisions
        event = SubOrchestrationCreated(decisions.next_id(), name, version, instance_id or "", data, caller(), options)
        task: Task[Any] = Task(decisions, event, kind)
        decisions.call(task, event, retry)
        return task

    def call_sub_orchestrator_with_retry(
        self,
        name: str | Callable[..., Any],
        retry_options: RetryPolicy,
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> Task[Any]:
        """``call_sub_orchestrator(name, input_, retry=retry_options)``, as Durable Functions spells it."""
        return self.call_sub_orchestrator(cast("str", name), input_, instance_id, version, retry_options)

    # ------------------------------------------------------------ timers

    def create_timer(self, fire_at: datetime | timedelta) -> TimerTask:
        """A durable timer, of any length: fires at an aware ``datetime``, or a ``timedelta`` from now.

        One in the past fires at once, one that is due after the year 9999 never. OrchestratorCodeError for a naive
        datetime or a negative timedelta.
        """
        decisions = self._decisions
        if isinstance(fire_at, timedelta):
            if fire_at < timedelta(0):
                raise OrchestratorCodeError(f"a timer cannot fire {-fire_at} ago: the timedelta is negative", caller())
            due = after(decisions.now, fire_at)
        elif isinstance(fire_at, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
            if fire_at.utcoffset() is None:
                raise OrchestratorCodeError(
                    f"a timer needs a time with a time zone, not {fire_at!r}: "
                    "add to ctx.current_utc_datetime, or give a timedelta",
                    caller(),
                )
            due = in_utc(fire_at)
        else:
            raise OrchestratorCodeError(f"a timer takes a datetime or a timedelta, not {fire_at!r}", caller())
        event = TimerCreated(decisions.next_id(), due, caller())
        task = TimerTask(decisions, event, decisions.cancel_timer)
        decisions.call(task, event, None)
        return task

    # ------------------------------------------------------------ combinations and endings

    def continue_as_new(
        self, input_: object = None, keep_events: bool = True, *, version: str | None = None, upgrade: bool = False
    ) -> None:
        """When the orchestrator returns, begin it again with this input and an empty history.

        keep_events: external events that nobody has got go over to the new beginning.
        version: of the new beginning; None: the one it has. Where no host has it, it waits for one, shown as stuck.
        upgrade: begin with the version that a new start takes on the host that commits this: Temporal's upgrade on
        continue-as-new.
        Raises SerializationError, OrchestratorCodeError for a version that cannot be, or one together with upgrade.
        """
        check_version(version)
        if version is not None and upgrade:
            raise OrchestratorCodeError("continue_as_new takes version= or upgrade=True, not both", caller())
        data = write(self._converter, input_, "the new input")
        self._decisions.continue_as_new(ContinueAsNew(data, keep_events, version, upgrade, caller()))

    # ------------------------------------------------------------ changes inside a version

    def patched(self, patch_id: str) -> bool:
        """Whether to take a change: ``if ctx.patched("send-receipt"): ... (new) else: ... (old)``. As in Temporal.

        False for an instance that ran past this place before the change; True for one that comes here now, which is
        recorded. The answer of the first call with an id holds for all, until ``continue_as_new``. One id for one
        change: not for the next one. OrchestratorCodeError outside of the orchestrator's own code.
        """
        return self._decisions.patch(patch_id)

    def deprecate_patch(self, patch_id: str) -> None:
        """The second stage of a patch, when no open instance needs the old code: stands where ``patched`` stood.

        The new code alone remains. What runs from now on may be replayed by code with ``patched``, with this, or with
        neither. When no open instance is left that began before, take this out, too.
        """
        self._decisions.patch(patch_id, deprecated=True)


class _ReplaySafeLogger(logging.LoggerAdapter[logging.Logger]):
    """Each record carries ``instance_id`` and ``orchestrator``."""

    def __init__(self, decisions: ExecutionState, info: InstanceInfo) -> None:
        identity: dict[str, object] = {"instance_id": info.instance_id, "orchestrator": info.name}
        super().__init__(logging.getLogger("durable_core.orchestrator"), identity)
        self._identity = identity
        self._decisions = decisions

    def isEnabledFor(self, level: int) -> bool:
        decisions = self._decisions
        return decisions.is_running and not decisions.is_replaying and self.logger.isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **self._identity}
        return msg, kwargs
