"""The calls of activities and steps."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast, overload

from ...converter import is_plain
from ...definitions import ActivityDefinition, definition_of
from ...errors import InvalidInputError, OrchestratorCodeError
from ...journal import JournalContext
from ...limits import Limit, checked_priority, text_of
from ...models import JSON, RetryPolicy
from ..annotations import result_type, returned
from ..call_options import CallOptions, scheduled_options
from ..called import called_name, check_name
from ..events import make_task_scheduled
from ..slots import LimitedTask, SlotTask, ask, check_not_of_run, give_back, request_of, slot_of
from ..steps import Step, check_step
from ..tasks import Task
from ..user_frames import caller
from ..values import write
from .base import ContextBase

T = TypeVar("T")
X = TypeVar("X")
Ts = TypeVarTuple("Ts")


class ActivityCalls(ContextBase):
    """Calls that run user code outside of the orchestrator."""

    __slots__ = ()

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
        fn_or_name: Callable[[], Coroutine[Any, Any, T]] | Callable[[JournalContext], Coroutine[Any, Any, T]],
        input_: None = None,
        **options: Unpack[CallOptions],
    ) -> Task[T]: ...
    @overload
    def call_activity(
        self,
        fn_or_name: Callable[[X], Coroutine[Any, Any, T]] | Callable[[JournalContext, X], Coroutine[Any, Any, T]],
        input_: X,
        **options: Unpack[CallOptions],
    ) -> Task[T]: ...
    @overload
    def call_activity(
        self,
        fn_or_name: Callable[[], T] | Callable[[JournalContext], T],
        input_: None = None,
        **options: Unpack[CallOptions],
    ) -> Task[T]: ...
    @overload
    def call_activity(
        self,
        fn_or_name: Callable[[X], T] | Callable[[JournalContext, X], T],
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
        decisions = self._decisions
        definition: Any = None
        name: Any = fn_or_name
        if name.__class__ is not str:
            definition = definition_of(fn_or_name)
            if definition.__class__ is ActivityDefinition:
                name = definition.name
            else:
                name = called_name(fn_or_name, "activity", decisions)
        kind: Any = expected_type if returns is None else returns
        if kind is None:
            kind = returned(fn_or_name, None) if definition is None else result_type(fn_or_name)  # pyright: ignore[reportArgumentType]
        data = input_ if is_plain(input_) else write(self._converter, input_, "the input of activity", name)
        kept = scheduled_options(definition, options)
        headers = self._headers_of("activity", name) if self._before else None
        task_id = decisions.next_id()
        event = decisions.foretold_activity(task_id, name) if decisions.expected_decisions else None
        if event is None:
            if definition is None:
                check_name(name, "activity")
            if self._info.limits is not None or decisions.foretold:
                limited = self._with_limit(name, input_, task_id)
                if limited is not None:
                    gate, request = limited
                    return self._call_in_slot(
                        gate, request, task_id, name, data, kept, options.get("retry"), kind, headers
                    )
            event = make_task_scheduled(task_id, name, data, caller(), kept, headers)
        task: Task[Any] = Task(decisions, event, kind)
        decisions.call(task, event, options.get("retry"))
        return task

    def _with_limit(self, name: str, input_: object, task_id: int) -> tuple[str, JSON] | None:
        """The gate, and the request for a slot, if the call is to wait for one.

        In a replay the history decides: an instance that has called the activity before it had a limit, or while it had
        one, goes on as it has begun.
        """
        decisions, info = self._decisions, self._info
        if decisions.is_replaying:
            event = decisions.foretold_request()
            return None if event is None else (event.entity, event.input)
        limit = None if info.limits is None else info.limits.get(name)
        if limit is None:
            return None
        return request_of(decisions, limit, slot_of(info.execution_id, info.generation, task_id), input_)

    def _call_in_slot(
        self,
        gate: str,
        request: JSON,
        task_id: int,
        name: str,
        data: JSON,
        options: JSON,
        retry: RetryPolicy | None,
        kind: Any,
        headers: JSON,
    ) -> Task[Any]:
        decisions, line = self._decisions, caller()

        def begin() -> Task[Any]:
            event = make_task_scheduled(decisions.next_id(), name, data, line, options, headers)
            task: Task[Any] = Task(decisions, event, kind)
            decisions.call(task, event, retry)
            return task

        asked = ask(decisions, task_id, gate, request, line)
        return LimitedTask(decisions, asked, begin, lambda where: give_back(decisions, task_id, where))

    def slot(self, limit: Limit, key: str = "", *, group: str = "", priority: int = 0) -> SlotTask:
        """Wait for a slot of a limit: ``with (yield from ctx.slot(limit, tenant)):``. Inside the block it is held.

        The slot is given back at the end of the block, and when this orchestration ends or continues as new, in
        whatever way. A request that is not granted yet can be withdrawn: ``task.cancel()``. Two orchestrations that
        hold a slot each and wait for the other's wait for ever, as with locks; so a second ``ctx.slot`` in the block is
        refused. Activities with a limit may be called in it.

        key, group, priority: as ``Limit.key``, ``fair`` and ``priority`` make them of an input.
        Raises OrchestratorCodeError for what is no limit, and while another ``ctx.slot`` is held or asked for.
        """
        decisions, info, line = self._decisions, self._info, caller()
        if not isinstance(limit, Limit):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise OrchestratorCodeError(f"ctx.slot takes a Limit, not {limit!r:.200}", line)
        if self._slot is not None and self._slot in decisions.slots:
            raise OrchestratorCodeError(
                "ctx.slot while another slot is held or asked for: two orchestrations could wait for each other; "
                "release the other first",
                line,
            )
        task_id = decisions.next_id()
        try:
            gate = str(limit.gate_of(text_of(key, "key", limit)))
            request: JSON = limit.request(
                slot_of(info.execution_id, info.generation, task_id),
                text_of(group, "group", limit),
                checked_priority(priority, limit),
            )
        except InvalidInputError as error:
            raise OrchestratorCodeError(str(error), line) from error
        if decisions.is_replaying and (event := decisions.foretold_request()) is not None:
            gate, request = event.entity, event.input  # its numbers may be those of an earlier build
        elif decisions.run_slot is not None:
            check_not_of_run(decisions, limit, gate)
        asked = ask(decisions, task_id, gate, request, line)
        self._slot = task_id
        return SlotTask(decisions, asked, lambda where: give_back(decisions, task_id, where))

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
