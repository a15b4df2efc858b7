"""Combinations of tasks beyond "all" and "any": pulled lazily, in order of their end, all settled, and flows.

A combination is notified of the end of each child once, in O(1), in the order of the history. User code of a
combination (a lazy iterable) runs at that moment, so that every replay makes the same calls at the same place.
"""

# pyright: reportPrivateUsage=false
# These classes are friends of Task, as the functions of ``tasks`` are.

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from ..errors import OrchestratorCodeError, TaskCancelledError, TaskFailedError
from ..user_code import raise_unless_failure
from .branches import as_outcome, checked_branch, is_of_a_branch
from .tasks import Combination, Task, Waitable, fail, outcome, settle
from .user_frames import caller, on_behalf_of

if TYPE_CHECKING:
    from .state import ExecutionState

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

GatherPolicy: TypeAlias = Literal["fail_fast", "all_settled", "first_error_after_all"]
"""The policies of ``gather`` for failures.

fail_fast: it fails as soon as one task fails; other tasks continue, other branches are cancelled. all_settled: it
waits for all tasks, never fails, and has a TaskFailedError in the place of the result of a failed task.
first_error_after_all: it waits for all tasks, then fails with the first failure.
"""


class PulledTask(Combination[list[T]]):
    """Takes tasks from an iterable, so that at most ``limit`` of them are under way at a time."""

    __slots__ = ("_is_pulling", "_limit", "_pulls", "_tasks")

    def __init__(self, owner: ExecutionState, tasks: Iterable[Waitable[T]], limit: int) -> None:
        super().__init__(owner, (), "task_all")
        if limit < 1:
            raise OrchestratorCodeError(f"max_concurrency must be at least 1, not {limit}", caller())
        if isinstance(tasks, list | tuple | set | frozenset | dict):
            raise OrchestratorCodeError(
                "the tasks of a list have all been called already, so max_concurrency cannot limit them; "
                "give a generator: ctx.task_all((ctx.call_activity(f, x) for x in xs), max_concurrency=...)",
                caller(),
            )
        self._tasks: Iterator[Any] | None = iter(tasks)
        self._limit = limit
        self._pulls = pulling(owner)
        self._is_pulling = False
        self._pull()

    def child_ended(self, child: Task[Any]) -> None:
        self._waiting -= 1
        if self._done:
            return
        if child._error is not None:
            self._give_up(child._error)
        else:
            self._pull()

    def left(self, error: TaskCancelledError) -> None:
        self._tasks = None
        super().left(error)
        if not self._done:
            self._decide(None, error)

    def _pull(self) -> None:
        """Take tasks from the iterable up to the limit. An exception of the iterable is raised where the code waits."""
        if (
            self._is_pulling
        ):  # the iterable itself has ended a task; the loop below, which runs already, takes the next one
            return
        self._is_pulling = True
        try:
            while self._tasks is not None and self._waiting < self._limit and not (self._done or self.is_ending):
                try:
                    given: Any = self._pulls(self._tasks.__next__)
                    if not self._is_own(given):
                        checked_branch(given, self._verb)
                except StopIteration:
                    self._tasks = None
                except BaseException as error:  # noqa: BLE001  an exception of user code, which fails this task
                    raise_unless_failure(error)
                    self._give_up(error)
                else:
                    is_over = self._done or self.is_ending  # another task failed while this one was called
                    child = cast("Task[T]", given) if self._is_own(given) else self._begun(given, is_over=is_over)
                    self._adopt(child)
                    if is_over:
                        self._let_go()
                    elif child._done and child._error is not None:
                        self._give_up(child._error)
        finally:
            self._is_pulling = False
        if not self._done and not self.is_ending and not self._waiting:
            settle(self, [child._value for child in self._children])

    def _begun(self, code: Any, *, is_over: bool) -> Task[Any]:
        """A branch that was pulled; closed, without a start, if it is not wanted any more."""
        if is_over:
            code.close()
            return Task(self._owner)
        branch = self._pulls(partial(cast("ExecutionState", self._owner).branches_to_start().start, code, self._verb))
        self.owned = [*(each for each in self.owned if not each._done), branch]
        return branch

    def _give_up(self, error: BaseException) -> None:
        self._tasks = None
        self._decide(None, error)


class GatherTask(Combination[tuple[Any, ...]]):
    """Ends when all tasks have ended, with results or failures in the order given."""

    __slots__ = ("_collects", "_first_error")

    def __init__(self, owner: object, tasks: Iterable[Waitable[Any]], *, collects: bool) -> None:
        super().__init__(owner, tasks, "gather")
        self._collects = collects
        ended = (child._error for child in self._children if child._done)
        self._first_error = next((error for error in ended if self._counts(error)), None)
        self._end_if_all()

    def child_ended(self, child: Task[Any]) -> None:
        self._waiting -= 1
        if self._first_error is None and self._counts(child._error):
            self._first_error = child._error
        self._end_if_all()

    def _counts(self, error: BaseException | None) -> bool:
        """Whether this error makes the combination fail. An error that no task and no branch has failed with does."""
        if error is None:
            return False
        return not (self._collects and (isinstance(error, TaskFailedError) or is_of_a_branch(error)))

    def _end_if_all(self) -> None:
        if self._waiting:
            return
        if self._first_error is not None:
            fail(self, self._first_error)
        else:
            settle(self, tuple(child._value if child._error is None else as_outcome(child) for child in self._children))


class NextTask(Task[T_co]):
    """Ends with the result or failure of the next of several tasks to end."""

    __slots__ = ("_origin", "source")

    def __init__(self, owner: object, source: Completions) -> None:
        super().__init__(owner)
        self._origin: Task[T_co] | None = None
        self.source = source

    @property
    def origin(self) -> Task[T_co]:
        """The given task that has ended. OrchestratorCodeError if none has ended yet."""
        self._seen = True
        if self._origin is None:
            raise OrchestratorCodeError("no task has ended yet: wait for it with 'yield from' or 'await'", caller())
        return self._origin


class Completions(Combination[None]):
    """Tasks in the order in which they end."""

    __slots__ = ("_ended", "_open", "_taken")

    def __init__(self, owner: object, tasks: Iterable[Waitable[Any]]) -> None:
        super().__init__(owner, tasks, "as_completed")
        self._ended = [child for child in self._children if child._done]
        self._taken = 0  # number of ended tasks that were given to a NextTask
        self._open: deque[NextTask[Any]] = deque()  # without an ended task so far

    def in_order(self) -> Iterator[NextTask[Any]]:
        """One task for each given task, in the order of their ends."""
        for _ in self._children:
            following: NextTask[Any] = NextTask(self._owner, self)
            if self._taken < len(self._ended):
                self._give(following)
            else:
                self._open.append(following)
            yield following

    def child_ended(self, child: Task[Any]) -> None:
        self._ended.append(child)
        if self._open:
            self._give(self._open.popleft())

    def _give(self, following: NextTask[Any]) -> None:
        child = self._ended[self._taken]
        self._taken += 1
        following._origin = child
        value, error = outcome(child)
        settle(following, value) if error is None else fail(following, error)


class FlowTask(Combination[T_co]):
    """Runs a generator of the engine, which waits for one task after the other, as a task of the orchestrator.

    The generator continues whenever its task ends, also while the orchestrator waits for other tasks.
    """

    __slots__ = ("_is_running", "_line", "_steps")

    def __init__(self, owner: object, steps: Generator[Task[Any], Any, T_co]) -> None:
        super().__init__(owner, (), "a flow")
        self._steps = steps
        self._line = caller()
        self._is_running = False
        self._run(None)

    def child_ended(self, child: Task[Any]) -> None:
        self._waiting -= 1
        if not self._is_running:
            self._run(child)

    def left(self, error: TaskCancelledError) -> None:
        self._steps.close()
        self._let_go()
        super().left(error)
        fail(self, error)

    def _run(self, ended: Task[Any] | None) -> None:
        self._is_running = True
        asked = on_behalf_of.set(self._line)
        try:
            while True:
                value, error = (None, None) if ended is None else outcome(ended)
                following = self._steps.send(value) if error is None else self._steps.throw(error.with_traceback(None))
                self._children.clear()
                self._first_open = 0
                self._adopt(following)
                if not following._done:
                    return
                ended = following
        except StopIteration as stop:
            value, error = stop.value, None
        except Exception as raised:  # noqa: BLE001  an exception of the generator is the failure of this task
            value, error = None, raised
        finally:
            on_behalf_of.reset(asked)
            self._is_running = False
        settle(self, value, error)  # code that waits for this task runs now, so not on behalf of this line


def pulling(decisions: ExecutionState) -> Callable[[Callable[[], Any]], Any]:
    """Calls code that the code which runs now has given, such as a lazy iterable, as a part of the same branch."""
    branch = None if decisions.branches is None else decisions.branches.running
    if branch is None:
        return decisions.watch

    def call(code: Callable[[], Any]) -> Any:
        branches = decisions.branches_to_start()
        outer, branches.running = branches.running, branch
        try:
            return decisions.watch(code)
        finally:
            branches.running = outer

    return call
