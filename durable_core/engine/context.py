"""The orchestration context: calls, time and random numbers that are the same at every replay.

This is the user's side only. Every call is recorded in ``ExecutionState``; nothing here runs the generator or reads
history. Signatures and reference texts stand here; what is longer stands in ``combinators``, ``saga`` and ``http``.
"""

from __future__ import annotations

import logging
import random as _random  # noqa: TID251  only ever seeded from the instance's identity
import uuid
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, TypeVar, TypeVarTuple, Unpack, cast, get_args, overload

from ..activity_context import ActivityContext
from ..converter import Converter, is_plain
from ..errors import InvalidInputError, OrchestratorCodeError, TaskFailedError, TaskTimeoutError
from ..instance_ids import check_event_name, check_instance_id
from ..log_context import Work
from ..models import JSON, FailureDetails, RetryPolicy, type_name
from ..moments import after, in_utc
from ..registry import definition_of, name_of
from .annotations import result_type, returned
from .call_options import CallOptions, check_child_id, check_retry, check_version, run_options, scheduled_options
from .callbacks import LIFETIME, Callback, make_ticket
from .code_scope import refuse_outside
from .combinators import Completions, GatherPolicy, GatherTask, NextTask, PulledTask
from .conditions import Conditions
from .events import (
    ContinueAsNew,
    Event,
    EventSent,
    OrchestrationStarted,
    SubOrchestrationCreated,
    TimerCreated,
    make_task_scheduled,
)
from .external_events import ExternalEvents
from .handlers import Queries
from .http import DurableHttpResponse, call_http
from .saga import Saga, run_saga
from .state import ExecutionState, InstanceInfo
from .steps import Step, check_step
from .tasks import AllTask, AnyTask, Orchestration, Task, TimedTask, TimerTask, has_ended
from .user_frames import caller
from .values import read, write

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
Ts = TypeVarTuple("Ts")
X = TypeVar("X")

Outcome: TypeAlias = T | TaskFailedError
Failing: TypeAlias = Literal["fail_fast", "first_error_after_all"]
Settled: TypeAlias = Literal["all_settled"]

_NAMESPACE = uuid.UUID("5d1c8a52-6d0f-5f5b-9d5e-0b7f6a3c1e90")
"""Namespace of the ids that orchestrators make; any fixed value would do."""

_DETACHED = uuid.UUID("a5bd7b5c-5a35-5f0c-8a3e-6f2f0a5e7d11")
"""Namespace of the ids of detached instances; likewise."""


class OrchestrationContext:
    """First parameter of an orchestrator.

    Its methods return tasks, for which the orchestrator waits with ``yield from`` (or ``yield``). Orchestrator code is
    replayed from its beginning, so it takes time, ids and random numbers from the context, and does all other work in
    activities.
    """

    __slots__ = (
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
    )
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
        self._info, self._decisions, self._mailbox, self._converter = info, decisions, mailbox, converter
        self._conditions, self._queries = conditions, queries
        self._input, self._input_type = data, kind
        self._ids = self._callbacks = 0
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

    # ------------------------------------------------------------ steps

    @overload
    def run(
        self,
        name: str,
        fn: Callable[[*Ts], Coroutine[Any, Any, T]],
        *args: *Ts,
        retry: RetryPolicy | None = None,
    ) -> Task[T]: ...
    @overload
    def run(self, name: str, fn: Callable[[*Ts], T], *args: *Ts, retry: RetryPolicy | None = None) -> Task[T]: ...
    @overload
    def run(
        self,
        name: str,
        fn: Callable[..., Any],
        *args: Any,
        retry: RetryPolicy | None = None,
        returns: type[T],
    ) -> Task[T]: ...
    def run(
        self,
        name: str,
        fn: Callable[..., Any],
        *args: Any,
        retry: RetryPolicy | None = None,
        returns: Any = None,
    ) -> Task[Any]:
        """Run ``fn(*args)`` once, in this process, and record its result: Restate's ``ctx.run``.

        For work that is too small for an activity: a step costs one storage write, when it has ended, and no message.
        ``fn`` is a plain function (it runs on a thread) or an async one, and may be a lambda or a nested function; its
        result must be JSON. It runs in the process of the turn, at least once, and again only after a crash or a
        failure; never again once its result is recorded. Several steps may run at once: ``task_all``.

        name: identifies the step in the history; it must stay the same while instances run.
        retry: the retry policy; None makes one attempt.
        returns: type of the result; None takes the function's annotation, or else plain JSON.
        Raises OrchestratorCodeError if ``fn`` cannot be a step. The task fails with StepFailedError.
        """
        check_step(name, fn)
        decisions = self._decisions
        kind = result_type(fn) if returns is None else returns
        step = Step(decisions.next_id(), name, fn, args, retry, caller(), len(decisions.history))
        task: Task[Any] = Task(decisions, step, kind)
        decisions.run(task, step)
        return task

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

    # ------------------------------------------------------------ detached orchestrations

    @overload
    def start_orchestration(
        self, fn_or_name: str, input_: object = None, instance_id: str | None = None, version: str | None = None
    ) -> str: ...
    @overload
    def start_orchestration(
        self,
        fn_or_name: Callable[[OrchestrationContext], Orchestration[Any]],
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> str: ...
    @overload
    def start_orchestration(
        self,
        fn_or_name: Callable[[OrchestrationContext, X], Orchestration[Any]],
        input_: X,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> str: ...
    def start_orchestration(
        self,
        fn_or_name: str | Callable[..., Any],
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> str:
        """Start another orchestrator without waiting for it; returns its instance id at once.

        It has no parent: it continues when this orchestration ends or is terminated, and its end is not reported here.
        If the id is in use when it is started, nothing is started and a warning is logged.

        version: the version to start; None takes the default one, or else the newest.
        Raises OrchestratorCodeError if the id or the version is not valid, SerializationError if the input cannot be
        written as JSON.
        """
        decisions = self._decisions
        name = name_of(fn_or_name)
        data = write(self._converter, input_, "the input of orchestrator", name)
        line = caller()
        check_version(version)
        task_id = decisions.next_id()
        if instance_id is None:
            seed = f"{self._seed}/{task_id}"
            instance_id = uuid.uuid5(_DETACHED, seed).hex
        check_child_id(instance_id)
        decisions.record(OrchestrationStarted(task_id, name, instance_id, version, data, line))
        return instance_id

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

    # ------------------------------------------------------------ external events

    @overload
    def wait_for_external_event(self, name: str, returns: type[T], timeout: timedelta | None = None) -> Task[T]: ...
    @overload
    def wait_for_external_event(
        self, name: str, returns: Any = None, timeout: timedelta | None = None
    ) -> Task[Any]: ...
    def wait_for_external_event(self, name: str, returns: Any = None, timeout: timedelta | None = None) -> Task[Any]:
        """Wait for the next external event of this name (case-insensitive), or take one that has arrived already.

        Waiters of one name receive events in the order of their calls. A waiter that did not win its ``task_any``
        receives no event until the orchestrator waits for it again. Data that does not fit ``returns`` fails the task
        with a TaskFailedError.

        timeout: time limit, of any length, after which the task fails with TaskTimeoutError.
        Raises OrchestratorCodeError for a name that is not a text, or a timeout that is negative.
        """
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OrchestratorCodeError(f"an event name is a text, not {name!r}", caller())
        if isinstance(returns, timedelta):
            raise OrchestratorCodeError(f"the time limit is a keyword argument: timeout={returns!r}", caller())
        decisions = self._decisions
        task = self._mailbox.wait(
            decisions, name, returns, caller(), is_running=decisions.is_running, since=decisions.now
        )
        if timeout is None:
            return task
        message = f"external event '{name}' did not come within {timeout}"
        failure = FailureDetails(type_name(TaskTimeoutError), message, retriable=False)
        return self._limited(task, timeout, TaskTimeoutError(message, failure, name=name))

    def on_event(self, name: str, handler: Callable[[Any], object]) -> None:
        """Call ``handler(data)`` for every external event of this name (case-insensitive), as Temporal's signal
        handler. Events that have arrived already are passed to it at once.

        The handler is a plain function and part of the orchestrator: it may set variables, for which the orchestrator
        waits with ``wait_condition``, and must be deterministic. It runs before code that waits for the event; an event
        with a handler is not kept. Its parameter's annotation gives the data's type; data that does not fit is logged
        and dropped. OrchestratorCodeError for a second handler of one name.
        """
        self._mailbox.on(name, handler, is_replaying=self._decisions.is_replaying)

    def wait_condition(self, predicate: Callable[[], object], timeout: timedelta | None = None) -> Task[bool]:
        """Wait until ``predicate()`` holds: Temporal's ``wait_condition``. Checked now, and after every event.

        The result of the task is True; False at the end of ``timeout``. An exception of the predicate is raised at the
        ``yield``. Raises OrchestratorCodeError if the predicate is not a plain function, or the timeout is negative.
        """
        decisions = self._decisions
        refuse_outside()
        task = self._conditions.wait(decisions, predicate, is_running=decisions.is_running, since=decisions.now)
        return task if timeout is None else self._limited(task, timeout, False)

    def send_event(self, instance_id: str, event_name: str, data: object = None) -> None:
        """Raise an external event on another instance, once. An instance that has ended does not get it.

        Raises OrchestratorCodeError for an instance id or a name that is not valid, SerializationError if the data
        cannot be written as JSON.
        """
        try:
            check_instance_id(instance_id)
            check_event_name(event_name)
        except InvalidInputError as error:
            raise OrchestratorCodeError(f"send_event: {error}", caller()) from error
        value = write(self._converter, data, "the data of event", event_name)
        decisions = self._decisions
        decisions.record(EventSent(decisions.next_id(), instance_id, event_name, value, caller()))

    # ------------------------------------------------------------ callbacks and queries

    @overload
    def callback(self, name: str, returns: type[T], timeout: timedelta | None = None) -> Callback[T]: ...
    @overload
    def callback(self, name: str, returns: Any = None, timeout: timedelta | None = None) -> Callback[Any]: ...
    def callback(self, name: str, returns: Any = None, timeout: timedelta | None = None) -> Callback[Any]:
        """A task that a third party completes by a POST of JSON, the result of ``.task``, to ``.url``. The URL needs
        no key, is signed for this one callback, works once, and is the same on every replay.

        timeout: time limit after which the task fails with TaskTimeoutError and the URL expires; None: the URL expires
            after 90 days and the task waits for ever.
        Data that does not fit ``returns`` fails the task with a TaskFailedError.
        """
        self._callbacks += 1
        info = self._info
        ticket = make_ticket(
            info.instance_id,
            info.execution_id,
            info.generation,
            self._callbacks,
            name,
            after(self._decisions.now, LIFETIME if timeout is None else timeout),
        )
        task = self.wait_for_external_event(ticket.event_name, returns, timeout)
        return Callback(task, ticket, info.callback_urls, lambda: self._decisions.is_replaying)

    def set_query_handler(self, name: str, fn: Callable[..., Any]) -> None:
        """Answer ``client.query(instance_id, name, args)`` with ``fn(args)``, or ``fn()`` if it takes nothing:
        Temporal's query. ``fn`` reads the orchestrator's variables and changes nothing; its result must be JSON.

        Raises OrchestratorCodeError for a second handler of one name.
        """
        self._queries.add(name, fn)

    # ------------------------------------------------------------ several tasks

    def task_all(self, tasks: Iterable[Task[T]], max_concurrency: int | None = None) -> Task[list[T]]:
        """A task with the results of all tasks, in the order given; [] without tasks.

        Fails as soon as one task fails. The other tasks continue, and their results are dropped; ``gather`` has other
        policies.

        max_concurrency: the highest number of tasks that are under way at a time. ``tasks`` must then be lazy, such as
            a generator: the next task is taken from it when one has ended, and none after a failure. An exception of
            the iterable is raised where the orchestrator waits for this task.
        Raises OrchestratorCodeError for objects that are not tasks of this context, or for a list with
        max_concurrency.
        """
        if max_concurrency is not None:
            return PulledTask(self._decisions, tasks, max_concurrency, self._decisions.watch)
        return AllTask(self._decisions, tasks, "task_all", list)

    def task_any(self, tasks: Iterable[Task[T]]) -> Task[Task[T]]:
        """The task that ends first, with a result or an error: read its ``result``. The others continue."""
        return AnyTask(self._decisions, tasks)

    when_all = task_all
    when_any = task_any

    def as_completed(self, tasks: Iterable[Task[T]]) -> Iterator[NextTask[T]]:
        """The tasks in the order in which they end: ``for task in ctx.as_completed(tasks): x = yield from task``.

        Each iteration returns a task that ends with the result or failure of the next given task to end; its
        ``origin`` is that task. The loop may be left early; the remaining tasks continue.
        """
        return Completions(self._decisions, tasks).in_order()

    @overload
    def gather(self, *, policy: GatherPolicy = "fail_fast") -> Task[tuple[()]]: ...
    @overload
    def gather(self, t1: Task[T1], /, *, policy: Failing = "fail_fast") -> Task[tuple[T1]]: ...
    @overload
    def gather(self, t1: Task[T1], t2: Task[T2], /, *, policy: Failing = "fail_fast") -> Task[tuple[T1, T2]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], /, *, policy: Failing = "fail_fast"
    ) -> Task[tuple[T1, T2, T3]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], t4: Task[T4], /, *, policy: Failing = "fail_fast"
    ) -> Task[tuple[T1, T2, T3, T4]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], t4: Task[T4], t5: Task[T5], /, *, policy: Failing = "fail_fast"
    ) -> Task[tuple[T1, T2, T3, T4, T5]]: ...
    @overload
    def gather(self, *tasks: Task[T], policy: Failing = "fail_fast") -> Task[tuple[T, ...]]: ...
    @overload
    def gather(self, t1: Task[T1], /, *, policy: Settled) -> Task[tuple[Outcome[T1]]]: ...
    @overload
    def gather(self, t1: Task[T1], t2: Task[T2], /, *, policy: Settled) -> Task[tuple[Outcome[T1], Outcome[T2]]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], /, *, policy: Settled
    ) -> Task[tuple[Outcome[T1], Outcome[T2], Outcome[T3]]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], t4: Task[T4], /, *, policy: Settled
    ) -> Task[tuple[Outcome[T1], Outcome[T2], Outcome[T3], Outcome[T4]]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], t4: Task[T4], t5: Task[T5], /, *, policy: Settled
    ) -> Task[tuple[Outcome[T1], Outcome[T2], Outcome[T3], Outcome[T4], Outcome[T5]]]: ...
    @overload
    def gather(self, *tasks: Task[T], policy: Settled) -> Task[tuple[Outcome[T], ...]]: ...
    @overload
    def gather(self, *tasks: Task[T], return_exceptions: Literal[True]) -> Task[tuple[Outcome[T], ...]]: ...
    def gather(
        self, *tasks: Task[Any], return_exceptions: bool = False, policy: GatherPolicy = "fail_fast"
    ) -> Task[Any]:
        """A task with the results of several tasks as a tuple: ``order, customer = yield from ctx.gather(a, b)``.

        Each result has the type of its task.

        policy: ``fail_fast`` fails as soon as one task fails, and drops the results of the others, which continue;
            ``all_settled`` waits for all tasks, and has a TaskFailedError in the place of the result of a failed task;
            ``first_error_after_all`` waits for all tasks, then fails with the first failure.
        return_exceptions: True is ``all_settled``, by its name in asyncio.
        Raises OrchestratorCodeError for another policy.
        """
        if policy not in get_args(GatherPolicy):
            raise OrchestratorCodeError(f"gather has the policies {get_args(GatherPolicy)}, not {policy!r}", caller())
        if policy == "fail_fast" and not return_exceptions:
            return AllTask(self._decisions, tasks, "gather", tuple)
        return GatherTask(self._decisions, tasks, collects=return_exceptions or policy == "all_settled")

    # ------------------------------------------------------------ sagas

    def saga(self) -> Saga:
        """An empty list of compensations, to be run in reverse order after a failure: see ``Saga``."""
        return Saga(self)

    def run_saga(self, body: Callable[[Saga], Generator[Task[Any], Any, T]]) -> Orchestration[T]:
        """Run ``body(saga)``. When it raises, its compensations run before the error is raised.

        ``result = yield from ctx.run_saga(body)``. Raises the error of ``body`` after the compensations; if some of
        them failed, a CompensationError with that error as its cause.
        """
        return run_saga(self, body)

    # ------------------------------------------------------------ HTTP

    def call_http(
        self,
        method: str,
        uri: str,
        content: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        retry: RetryPolicy | None = None,
        timeout: timedelta | None = None,
        poll: bool = True,
    ) -> Task[DurableHttpResponse]:
        """Make an HTTP request; the result of the task is the response, with any status code.

        The request is made by an activity, so it may be made twice if the host crashes meanwhile. Method, address,
        headers and content are stored in the history, secrets included: make a request with a secret in an activity of
        your own, which reads the secret from its settings.

        content: a str is sent as it is, None sends no content, any other value is sent as JSON.
        retry: None makes one attempt. With a policy, a failed connection and the statuses 429 and 5xx are failures,
            which are tried again.
        timeout: time limit of the whole call, with all attempts and polls; a single request may take 100 s at most.
        poll: whether to poll after an answer 202 with a ``Location``, as in Durable Functions: the orchestrator
            requests that address after ``Retry-After`` (default 30 s, at most 30 days), by durable timers, until the
            status is another one. Headers are sent only to the origin of ``uri``. If the ``Location`` is not an http or
            https address, the response is the result.

        Requests go only to the hosts of ``Settings.http_allow`` (``DURABLE_HTTP_ALLOW``); if it is empty, to every
        host.

        Raises OrchestratorCodeError if the address is neither http nor https. The task fails with ActivityFailedError
        (no answer; a response that is too large; a host that is not allowed; a refusal, with ``retry``) or with
        TaskTimeoutError.
        """
        return call_http(
            self,
            self._decisions,
            method,
            uri,
            write(self._converter, content, "the content of an HTTP request"),
            headers or {},
            retry=retry,
            timeout=timeout,
            poll=poll,
        )

    # ------------------------------------------------------------ the next generation

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

    # ------------------------------------------------------------ parts

    def _limited(self, task: Task[T], timeout: timedelta, late: object) -> Task[T]:
        """The task with a time limit; the task itself, without a timer, if it has ended already."""
        if not isinstance(timeout, timedelta) or timeout < timedelta(0):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OrchestratorCodeError(
                f"a timeout must be a timedelta that is not negative, not {timeout!r}", caller()
            )
        if has_ended(task):
            return task
        decisions = self._decisions
        event = TimerCreated(decisions.next_id(), after(decisions.now, timeout), caller())
        timer = TimerTask(decisions, event, decisions.cancel_timer)
        decisions.call(timer, event, None)
        return cast("Task[T]", TimedTask(decisions, task, timer, late))


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
