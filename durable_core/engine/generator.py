"""Runs the user's generator from one wait to the next, handles its errors, and closes it.

``OrchestrationExecutor`` decides when a task ends; this module has no access to the history.
"""

# pyright: reportPrivateUsage=false
# A friend of Task, as the functions of ``tasks`` are, for speed: it reads a task at every step of every orchestrator.

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import FrameType
from typing import Any, cast

from ..converter import Converter
from ..errors import (
    DurableError,
    OrchestratorCodeError,
    PayloadTooLargeError,
    SerializationError,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
)
from ..guard import unwatched
from ..models import JSON, FailureDetails, RuntimeStatus, Wait, type_name
from ..registry import NO_INPUT, OrchestratorDefinition
from ..source_location import place, raised_at
from ..user_code import is_interrupt, raise_unless_failure
from .conditions import Conditions
from .context import OrchestrationContext
from .events import ContinueAsNew, ExecutionCompleted
from .external_events import ExternalEvents
from .handlers import Queries
from .state import ExecutionState, InstanceInfo
from .tasks import Task, describe_call, leave, look
from .user_frames import suspended_at, without_engine
from .waits import waits_of

_BASES_OF_TIMEOUT = (type_name(TaskFailedError), type_name(DurableError))

_log = logging.getLogger("durable_core.engine")


class UserGenerator:
    """The generator of one generation. Methods that run user code are called in the instance's contextvars context."""

    __slots__ = (
        "_cancel_reason",
        "_converter",
        "_decisions",
        "_definition",
        "_frame",
        "_generator",
        "_info",
        "_mailbox",
        "_overlooked",
        "_waiting",
        "conditions",
        "queries",
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
        self._generator: Generator[Any, Any, Any] | None = None
        self._frame: FrameType | None = None  # of the generator's own code; has the line after its end
        self._waiting: Task[Any] | None = None
        self._cancel_reason: str | None = None
        self._overlooked: list[Task[Any]] = []  # ended before the code waited for them
        self.conditions = Conditions(decisions.watch)
        self.queries = Queries(info.instance_id, converter, decisions.watch)

    @property
    def generator(self) -> Generator[Any, Any, Any] | None:
        """The generator of the code, while it runs."""
        return self._generator

    @property
    def waits(self) -> list[Wait]:
        """What the code waits for; see ``waits_of``."""
        return waits_of(self._waiting, self._decisions)

    @property
    def waits_at(self) -> str:
        """``file:line`` where the code waits; '' if it does not run."""
        return "" if self._generator is None else suspended_at(self._generator)

    def start(self, data: JSON) -> None:
        """Create the generator and run it to its first wait, with the instance's input."""
        definition = self._definition
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
        )
        try:
            arguments = (context.get_input(),) if takes else ()
            self._generator = self._decisions.watch(definition.fn, context, *arguments)
        except BaseException as error:  # noqa: BLE001  the input does not fit the orchestrator: the instance's failure
            raise_unless_failure(error)
            self._fail(error)
        else:
            self._frame = getattr(self._generator, "gi_frame", None)
            self._run()

    def run_on(self, ended: Task[Any] | None) -> None:
        """Run the code if the task that has just ended, or one made of it, is what it waits for."""
        if ended is None:
            return
        if not ended._seen:
            self._overlooked.append(ended)
        waiting = self._waiting
        if waiting is not None and waiting._done:
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

        Code that has not started ends at once; code that has called continue_as_new ends without a next generation.
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
        error = TaskCancelledError(message, FailureDetails(type_name(TaskCancelledError), message, retriable=False))
        if self._waiting is not None:
            task, self._waiting = self._waiting, None
            leave(task, error)
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
        task, self._waiting = self._waiting, None
        decisions = self._decisions
        watch = decisions.watch
        send = generator.send if watch is unwatched else partial(watch, generator.send)
        value: Any = None
        try:
            while True:
                if task is not None:
                    value, error = task._value, task._error
                yielded = send(value) if error is None else watch(generator.throw, error.with_traceback(None))
                task = look(yielded, decisions)
                if task is None:
                    self._fail(_not_a_task(yielded, suspended_at(generator), decisions.continuation is not None))
                    self.close()
                    return
                if not task._done:
                    self._waiting = task
                    return
        except StopIteration as stop:
            self._finish(stop.value)
        except TaskCancelledError as escaped:
            if self._cancel_reason is None:
                self._fail(escaped)
            else:
                line = raised_at(escaped.__traceback__)
                self._end(ExecutionCompleted(RuntimeStatus.CANCELED.value, self._cancel_reason, line=line))
        except BaseException as raised:  # noqa: BLE001  any exception of user code is the failure of the instance
            raise_unless_failure(raised)
            self._fail(_named(raised))

    def _finish(self, value: object) -> None:
        """End the generation after the code has returned."""
        decisions = self._decisions
        if decisions.continuation is not None:
            self._end(decisions.continuation)
        else:
            try:
                where = f"the result of orchestrator '{self._info.name}' ({self._definition.location})"
                result = self._converter.to_json(value, where)
            except (SerializationError, PayloadTooLargeError) as error:
                self._fail(error)
                return
            self._end(ExecutionCompleted(RuntimeStatus.COMPLETED.value, result, line=self._returned_at))
        if not decisions.is_replaying:
            self._warn_of_forgotten_yields()

    def _fail(self, error: BaseException) -> None:
        error.__traceback__ = without_engine(error.__traceback__)
        line = raised_at(error.__traceback__) or self.waits_at or self._returned_at
        failure = replace(FailureDetails.from_exception(error), line=line)
        self._end(ExecutionCompleted(RuntimeStatus.FAILED.value, None, failure, line, tasks_behind(error) or None))

    @property
    def _returned_at(self) -> str:
        """``file:line`` at which the code has returned; '' if it never ran."""
        return "" if self._frame is None else place(self._frame.f_code.co_filename, self._frame.f_lineno)

    def _end(self, completion: ExecutionCompleted | ContinueAsNew) -> None:
        self._decisions.record(completion)
        self._decisions.completion = completion

    def _warn_of_forgotten_yields(self) -> None:
        tasks = [*self._decisions.open.values(), *self._mailbox.waiters(), *self._overlooked]
        for task in tasks:
            if not task._seen:
                _log.warning(
                    "orchestrator '%s' (instance '%s') ended without waiting for %s, called at %s: is a 'yield from' "
                    "missing there?",
                    self._info.name,
                    self._info.instance_id,
                    describe_call(task),
                    getattr(task if task.call is None else task.call, "line", ""),
                )

    def close(self) -> None:
        """Close the generator; the only place where that is done."""
        self._decisions.is_running = False
        generator, self._generator, self._waiting, self._frame = self._generator, None, None, None
        if generator is None:
            return
        try:
            generator.close()
        except BaseException as error:  # it cannot fail the instance, which has ended or runs elsewhere
            if is_interrupt(error):
                raise
            _log.warning(
                "orchestrator '%s' (instance '%s') raised while it was closed; its 'finally:' blocks must not wait "
                "for tasks: %r",
                self._info.name,
                self._info.instance_id,
                error,
            )


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
        if isinstance(each, BaseExceptionGroup):
            todo.extend(reversed(cast("BaseExceptionGroup[BaseException]", each).exceptions))
        todo.append(each.__cause__ or each.__context__)
    return list(found)


def _named(error: BaseException) -> BaseException:
    """A clearer error in the place of Python's own, for a typical mistake of the code; else the same error."""
    if isinstance(error, AttributeError) and error.name == "send" and isinstance(error.obj, Iterator):
        kind = type(error.obj).__name__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportUnknownArgumentType]
        named = OrchestratorCodeError(
            f"'yield from' went through a {kind}, not a task: to wait for several tasks, write "
            "'yield from ctx.task_all([...])' or 'yield from ctx.task_any([...])'",
            raised_at(error.__traceback__),
        )
        return named.with_traceback(error.__traceback__)
    return error


def _not_a_task(yielded: object, where: str, is_continued: bool) -> OrchestratorCodeError:
    if yielded is None and is_continued:
        hint = "continue_as_new returns no task: call it without 'yield', and 'return' after it"
    elif yielded is None:
        hint = "a call that returns no task, such as ctx.set_custom_status(...), is written without 'yield'"
    elif isinstance(yielded, Task):
        hint = "it belongs to another orchestrator instance"
    elif isinstance(yielded, Generator):
        hint = "to run another generator, write 'yield from'"
    elif isinstance(yielded, list | tuple | set):
        hint = "to wait for several tasks, yield ctx.task_all(...) or ctx.task_any(...)"
    elif hasattr(yielded, "__await__"):
        hint = "an orchestrator cannot await; call it as an activity with ctx.call_activity(...)"
    else:
        hint = "yield the tasks that ctx.call_activity(...), ctx.create_timer(...) and the like return"
    return OrchestratorCodeError(
        f"an orchestrator yielded {yielded!r}, which is not a task of this orchestrator: {hint}", where
    )
