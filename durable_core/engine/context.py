"""The orchestration context: calls, time and random numbers that are the same at every replay.

This is the user's side only. Every call is recorded in ``ExecutionState``; nothing here runs the generator or reads
history.
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

_NAMESPACE = uuid.UUID("5d1c8a52-6d0f-5f5b-9d5e-0b7f6a3c1e90")
"""Namespace of the ids that orchestrators make; any fixed value would do."""


class OrchestrationContext(Composition, Interaction):
    """First parameter of an orchestrator.

    Its methods return tasks, for which the orchestrator waits with ``yield from`` (or ``yield``). Orchestrator code is
    replayed from its beginning, so it takes time, ids and random numbers from the context, and does all other work in
    activities.
    """

    __slots__ = ("_ids", "_input", "_input_type", "_logger", "_random")
    __durable_no_value__ = "the orchestration context cannot be stored; pass the values that are needed of it"

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
        """The id of this instance."""
        return self._info.instance_id

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
        """Call an activity. The call schedules it; the orchestrator waits where it yields the task.

        returns: type of the result (``expected_type`` is the same); None takes the function's annotation, or else plain
            JSON.
        options: ``retry``, ``timeout``, ``schedule_to_close``, ``inline``, see ``CallOptions``.
        Raises SerializationError if the input cannot be written as JSON, OrchestratorCodeError for an option that is
        not valid. The task fails with ActivityFailedError, or with TaskTimeoutError if a time limit was exceeded.
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
        """``call_activity(name, input_, retry=retry_options)``, by its name in Durable Functions."""
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
        """Start another orchestrator as a child; its result is the result of the task.

        instance_id: the id of the child; None derives it from this instance. The id of an earlier child of this
            instance can be used again once that child has ended; its history is deleted then.
        version: the version of the child; None takes the default one, or else the newest.
        retry: each attempt is an instance of its own; from the second on, its id ends with the number of the attempt.
        timeout: time limit of one attempt, from its start; then the child is ended, and the attempt fails with
            TaskTimeoutError.
        Raises SerializationError if the input cannot be written as JSON, OrchestratorCodeError for an id or an option
        that is not valid. The task fails with SubOrchestrationFailedError, caused by InstanceAlreadyExistsError if
        another instance has the id.
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
        """``call_sub_orchestrator(name, input_, retry=retry_options)``, by its name in Durable Functions."""
        return self.call_sub_orchestrator(cast("str", name), input_, instance_id, version, retry_options)

    # ------------------------------------------------------------ timers

    def create_timer(self, fire_at: datetime | timedelta) -> TimerTask:
        """A durable timer of any length: it fires at an aware ``datetime``, or a ``timedelta`` from now.

        A timer that is due in the past fires at once, a timer that is due after the year 9999 never fires. Raises
        OrchestratorCodeError for a naive datetime or a negative timedelta.
        """
        decisions = self._decisions
        if isinstance(fire_at, timedelta):
            if fire_at < timedelta(0):
                raise OrchestratorCodeError(
                    f"a timer takes a timedelta that is not negative, not {fire_at!r}", caller()
                )
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
        """When the orchestrator returns, start its next generation, with this input and an empty history.

        keep_events: whether the next generation receives the external events that this one has not received.
        version: the version of the next generation; None keeps the version. If no host has it, the instance is stuck
            until a host has it.
        upgrade: take the version that a new start takes, on the host that commits this turn: Temporal's upgrade on
            continue-as-new.
        Raises SerializationError if the input cannot be written as JSON, OrchestratorCodeError for a version that is
        not valid, or for a version together with upgrade.
        """
        check_version(version)
        if version is not None and upgrade:
            raise OrchestratorCodeError("continue_as_new takes version= or upgrade=True, not both", caller())
        data = write(self._converter, input_, "the new input")
        self._decisions.continue_as_new(ContinueAsNew(data, keep_events, version, upgrade, caller()))

    # ------------------------------------------------------------ changes inside a version

    def patched(self, patch_id: str) -> bool:
        """Whether to take a change: ``if ctx.patched("send-receipt"): ... (new) else: ... (old)``. As in Temporal.

        False for an instance that passed this place before the change; True, and recorded in the history, for an
        instance that reaches it now. The result of the first call with an id holds until ``continue_as_new``. Use a new
        id for each change. Raises OrchestratorCodeError outside of the orchestrator's own code.
        """
        return self._decisions.patch(patch_id)

    def deprecate_patch(self, patch_id: str) -> None:
        """The second stage of a patch, once no open instance needs the old code: put this in the place of ``patched``.

        Only the new code remains. Instances that start from now on can be replayed by code with ``patched``, with
        ``deprecate_patch``, or with neither. Once all instances that started earlier have ended, remove this call, too.
        """
        self._decisions.patch(patch_id, deprecated=True)


class _ReplaySafeLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs nothing in a replay. Each record has the attributes ``instance_id`` and ``orchestrator``."""

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
