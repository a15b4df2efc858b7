"""Tasks: the results of calls that are under way, as orchestrator code holds them.

A task has no reference to the history or to the generator that waits for it. The module's functions (``settle``,
``fail``, ``look``, ``is_wanted``) are the engine's side of a task; its methods are the user's side.

A combination is notified of the end of each child once, in O(1). When a combination ends, it releases its other
children, so that an external event does not go to a waiter for which no code waits any more (see ``is_wanted``).
"""

# pyright: reportPrivateUsage=false
# The functions below are friends of the class: they use members that are not part of its public interface.

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar, cast

from ..errors import OrchestratorCodeError, TaskCancelledError, TaskTimeoutError
from ..models import FailureDetails, type_name
from .events import Called, EntityCalled, LockRequested, SubOrchestrationCreated, TaskScheduled, TimerCreated
from .steps import Step
from .user_frames import caller

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", TaskCancelledError, TaskTimeoutError)

LOOKED_AT = 256  # children of a combination that ``open_children`` looks at after the first open one

TRACE = "durable_core_trace"
"""The attribute of an error that has ended a branch: its traceback, which begins with the code of the branch."""

Call: TypeAlias = Called | Step
"""The decision by which a task was called; a step has no such event, so here it is the ``Step`` itself."""


class Task(Generic[T_co]):
    """A call that is under way: ``value = yield from task`` waits for its result, and so does ``value = yield task``.
    In an ``async def``: ``value = await task``.

    A task starts when it is *called*, not when the orchestrator waits for it. A task that has ended returns its result
    at once, at every wait. A task that has failed raises at the ``yield``: see ``TaskFailedError``.
    """

    __slots__ = ("_done", "_error", "_observers", "_owner", "_released", "_seen", "_value", "call", "returns")
    __durable_no_value__ = "a task cannot be stored; wait for it with 'yield from' or 'await', and pass its result"

    def __init__(self, owner: object, call: Call | None = None, returns: Any = None) -> None:
        self._owner = owner
        self._done = False
        self._seen = False
        self._released = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._observers: list[Combination[Any]] | None = None
        self.call = call
        self.returns = returns

    def __iter__(self) -> Generator[Task[Any], Any, T_co]:
        return (yield self)

    __await__ = __iter__

    @property
    def is_completed(self) -> bool:
        """Whether the task has ended, with a result or an error."""
        self._seen = True
        return self._done

    @property
    def is_faulted(self) -> bool:
        """Whether the task has failed or was cancelled."""
        return self.is_completed and self._error is not None

    @property
    def result(self) -> T_co:
        """The result. Raises the error that the task failed with; OrchestratorCodeError if it has not ended."""
        if not self.is_completed:
            raise OrchestratorCodeError("the task has no result yet: wait with 'yield from' or 'await'", caller())
        if self._error is not None:
            raise self._error.with_traceback(vars(self._error).get(TRACE))
        return self._value

    def get_result(self) -> T_co:
        """The same as ``result``."""
        return self.result

    def __repr__(self) -> str:
        state = "pending" if not self._done else "failed" if self._error is not None else "completed"
        return f"<{type(self).__name__} {describe_call(self)} {state}>"


Orchestration: TypeAlias = Generator[Task[Any], Any, T]
"""The return type of an orchestrator: ``def order(ctx, order: Order) -> Orchestration[Receipt]``."""

Branch: TypeAlias = Generator[Task[Any], Any, T] | Coroutine[Any, Any, T]
"""Code that runs as an orchestrator or as a branch: what a generator function, or an ``async def``, returns that is
written like an orchestrator."""

Waitable: TypeAlias = Task[T] | Branch[T]
"""What compositions take: a task, or a generator or a coroutine, which they run as a branch."""


class Steps(Generator[Task[Any], Any, T_co], Awaitable[T_co]):
    """A generator of the engine that both spellings can wait for: with ``yield from``, and with ``await``."""

    __slots__ = ()


class TimerTask(Task[None]):
    """A durable timer."""

    __slots__ = ("_on_cancel", "is_cancelled")

    def __init__(self, owner: object, call: TimerCreated, on_cancel: Callable[[int, str], None]) -> None:
        super().__init__(owner, call)
        self._on_cancel = on_cancel
        self.is_cancelled = False

    def cancel(self) -> None:
        """Cancel the timer: code that waits for it gets a TaskCancelledError. A timer that has fired stays fired."""
        self._seen = True
        if not self._done:
            self.stop(caller())

    def stop(self, line: str) -> None:
        """``cancel`` for the engine, of a timer that has not fired. ``line``: ``file:line`` of the code that asked."""
        self._seen = True
        self.is_cancelled = True
        task_id = cast("TimerCreated", self.call).task_id
        self._on_cancel(task_id, line)
        fail(self, own_error(TaskCancelledError, f"timer {task_id} was cancelled", task_id=task_id))


class EventTask(Task[T_co]):
    """Waits for one external event. ``claim`` asks for an event that was kept, or joins the waiters again."""

    __slots__ = ("claim", "event_name", "is_queued", "line", "order", "since")

    def __init__(
        self,
        owner: object,
        event_name: str,
        returns: Any,
        *,
        order: int,
        line: str,
        claim: Callable[[EventTask[Any]], None] | None,
        since: datetime | None = None,
    ) -> None:
        super().__init__(owner, None, returns)
        self.event_name = event_name
        self.order = order
        self.line = line
        self.claim = claim
        self.since = since
        self.is_queued = False

    @property
    def is_completed(self) -> bool:
        _reclaim(self)
        return super().is_completed


class ConditionTask(Task[bool]):
    """Waits until a predicate over the code's own variables holds. ``claim`` lets it be checked again."""

    __slots__ = ("claim", "line", "order", "predicate", "since")

    def __init__(
        self,
        owner: object,
        predicate: Callable[[], object],
        claim: Callable[[ConditionTask], None] | None,
        order: int,
        line: str,
        since: datetime | None = None,
    ) -> None:
        super().__init__(owner)
        self.predicate = predicate
        self.since = since
        self.claim = claim
        self.order = order
        self.line = line

    @property
    def is_completed(self) -> bool:
        _reclaim(self)
        return super().is_completed


_CLAIMANTS = (EventTask, ConditionTask)  # made once: isinstance with a union takes as long as the rest of its caller


class WithdrawnTask(Task[T_co]):
    """A task that ends when the wait for it is cancelled. ``withdraw`` does that, for a task that has not ended."""

    __slots__ = ()

    def withdraw(self, line: str) -> None:
        raise NotImplementedError


class Combination(Task[T_co]):
    """Waits for several tasks. Further subclasses are in ``combinators`` and ``branches``.

    owned: the branches that were started for this combination. is_ending: it is decided, and ends with them.
    """

    __slots__ = ("_children", "_first_open", "_has_events", "_verb", "_waiting", "is_ending", "owned")

    runs_by_itself = False
    """Whether this is code that continues although no code waits for it."""

    def __init__(self, owner: object, tasks: Iterable[Waitable[Any]], verb: str) -> None:
        super().__init__(owner)
        self._verb = verb
        self._children: list[Task[Any]] = []
        self._first_open = 0  # all children before it have ended
        self._has_events = False
        self._waiting = 0
        self.owned: Sequence[Any] = ()
        self.is_ending = False
        children: list[Any] = list(tasks)
        child: Any
        for child in children:  # check all of them before the first one gets this combination as observer
            if (type(child) is not Task or child._owner is not owner) and not self._is_own(child):  # pyright: ignore[reportUnknownArgumentType]
                children = self._started(children)
                break
        for child in children:
            self._adopt(child)

    def _is_own(self, child: object) -> bool:
        return isinstance(child, Task) and cast("Task[Any]", child)._owner is self._owner

    def _started(self, given: list[Any]) -> list[Task[Any]]:
        """The tasks for what was given, which is not only tasks. OrchestratorCodeError for what cannot be one."""
        start: Any = self._owner  # a module for branches builds on this one
        tasks, self.owned = start.start_branches(given, self._verb)
        return tasks

    def _adopt(self, child: Task[Any]) -> None:
        """Wait for one more task."""
        self._children.append(child)
        child._seen = True
        if type(child) is not Task and (
            isinstance(child, _CLAIMANTS) or (isinstance(child, Combination) and child._has_events)
        ):
            self._has_events = True
            _reclaim(child)
        if not child._done:
            self._waiting += 1
            if child._observers is None:
                child._observers = [self]
            else:
                child._observers.append(self)

    def _decide(self, value: Any, error: BaseException | None = None) -> None:
        """End, and release the children that have not ended."""
        self._let_go()
        if self.owned and cast("Any", self._owner).ends_later(self, value, error):
            return
        settle(self, value, error)

    def _let_go(self) -> None:
        for child in self._children:
            if not child._done and child._observers is not None and self in child._observers:
                child._observers.remove(self)
                child._observers = child._observers or None
                child._released = True

    def open_children(self, limit: int) -> list[Task[Any]]:
        """The first children that have not ended, at most ``limit``.

        Children that have ended are passed over once in the life of the combination, except that at most ``LOOKED_AT``
        of them are looked at after an open one: beyond these, open children may be left out.
        """
        children, at = self._children, self._first_open
        while at < len(children) and children[at]._done:
            at += 1
        self._first_open = at
        found = (child for child in children[at : at + LOOKED_AT] if not child._done)
        return list(islice(found, limit))

    def child_ended(self, child: Task[Any]) -> None:
        raise NotImplementedError

    def left(self, error: TaskCancelledError) -> None:
        """The wait for this combination was cancelled: see ``leave``."""
        for child in list(self._children):
            leave(child, error)


class AllTask(Combination[T_co]):
    """Ends when all tasks have ended, with their results in the order given; fails as soon as one task fails."""

    __slots__ = ("_shape",)

    def __init__(
        self, owner: object, tasks: Iterable[Waitable[Any]], verb: str, shape: Callable[[list[Any]], T_co]
    ) -> None:
        super().__init__(owner, tasks, verb)
        self._shape = shape
        failed = next((child for child in self._children if child._done and child._error is not None), None)
        if failed is not None:
            self._decide(None, failed._error)
        elif not self._waiting:
            self._succeed()

    def child_ended(self, child: Task[Any]) -> None:
        self._waiting -= 1
        if self._done:
            return
        if child._error is not None:
            self._decide(None, child._error)
        elif not self._waiting:
            self._succeed()

    def _succeed(self) -> None:
        settle(self, self._shape([child._value for child in self._children]))


class AnyTask(Combination[Task[T]]):
    """Ends when the first task ends, by success or failure, with that task as its result."""

    __slots__ = ()

    def __init__(self, owner: object, tasks: Iterable[Waitable[T]]) -> None:
        super().__init__(owner, tasks, "task_any")
        if not self._children:
            raise OrchestratorCodeError("task_any without tasks would wait for ever; give it at least one", caller())
        winner = next((child for child in self._children if child._done), None)
        if winner is not None:
            self._decide(winner)

    def child_ended(self, child: Task[Any]) -> None:
        if not self._done:
            self._decide(child)


class TimedTask(Combination[T_co]):
    """Ends as another task does, or at its time limit: ``late`` is then raised, if it is an error, or is the result."""

    __slots__ = ("_inner", "_late", "_timer")

    def __init__(self, owner: object, inner: Task[T_co], timer: TimerTask, late: object) -> None:
        self._inner, self._timer, self._late = inner, timer, late
        super().__init__(owner, (inner, timer), "a task with a time limit")

    def child_ended(self, child: Task[Any]) -> None:
        if self._done:
            return
        late = self._late
        if child is not self._timer:
            self._decide(child._value, child._error)
            if not self._timer._done:
                self._timer.stop(line_of(self._timer))
        elif isinstance(late, BaseException):
            self._decide(None, late)
        else:
            self._decide(late)


# ---------------------------------------------------------------- the engine's side


def settle(task: Task[Any], value: Any, error: BaseException | None = None) -> None:
    """End the task with a result; or, with ``error``, as failed."""
    task._value = value
    task._error = error
    task._done = True
    observers = task._observers
    if observers is not None:
        task._observers = None
        for observer in observers:
            observer.child_ended(task)


def fail(task: Task[Any], error: BaseException) -> None:
    """End the task as failed: ``error`` is raised where the code waits for it."""
    settle(task, None, error)


TASK_OF = "__durable_task__"
"""The method by which an object of another framework makes the task for which code that yields the object waits."""


def own_error(kind: type[E], message: str, *, task_id: int = -1, name: str = "") -> E:
    """The error of a task that the engine itself has ended, for no failure of what was called. No retry policy acts."""
    return kind(message, FailureDetails(type_name(kind), message, retriable=False), task_id=task_id, name=name)


def look(task: object, owner: object) -> Task[Any] | None:
    """The task that the code has yielded, marked as waited for; None if it is not a task of this owner.

    An object with ``__durable_task__`` stands for the task that this method returns; it may call the task only now.
    """
    if not isinstance(task, Task):
        made_by = getattr(type(task), TASK_OF, None)
        task = None if made_by is None else made_by(task)
        if not isinstance(task, Task):
            return None
    found: Task[Any] = task  # pyright: ignore[reportUnknownVariableType]  of whatever result
    if found._owner is not owner:
        return None
    found._seen = True
    if not found._done:
        found._released = False
        if type(found) is not Task:
            _reclaim(found)
    return found


def leave(task: Task[Any], error: TaskCancelledError) -> None:
    """The wait for this task was cancelled: cancel its timers, deliver no events to it, and let it call nothing more.

    Activities and sub-orchestrations continue, and the code may wait for them again. A combination that ends by this
    fails with ``error``.
    """
    if task._done:
        return
    task._released = True
    if isinstance(task, TimerTask):
        task.stop(line_of(task))
    elif isinstance(task, WithdrawnTask):
        task.withdraw(getattr(task.call, "line", ""))
    elif isinstance(task, Combination):
        task.left(error)


def has_ended(task: Task[Any]) -> bool:
    return task._done


def outcome(task: Task[Any]) -> tuple[Any, BaseException | None]:
    """Value and error of a task that has ended."""
    return task._value, task._error


def is_wanted(task: Task[Any]) -> bool:
    """Whether the code may still wait for this task: False once each of its combinations has ended with other tasks.

    A task without a combination is wanted. A released task is wanted again when the code waits for it once more.
    """
    observers = task._observers
    if isinstance(task, Combination) and task.runs_by_itself:
        return not task._done
    if observers is not None:
        return any(is_wanted(observer) for observer in observers)
    return not task._released


def line_of(timer: TimerTask) -> str:
    """``file:line`` at which the code created this timer."""
    return cast("TimerCreated", timer.call).line


def describe_call(task: Task[Any]) -> str:
    """The call of the task, in a few words, for errors and logs."""
    match task.call:
        case TaskScheduled(task_id=task_id, name=name):
            return f"activity '{name}' (task {task_id})"
        case SubOrchestrationCreated(task_id=task_id, name=name):
            return f"sub-orchestration '{name}' (task {task_id})"
        case TimerCreated(task_id=task_id):
            return f"timer (task {task_id})"
        case EntityCalled(task_id=task_id, entity=entity, operation=operation):
            return f"operation '{operation}' of entity {entity} (task {task_id})"
        case LockRequested(task_id=task_id, entities=entities):
            return f"lock of {', '.join(entities)} (task {task_id})"
        case Step(task_id=task_id, name=name):
            return f"step '{name}' (task {task_id})"
        case None:
            return _describe_other(task)


def _describe_other(task: Task[Any]) -> str:
    match task:
        case EventTask():
            return f"external event '{task.event_name}'"
        case ConditionTask():
            return "condition"
        case TimedTask():
            return f"{describe_call(task._inner)} with a time limit"
        case Combination(runs_by_itself=True):
            return f"branch '{getattr(task, 'name', '')}'"
        case _:
            return "of several tasks"


def _reclaim(task: Task[Any]) -> None:
    """Queue the event waiters and conditions in this task again, because the code waits for them again."""
    if isinstance(task, _CLAIMANTS):
        if not task._done and task.claim is not None:
            task.claim(task)  # pyright: ignore[reportArgumentType]  each takes its own kind
    elif isinstance(task, Combination) and task._has_events:
        for child in task._children:
            _reclaim(child)
