"""Runs the user's generator from one wait to the next, handles its errors, and closes it.

``OrchestrationExecutor`` decides when a task ends; this module has no access to the history.
"""

# pyright: reportPrivateUsage=false
# A friend of Task, as the functions of ``tasks`` are, for speed: it reads a task at every step of every orchestrator.

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import FrameType, TracebackType
from typing import Any, cast

from ..converter import Converter
from ..coroutine_code import CoroutineCode, inner_code, steps_of
from ..definitions import NO_INPUT, OrchestratorDefinition
from ..errors import (
    DurableError,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
)
from ..guard import unwatched
from ..jobs import is_job
from ..models import JSON, FailureDetails, RuntimeStatus, type_name
from ..source_location import place, raised_at, short
from ..user_code import attribute_of, raise_unless_failure
from .conditions import Conditions
from .context import OrchestrationContext
from .critical_section import release_at_the_end
from .events import ContinueAsNew, EntityCalled, ExecutionCompleted
from .external_events import ExternalEvents
from .handlers import Queries
from .parent_close import close_children
from .slips import close_code, named_error, not_a_task
from .slots import ask, give_all_back, run_request, slot_of_run, take_over
from .state import ExecutionState, InstanceInfo
from .tasks import TRACE, Task, describe_call, leave, look, own_error
from .updates import Updates
from .user_frames import frame_of, on_behalf_of, suspended_at, without_engine
from .values import Written

_BASES_OF_TIMEOUT = (type_name(TaskFailedError), type_name(DurableError))

_log = logging.getLogger("durable_core.engine")


class UserGenerator:
    """The generator of one generation. Methods that run user code are called in the instance's contextvars context.

    waiting: the task for which the code waits.
    """

    __slots__ = (
        "_begin",
        "_cancel_reason",
        "_converter",
        "_decisions",
        "_definition",
        "_frame",
        "_generator",
        "_info",
        "_line_of_job",
        "_mailbox",
        "_overlooked",
        "conditions",
        "queries",
        "updates",
        "waiting",
    )

    def __init__(
        self,
        definition: OrchestratorDefinition,
        info: InstanceInfo,
        converter: Converter,
        decisions: ExecutionState,
        mailbox: ExternalEvents,
    ) -> None:
        self._definition, self._info, self._converter = definition, info, converter
        self._decisions, self._mailbox = decisions, mailbox
        # The code of a job is of this package: to its user the job is at the line of its activity.
        self._line_of_job = short(definition.location) if is_job(definition.name) else ""
        self._generator: Generator[Any, Any, Any] | None = None
        self._frame: FrameType | None = None  # of the generator's own code; has the line after its end
        self.waiting: Task[Any] | None = None
        self._begin: Callable[[], None] | None = None  # while it waits for its slot
        self._cancel_reason: str | None = None
        self._overlooked: list[Task[Any]] = []  # ended before the code waited for them
        self.conditions = Conditions(decisions.watch)
        self.queries = Queries(info.instance_id, converter, decisions.watch)
        self.updates = Updates(info, converter, decisions)

    @property
    def generators(self) -> list[object]:
        """The generator or coroutine of the code, while it runs, and those of its open branches."""
        branches = self._decisions.branches
        found = [] if branches is None else [branch.code for branch in branches.open]
        return [inner_code(code) for code in (self._generator, *found) if code is not None]

    @property
    def waits_at(self) -> str:
        """``file:line`` where the code waits; '' if it does not run."""
        return "" if self._generator is None else self._line_of_job or suspended_at(self._generator)

    def start(self, data: JSON, slot: JSON = None) -> None:
        """Create the generator and run it to its first wait, with the instance's input. slot: that of the whole
        orchestration, which the generation before has held."""
        definition, decisions = self._definition, self._decisions
        if slot is not None:
            take_over(decisions, slot)
        takes = definition.takes(data)
        context = OrchestrationContext(
            self._info,
            self._decisions,
            self._mailbox,
            self._converter,
            data if takes or definition.default is NO_INPUT else definition.default,
            definition.input_type if takes else None,
            conditions=self.conditions,
            queries=self.queries,
            updates=self.updates,
            before=definition.interceptors.calls,
        )
        first: Any = decisions.foretold[0] if decisions.foretold else None
        has_limit = definition.limit is not None or self._info.limit
        if slot is None and (has_limit or first.__class__ is EntityCalled):
            self._ask(context, takes)
            if self._generator is not None or decisions.completion is not None:
                return
        self._create(context, takes)

    def _ask(self, context: OrchestrationContext, takes: bool) -> None:
        """Ask for the slot of the whole orchestration, if it has a limit; its code begins when the slot is granted."""
        definition, info, decisions = self._definition, self._info, self._decisions
        line = on_behalf_of.set(definition.location)
        try:
            name = slot_of_run(info.execution_id, info.generation)
            found = run_request(
                decisions, definition.limit, info.limit, name, lambda: context.get_input() if takes else None
            )
        except BaseException as error:  # noqa: BLE001  the functions of a limit are code of the user
            raise_unless_failure(error)
            self._fail(error)
            return
        finally:
            on_behalf_of.reset(line)
        if found is None:
            return
        decisions.run_slot = decisions.next_id()
        asked = ask(decisions, decisions.run_slot, *found, short(definition.location))
        self._begin = partial(self._create, context, takes)
        self._generator = _until(asked)
        self._run()

    def _create(self, context: OrchestrationContext, takes: bool) -> None:
        definition = self._definition
        if self._line_of_job:
            on_behalf_of.set(self._line_of_job)  # in the instance's own context variables: for all of its run
        try:
            arguments = (context.get_input(),) if takes else ()
            first = context if definition.adapter is None else definition.adapter.argument(context)
            around = definition.interceptors.orchestrators
            if around:
                from .intercepted import begun

                watched = partial(begun, around, context, partial(self._innermost, first, arguments))
                made: Any = self._decisions.watch(watched)
            else:
                made = self._decisions.watch(definition.fn, first, *arguments)
        except BaseException as error:  # noqa: BLE001  the input does not fit the orchestrator: the instance's failure
            raise_unless_failure(error)
            self._fail(error)
            return
        if around or definition.adapter is None or isinstance(made, Generator):
            self._generator = steps_of(made)
            self._frame = frame_of(self._generator)
            self._run()
        else:
            self._finish(made)

    def _innermost(self, first: Any, arguments: tuple[Any, ...]) -> Any:
        """Begin the orchestrator itself, inside of its interceptors: its line is the one that is shown at its end."""
        made: Any = self._definition.fn(first, *arguments)
        self._frame = frame_of(made)
        return made

    def run_on(self, ended: Task[Any] | None) -> None:
        """Run the code if the task that has just ended, or one made of it, is what it waits for."""
        if ended is None:
            return
        if not ended._seen:
            self._overlooked.append(ended)
        waiting = self.waiting
        if waiting is not None and waiting._done:
            self._run()

    def go_on(self) -> None:
        """Run the code if what it waits for has ended: other code of the instance may have ended it."""
        if self.waiting is not None and self.waiting._done:
            self._run()

    def check_conditions(self) -> None:
        """An event was applied: run the code for every condition that has come true."""
        if self._decisions.completion is None:
            self.conditions.check(self.run_on)

    def fail(self, error: BaseException) -> None:
        """A handler of the code's has raised: the code ends here."""
        self._fail(error)
        self.close()

    @property
    def is_cancelled(self) -> bool:
        """Whether the code was told to clean up and end."""
        return self._cancel_reason is not None

    def cancel(self, reason: str) -> None:
        """Raise a TaskCancelledError where the code waits.

        The branches of the code are cancelled first, and the error is raised once they have ended. Code that has not
        started ends at once; code that has called continue_as_new ends without a next generation.
        """
        self._cancel_reason = reason
        if isinstance(completion := self._decisions.completion, ContinueAsNew):
            self._decisions.made.remove(completion)
            self._end(ExecutionCompleted(RuntimeStatus.CANCELED.value, reason, line=completion.line))
            return
        if self._generator is None:
            self._end(ExecutionCompleted(RuntimeStatus.CANCELED.value, reason))
            return
        message = f"the orchestration was cancelled: {reason}" if reason else "the orchestration was cancelled"
        error = own_error(TaskCancelledError, message)
        if self.waiting is not None:
            task, self.waiting = self.waiting, None
            leave(task, error)
        branches = self._decisions.branches
        if branches is not None and (ending := branches.cancel_all(error)) is not None:
            self.waiting = ending
        else:
            self._run(error)

    def time_out(self, deadline: datetime) -> None:
        """End the generation as failed, wherever its code waits, because its deadline has passed."""
        message = f"the run of orchestrator '{self._info.name}' did not end by {deadline.isoformat()}"
        failure = FailureDetails(type_name(TaskTimeoutError), message, bases=_BASES_OF_TIMEOUT)
        self._end(ExecutionCompleted(RuntimeStatus.FAILED.value, None, failure))
        self.close()

    def _run(self, error: BaseException | None = None) -> None:
        """Run the code until it waits for a task that has not ended, or ends. ``error`` is raised in it first."""
        generator: Any = self._generator  # never None here
        task, self.waiting = self.waiting, None
        decisions = self._decisions
        watch = decisions.watch
        send = generator.send if watch is unwatched else partial(watch, generator.send)
        value: Any = None
        try:
            while True:
                if task is not None:
                    value, error = task._value, task._error
                yielded = (
                    send(value)
                    if error is None
                    else watch(generator.throw, error.with_traceback(vars(error).get(TRACE)))
                )
                if decisions.continuation is not None and self._definition.adapter is not None:
                    self._end(decisions.continuation)
                    self.close()
                    return
                task = look(yielded, decisions)
                if task is None:
                    is_continued = decisions.continuation is not None
                    is_async = isinstance(generator, CoroutineCode)
                    at = suspended_at(generator)
                    self._fail(not_a_task(yielded, at, is_continued=is_continued, is_async=is_async))
                    self.close()
                    return
                if not task._done:
                    self.waiting = task
                    return
        except StopIteration as stop:
            if self._begin is None:
                self._finish(stop.value)
                return
        except TaskCancelledError as escaped:
            if self._cancel_reason is None:
                self._fail(escaped)
            else:
                line = raised_at(escaped.__traceback__)
                self._end(ExecutionCompleted(RuntimeStatus.CANCELED.value, self._cancel_reason, line=line))
            return
        except BaseException as raised:  # noqa: BLE001  any exception of user code is the failure of the instance
            raise_unless_failure(raised)
            self._fail(named_error(raised))
            return
        begin, self._begin = self._begin, None  # the slot is granted
        begin()

    def _finish(self, value: object) -> None:
        """End the generation after the code has returned."""
        decisions = self._decisions
        if decisions.continuation is not None:
            self._end(decisions.continuation)
        else:
            try:
                where = f"the result of orchestrator '{self._info.name}' ({self._definition.location})"
                if self._definition.adapter is not None:
                    value = self._definition.adapter.result(value)
                result = value.data if isinstance(value, Written) else self._converter.to_json(value, where)
            except BaseException as error:  # noqa: BLE001  an adapter calls code of the user
                raise_unless_failure(error)
                self._fail(error)
                return
            self._end(ExecutionCompleted(RuntimeStatus.COMPLETED.value, result, line=self._returned_at))
        if not decisions.is_replaying:
            self._warn_of_forgotten_yields()

    def _fail(self, error: BaseException) -> None:
        error.__traceback__ = trace = without_engine(attribute_of(error, "__traceback__", TracebackType))
        line = raised_at(trace) or self.waits_at or self._returned_at
        failure = replace(FailureDetails.from_exception(error), line=line)
        adapter = self._definition.adapter
        output = None if adapter is None else adapter.output_of_failure(self._info.name, failure)
        because, ends = tasks_behind(error), self._decisions.map_ends
        over: JSON = [[task_id, ends[task_id]] for task_id in because if task_id in ends] or None
        self._end(ExecutionCompleted(RuntimeStatus.FAILED.value, output, failure, line, because or None, over))

    @property
    def _returned_at(self) -> str:
        """``file:line`` at which the code has returned; '' if it never ran."""
        if self._frame is None:
            return ""
        return self._line_of_job or place(self._frame.f_code.co_filename, self._frame.f_lineno)

    def _end(self, completion: ExecutionCompleted | ContinueAsNew) -> None:
        if self._decisions.branches is not None:
            self._decisions.branches.close()
        release_at_the_end(self._decisions)
        if self._decisions.pending:
            close_children(self._decisions)
        give_all_back(self._decisions, but_of_run=isinstance(completion, ContinueAsNew))
        self.updates.abandon()
        self._decisions.record(completion)
        self._decisions.completion = completion

    def _warn_of_forgotten_yields(self) -> None:
        branches = self._decisions.branches
        of_branches = () if branches is None else branches.overlooked
        tasks = [*self._decisions.open.values(), *self._mailbox.waiters(), *self._overlooked, *of_branches]
        for task in tasks:
            if not task._seen:
                _log.warning(
                    "orchestrator '%s' (instance '%s') ended without waiting for %s, called at %s: is %s "
                    "missing there?",
                    self._info.name,
                    self._info.instance_id,
                    describe_call(task),
                    getattr(task if task.call is None else task.call, "line", ""),
                    "an 'await'" if isinstance(self._generator, CoroutineCode) else "a 'yield from'",
                )

    def close(self) -> None:
        """Close the generator; the only place where that is done."""
        self._decisions.is_running = False
        if self._decisions.branches is not None:
            self._decisions.branches.close()
        generator, self._generator, self.waiting, self._frame = self._generator, None, None, None
        self._begin = None
        if generator is not None:
            close_code(generator, "orchestrator '%s' (instance '%s')", self._info.name, self._info.instance_id)


def _until(asked: Task[Any]) -> Generator[Any, Any, None]:
    """Stands for the code while it waits for its slot."""
    yield asked


def tasks_behind(error: BaseException) -> list[int]:
    """The ids of the tasks whose failures have led to an error, each once: its own, or else those of its cause, of the
    error that was being handled when it was raised, and of the members of a group."""
    found: dict[int, None] = {}
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, TaskFailedError) and each.task_id > 0:
            found[each.task_id] = None  # what was handled before it was called is no cause of its failure
            continue
        members = cast("tuple[BaseException, ...] | None", attribute_of(each, "exceptions", tuple))
        if issubclass(type(each), BaseExceptionGroup):
            todo.extend(reversed(members or ()))
        cause = attribute_of(each, "__cause__", BaseException)  # compared with None: an exception may be false
        todo.append(attribute_of(each, "__context__", BaseException) if cause is None else cause)
    return list(found)
