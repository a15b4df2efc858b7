"""Tasks of Durable Functions: a call is made when its task is *yielded*; a task that is never yielded never runs.

A ``TaskBase`` knows how to make the engine's task, and makes it once. Its results and errors are those of Durable
Functions: ``result`` is None before the end, and the exception after a failure.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any

from ..engine.adapted import AdaptedTask, call_now, has_ended_by_now
from ..engine.context import OrchestrationContext
from ..engine.tasks import Task, outcome, own_error
from ..engine.tasks import TimerTask as EngineTimer
from ..engine.user_frames import caller
from ..errors import TaskCancelledError
from .failures import translated


class TaskState(enum.Enum):
    """The states of a task."""

    RUNNING = 0
    SUCCEEDED = 1
    FAILED = 2


class TaskBase:
    """A call that an orchestrator has made or will make: ``value = yield task``."""

    __durable_no_value__ = "a task cannot be stored; yield it, and pass its result"

    def __init__(self, ctx: OrchestrationContext) -> None:
        self._ctx = ctx
        self._line = caller()
        self._made: Task[Any] | None = None

    def __durable_task__(self) -> Task[Any]:
        """The engine's task; the call is made at the first time."""
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def id(self) -> int | None:
        """The number of the call in the history; None for several tasks, and before the call is made."""
        return None

    @property
    def state(self) -> TaskState:
        """Whether the task runs, or how it has ended."""
        ended = self._ended()
        if ended is None:
            return TaskState.RUNNING
        return TaskState.SUCCEEDED if outcome(ended)[1] is None else TaskState.FAILED

    @property
    def result(self) -> Any:
        """The result; the exception if the task has failed; None before its end."""
        ended = self._ended()
        if ended is None:
            return None
        value, error = outcome(ended)
        return value if error is None else error

    def get_result(self) -> Any:
        """The same as ``result``."""
        return self.result

    @property
    def is_completed(self) -> bool:
        """Whether the task has ended, with a result or a failure."""
        return self.state is not TaskState.RUNNING

    is_complete = is_completed

    @property
    def is_failed(self) -> bool:
        """Whether the task has failed."""
        return self.state is TaskState.FAILED

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.state.name.lower()}>"

    @property
    def is_scheduled(self) -> bool:
        """Whether the call was made."""
        return self._made is not None

    def _make(self) -> Task[Any]:
        raise NotImplementedError

    def _ended(self) -> Task[Any] | None:
        """The engine's task if it has ended."""
        return self._made if self._made is not None and has_ended_by_now(self._made) else None


class AtomicTask(TaskBase):
    """One call. ``call`` makes it; ``read`` makes the result of what the engine gives."""

    def __init__(
        self, ctx: OrchestrationContext, call: Callable[[], Task[Any]], read: Callable[[Any], Any] = lambda value: value
    ) -> None:
        super().__init__(ctx)
        self._call, self._read = call, read
        self._called: Task[Any] | None = None

    @property
    def id(self) -> int | None:
        """The number of the call in the history; None before the call is made, and for a wait for an event."""
        return getattr(self._called and self._called.call, "task_id", None)

    def _make(self) -> Task[Any]:
        self._called = call_now(self._ctx, self._call, self._line)
        return AdaptedTask(self._called, self._read, translated)


class TimerTask(AtomicTask):
    """A durable timer."""

    def __init__(self, ctx: OrchestrationContext, call: Callable[[], EngineTimer]) -> None:
        super().__init__(ctx, call)
        self._is_cancelled = False

    @property
    def is_cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._is_cancelled

    def cancel(self) -> None:
        """Cancel the timer. Code that waits for it nevertheless gets a TaskCancelledError.

        ValueError if it has fired.
        """
        if self.is_completed:
            raise ValueError("Cannot cancel a completed task.")
        self._is_cancelled = True
        if isinstance(self._called, EngineTimer):
            self._called.cancel()

    def _ended(self) -> Task[Any] | None:
        return None if self._is_cancelled else super()._ended()

    def _make(self) -> Task[Any]:
        if self._is_cancelled:
            self._call = self._refuse
        return super()._make()

    def _refuse(self) -> Task[Any]:
        raise own_error(TaskCancelledError, "the timer was cancelled before the code waited for it")


class CompoundTask(TaskBase):
    """Several tasks. When it is yielded, the calls of all of them are made."""

    def __init__(self, ctx: OrchestrationContext, tasks: Iterable[TaskBase], api: str) -> None:
        super().__init__(ctx)
        self.children = list(tasks)
        for child in self.children:
            if not isinstance(child, TaskBase):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(f"{api} takes a list of tasks of the context, not {child!r}")

    @property
    def is_scheduled(self) -> bool:
        """Whether the calls of all its tasks were made."""
        return all(child.is_scheduled for child in self.children)

    @property
    def pending_tasks(self) -> set[TaskBase]:
        """Its tasks that have not ended."""
        return {child for child in self.children if not child.is_completed}

    @property
    def completed_tasks(self) -> list[TaskBase]:
        """Its tasks that have ended, in the order in which they were given."""
        return [child for child in self.children if child.is_completed]

    def _ended(self) -> Task[Any] | None:
        if self.is_scheduled:  # so it makes no further call
            self.__durable_task__()
        return super()._ended()


class WhenAllTask(CompoundTask):
    """Ends with the results of all tasks, in the order given; fails as soon as one fails."""

    def __init__(self, ctx: OrchestrationContext, tasks: Iterable[TaskBase]) -> None:
        super().__init__(ctx, tasks, "task_all")

    def _make(self) -> Task[Any]:
        return self._ctx.task_all([child.__durable_task__() for child in self.children])


class WhenAnyTask(CompoundTask):
    """Ends with the first task that ends, whether it has failed or not; with None if there is no task."""

    def __init__(self, ctx: OrchestrationContext, tasks: Iterable[TaskBase]) -> None:
        super().__init__(ctx, tasks, "task_any")

    def _make(self) -> Task[Any]:
        if not self.children:
            return AdaptedTask(self._ctx.task_all([]), lambda _: None, translated)
        made = [child.__durable_task__() for child in self.children]
        of = {id(task): child for task, child in zip(reversed(made), reversed(self.children), strict=True)}
        return AdaptedTask(self._ctx.task_any(made), lambda winner: of[id(winner)], translated)
