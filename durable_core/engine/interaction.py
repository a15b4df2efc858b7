"""The part of the orchestration context for steps, external events, conditions, callbacks and queries.

These are methods of ``OrchestrationContext``, in a file of their own so that each file has one job.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar, TypeVarTuple, cast, overload

from ..converter import Converter
from ..errors import InvalidInputError, OrchestratorCodeError, TaskTimeoutError
from ..instance_ids import check_event_name, check_instance_id
from ..models import FailureDetails, RetryPolicy, type_name
from ..moments import after
from .annotations import result_type
from .callbacks import LIFETIME, Callback, make_ticket
from .code_scope import refuse_outside
from .conditions import Conditions
from .events import EventSent, TimerCreated
from .external_events import ExternalEvents
from .handlers import Queries
from .state import ExecutionState, InstanceInfo
from .steps import Step, check_step
from .tasks import Task, TimedTask, TimerTask, has_ended
from .user_frames import caller
from .values import write

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Interaction:
    """Base class of ``OrchestrationContext``."""

    __slots__ = ("_callbacks", "_conditions", "_converter", "_decisions", "_info", "_mailbox", "_queries")

    def __init__(
        self,
        info: InstanceInfo,
        decisions: ExecutionState,
        mailbox: ExternalEvents,
        converter: Converter,
        conditions: Conditions,
        queries: Queries,
    ) -> None:
        self._info, self._decisions, self._mailbox, self._converter = info, decisions, mailbox, converter
        self._conditions, self._queries = conditions, queries
        self._callbacks = 0

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
