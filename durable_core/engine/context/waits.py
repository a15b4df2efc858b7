"""What an orchestrator waits for and what it tells others: timers, events, conditions, callbacks, queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, overload

from ...errors import InvalidInputError, OrchestratorCodeError, TaskTimeoutError
from ...instance_ids import check_event_name, check_instance_id
from ...moments import after
from ..callbacks import LIFETIME, Callback, make_ticket
from ..code_scope import refuse_outside
from ..events import EventSent, TimerCreated
from ..tasks import Task, TimerTask, own_error
from ..user_frames import caller
from ..values import write
from .base import ContextBase

T = TypeVar("T")


class Waits(ContextBase):
    """Timers, external events, conditions, callbacks, queries and updates."""

    __slots__ = ()

    # ------------------------------------------------------------ timers

    def create_timer(self, fire_at: datetime | timedelta) -> TimerTask:
        """A durable timer of any length: it fires at an aware ``datetime``, or a ``timedelta`` from now.

        A timer that is due in the past fires at once, a timer that is due after the year 9999 never fires. Raises
        OrchestratorCodeError for a naive datetime or a negative timedelta.
        """
        decisions = self._decisions
        due = self._moment(fire_at, "a timer")
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
        Raises OrchestratorCodeError for a name that no event can have, or a timeout that is negative.
        """
        _check_event_name(name)
        return self._wait_for(name, returns, timeout)

    def _wait_for(self, name: str, returns: Any, timeout: timedelta | None) -> Task[Any]:
        if isinstance(returns, timedelta):
            raise OrchestratorCodeError(f"the time limit is a keyword argument: timeout={returns!r}", caller())
        decisions = self._decisions
        task = self._mailbox.wait(
            decisions, name, returns, caller(), is_running=decisions.is_running, since=decisions.now
        )
        if timeout is None:
            return task
        message = f"external event '{name}' did not come within {timeout}"
        return self._limited(task, timeout, own_error(TaskTimeoutError, message, name=name))

    def on_event(self, name: str, handler: Callable[[Any], object]) -> None:
        """Call ``handler(data)`` for every external event of this name (case-insensitive), as Temporal's signal
        handler. Events that have arrived already are passed to it at once.

        The handler is a plain function and part of the orchestrator: it may set variables, for which the orchestrator
        waits with ``wait_condition``, and must be deterministic. It runs before code that waits for the event; an event
        with a handler is not kept. Its parameter's annotation gives the data's type; data that does not fit is logged
        and dropped. OrchestratorCodeError for a second handler of one name, or for a name that no event
        can have.
        """
        _check_event_name(name)
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
        task = self._wait_for(ticket.event_name, returns, timeout)
        tickets = self._decisions.callbacks
        if not isinstance(tickets, list):
            tickets = self._decisions.callbacks = [*tickets]
        tickets.append(ticket)
        return Callback(task, ticket, info.callback_urls, lambda: self._decisions.is_replaying)

    def set_query_handler(self, name: str, fn: Callable[..., Any]) -> None:
        """Answer ``client.query(instance_id, name, args)`` with ``fn(args)``, or ``fn()`` if it takes nothing:
        Temporal's query. ``fn`` reads the orchestrator's variables and changes nothing; its result must be JSON.

        Raises OrchestratorCodeError for a second handler of one name.
        """
        self._queries.add(name, fn)

    # ------------------------------------------------------------ updates

    def set_update_handler(
        self,
        name: str,
        fn: Callable[..., Any],
        validator: Callable[..., object] | None = None,
        *,
        unfinished: Literal["warn", "abandon"] = "warn",
    ) -> None:
        """Carry out ``client.update(instance_id, name, args)`` with ``fn(args)``, or ``fn()`` if it takes nothing:
        Temporal's update. The sender gets the result of ``fn``.

        fn: part of the orchestrator, and deterministic. A plain function runs at once, as an event handler does. A
            generator function, or an ``async def``, may call activities and wait, while the orchestrator's own code and
            other handlers go on. Its result must be JSON. What it raises is the failure of the update, and not of the
            instance. The annotation of its parameter gives the type of the arguments.
        validator: a plain function that is called with the same arguments first, and refuses the update by raising: of
            a refused update nothing is recorded. It reads the orchestrator's variables and changes nothing; a replay
            does not call it.
        unfinished: whether a warning in the log names an update whose handler has not ended when the orchestrator does:
            Temporal's ``unfinished_policy``. "abandon": that is intended.

        An instance carries out at most 40 updates at a time. When the orchestrator ends or continues as new, the
        updates whose handlers have not ended fail: wait for ``lambda: ctx.all_updates_ended`` first.
        Raises OrchestratorCodeError for a second handler of one name, or a function that cannot be one.
        """
        self._updates.set(name, fn, validator, unfinished)

    @property
    def all_updates_ended(self) -> bool:
        """Whether no handler of an update is under way: ``yield from ctx.wait_condition(lambda:
        ctx.all_updates_ended)`` before the orchestrator ends. Temporal's ``all_handlers_finished``."""
        return not self._updates.open


def _check_event_name(name: str) -> None:
    """OrchestratorCodeError for a name that no event can have: the code would wait for ever."""
    try:
        check_event_name(name)
    except InvalidInputError as error:
        raise OrchestratorCodeError(str(error), caller()) from error
