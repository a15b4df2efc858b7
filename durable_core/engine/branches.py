"""Branches: generators that run side by side in one orchestration, each as a task.

A branch runs from one wait to the next, as the orchestrator's own code does: at its start, and whenever the task for
which it waits ends. Its calls are decisions of the orchestration in the order in which they are made, so history has no
event of a branch, and a replay runs the branches in the same order.

*Who cancels.* A generator that is given to a composition (``gather``, ``task_all``, ``task_any``, ``with_timeout``)
belongs to it: when the composition ends without the branch, the branch is cancelled, and the composition ends once the
branch has ended. A branch that ``ctx.branch`` has started belongs to the code that holds it, and continues.
A cancellation of a branch, or of the orchestration, first cancels the branches that it has started.
"""

# pyright: reportPrivateUsage=false
# These classes are friends of Task, as the functions of ``tasks`` are.

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..coroutine_code import INSTEAD, CoroutineCode, Proceeding, inner_code
from ..errors import BranchFailedError, OrchestratorCodeError, TaskCancelledError, TaskFailedError
from ..guard import unwatched
from ..models import FailureDetails
from ..user_code import raise_unless_failure
from .code_scope import refuse_outside
from .critical_section import Deferred, leave_section, section_of_running_code
from .slips import close_code, named_error, not_a_task
from .tasks import TRACE, Combination, Task, leave, look, own_error, settle
from .user_frames import caller, on_behalf_of, suspended_at, without_engine

if TYPE_CHECKING:
    from .state import ExecutionState

T_co = TypeVar("T_co", covariant=True)


class Branches:
    """The branches of one generation, from the first one that its code starts.

    open: those that have not ended, in the order of their starts. running: the branch whose code runs now; None for
    the orchestrator's own code. overlooked: branches that ended before any code waited for them.
    deferred: calls that wait until the critical section of another branch is over.
    """

    __slots__ = ("_decisions", "deferred", "open", "overlooked", "running")

    def __init__(self, decisions: ExecutionState) -> None:
        self._decisions = decisions
        self.open: dict[BranchTask[Any], None] = {}
        self.running: BranchTask[Any] | None = None
        self.overlooked: list[BranchTask[Any]] = []
        self.deferred: list[Deferred] = []

    def start(self, code: object, asked_by: str) -> BranchTask[Any]:
        """Start a branch and run it to its first wait. OrchestratorCodeError for an object that cannot be one."""
        return self.start_all([code], asked_by)[0]

    def start_all(self, codes: Sequence[object], asked_by: str) -> list[BranchTask[Any]]:
        """The same for several: each is checked before the first one starts."""
        refuse_outside()
        checked = [checked_branch(code, asked_by) for code in codes]
        if len({id(inner_code(code)) for code in checked}) < len(checked):
            raise OrchestratorCodeError(
                f"{asked_by} got one generator or coroutine twice: it runs once; call its function for each branch",
                caller(),
            )
        started = [BranchTask(self._decisions, self, code) for code in checked]
        if self._decisions.is_running:
            self.open.update(dict.fromkeys(started))
            for branch in started:
                branch.begin()
        else:  # the orchestrator is being closed: its calls are not recorded
            for branch in started:
                branch.close()
        return started

    def cancel_all(self, error: TaskCancelledError) -> Task[Any] | None:
        """Cancel all branches. Returns a task that fails with ``error`` when they have ended; None if they have."""
        return self._cancel(list(self.open), error)

    def cancel_started_by(self, parent: BranchTask[Any], error: TaskCancelledError) -> Task[Any] | None:
        """The same for the branches that a branch has started."""
        return self._cancel([branch for branch in self.open if branch.parent is parent], error)

    def _cancel(self, branches: list[BranchTask[Any]], error: TaskCancelledError) -> Task[Any] | None:
        for branch in branches:
            branch.stop(error)
        left = [branch for branch in branches if not branch._done]
        return EndingTask(self._decisions, left, None, None, error) if left else None

    def close(self) -> None:
        """Close the code of all branches, the last one first. Their ``finally:`` blocks run; calls are not recorded."""
        decisions = self._decisions
        was_running, decisions.is_running = decisions.is_running, False
        try:
            for branch in reversed(list(self.open)):
                branch.close()
        finally:
            decisions.is_running = was_running
        self.overlooked += [branch for branch in self.open if not branch._seen]
        self.open.clear()


class BranchTask(Combination[T_co]):
    """A generator that runs as a task, with what the generator returns as its result: see ``ctx.branch``."""

    __slots__ = ("_branches", "_cancels", "_code", "_is_cancelled", "_is_running", "_send", "line", "parent", "section")

    runs_by_itself = True

    def __init__(self, owner: ExecutionState, branches: Branches, code: Generator[Task[Any], Any, T_co]) -> None:
        super().__init__(owner, (), "a branch")
        self._branches = branches
        self._code = code
        watch = owner.watch
        self._send: Callable[[Any], Any] = code.send if watch is unwatched else partial(watch, code.send)
        self._is_running = self._is_cancelled = False
        self._cancels: TaskCancelledError | None = None  # to be raised at the next wait
        self.line = caller()
        self.parent = branches.running
        inside = section_of_running_code(owner)
        self.section = 0 if inside is None else inside.task_id

    @property
    def name(self) -> str:
        """The name of the function whose code this is."""
        return getattr(self._code, "__name__", type(self._code).__name__)

    @property
    def code(self) -> Generator[Any, Any, Any]:
        """The generator."""
        return self._code

    @property
    def waits_at(self) -> str:
        """``file:line`` where the branch waits."""
        return suspended_at(self._code)

    def cancel(self) -> None:
        """Raise a TaskCancelledError in the branch, where it waits; nothing if it has ended.

        The branch may clean up, also with further waits, and return: its result is then the result of this task. The
        branches that it has started are cancelled first. Its open timers are cancelled and its waits for events end;
        activities and sub-orchestrations that it has called continue, and their results are dropped.
        """
        self._seen = True
        self.stop(own_error(TaskCancelledError, f"branch '{self.name}' was cancelled"))

    # ------------------------------------------------------------ the engine's side

    def begin(self) -> None:
        self._run(None, None)

    def stop(self, error: TaskCancelledError) -> None:
        """``cancel`` for the engine: raises this error in the branch."""
        if self._done or self._is_cancelled:
            return
        self._is_cancelled = True
        if self._is_running or not self._children:
            self._cancels = error
            return
        (task,) = self._children
        self._let_go()
        self._children.clear()
        leave(task, error)
        ending = self._branches.cancel_started_by(self, error)
        if ending is None:
            self._run(None, error)
        else:
            self._wait_for(ending)

    def close(self) -> None:
        """Close the code, whose calls are not recorded."""
        close_code(self._code, "branch '%s', started at %s,", self.name, self.line)

    def child_ended(self, child: Task[Any]) -> None:
        self._waiting -= 1
        self._run(child._value, child._error)

    def left(self, error: TaskCancelledError) -> None:
        """The wait for this branch was cancelled. The branch continues: the code may wait for it again."""

    def _wait_for(self, task: Task[Any]) -> None:
        self._children = [task]
        self._first_open = 0
        self._waiting = 1
        if task._observers is None:
            task._observers = [self]
        else:
            task._observers.append(self)

    def _run(self, value: Any, error: BaseException | None) -> None:
        """Run the code until it waits for a task that has not ended, or ends. ``error`` is raised in it first."""
        decisions, branches, code = cast("ExecutionState", self._owner), self._branches, self._code
        outer, branches.running = branches.running, self
        asked = on_behalf_of.set("")
        self._children.clear()
        self._is_running = True
        try:
            while True:
                if error is None:
                    yielded = self._send(value)
                else:
                    yielded = decisions.watch(code.throw, error.with_traceback(vars(error).get(TRACE)))
                if self._cancels is not None:  # it was cancelled while it ran, by its own code or by code that it ran
                    error, self._cancels = self._cancels, None
                    if (ending := branches.cancel_started_by(self, error)) is None:
                        continue
                    self._wait_for(ending)
                    return
                task = look(yielded, decisions)
                if task is None or task is self:
                    is_async = isinstance(code, CoroutineCode)
                    slip = not_a_task(yielded, suspended_at(code), is_itself=task is self, is_async=is_async)
                    self.close()
                    raise slip
                if not task._done:
                    self._wait_for(task)
                    return
                value, error = task._value, task._error
        except StopIteration as stop:
            value, error = stop.value, None
        except BaseException as raised:  # noqa: BLE001  any exception of the code is the failure of the branch
            raise_unless_failure(raised)
            value, error = None, named_error(raised)
            vars(error)[TRACE] = without_engine(error.__traceback__)
        finally:
            on_behalf_of.reset(asked)
            branches.running = outer
            self._is_running = False
        self._end(value, error)

    def _end(self, value: Any, error: BaseException | None) -> None:
        del self._branches.open[self]
        if not self._seen:
            self._branches.overlooked.append(self)
        decisions = cast("ExecutionState", self._owner)
        section = decisions.section
        if section is not None and section.holder is self:
            leave_section(decisions, section.task_id, "")
        settle(self, value, error)


class EndingTask(Combination[Any]):
    """Ends when branches that were cancelled have ended, with an error; or ends a composition with its outcome."""

    __slots__ = ("_composition", "_outcome")

    def __init__(
        self,
        owner: object,
        branches: Iterable[BranchTask[Any]],
        composition: Combination[Any] | None,
        value: Any,
        error: BaseException | None,
    ) -> None:
        super().__init__(owner, branches, "an end")
        self._composition = composition
        self._outcome = value, error

    def child_ended(self, child: Task[Any]) -> None:
        self._waiting -= 1
        if not self._waiting:
            settle(self if self._composition is None else self._composition, *self._outcome)


def started(owner: object, given: Sequence[object], asked_by: str) -> tuple[list[Task[Any]], list[BranchTask[Any]]]:
    """The tasks for what was given to a composition, with the branches among them that were started for it.

    OrchestratorCodeError for an object that is neither a task of this owner nor a generator that can be a branch.
    """
    codes: list[object] = []
    for each in given:
        if not is_own_task(each, owner):
            checked_branch(each, asked_by)
            codes.append(each)
    branches = cast("ExecutionState", owner).branches_to_start().start_all(codes, asked_by)
    following = iter(branches)
    tasks = [cast("Task[Any]", each) if is_own_task(each, owner) else next(following) for each in given]
    return tasks, branches


def is_own_task(given: object, owner: object) -> bool:
    return isinstance(given, Task) and cast("Task[Any]", given)._owner is owner


def ends_later(composition: Combination[Any], value: Any, error: BaseException | None) -> bool:
    """Cancel the branches that belong to a composition, which is decided. True: it ends once they have ended."""
    owned = [branch for branch in composition.owned if not branch._done]
    composition.owned = ()
    if not owned:
        return False
    reason = own_error(TaskCancelledError, f"the branch was cancelled, because {composition._verb} ended without it")
    for branch in owned:
        branch.stop(reason)
    left = [branch for branch in owned if not branch._done]
    if not left:
        return False
    composition._children = list(left)
    composition._first_open = 0
    composition.is_ending = True
    EndingTask(composition._owner, left, composition, value, error)
    return True


def checked_branch(code: object, asked_by: str) -> Generator[Any, Any, Any]:
    """The generator. OrchestratorCodeError, with the line of the call, for an object that cannot be a branch."""
    if inspect.iscoroutine(code):
        code = CoroutineCode(code)
    if not isinstance(code, Generator):
        if isinstance(code, Proceeding):
            return checked_branch(code.code, asked_by)
        raise OrchestratorCodeError(
            f"{asked_by} takes tasks that this orchestrator's context has returned, not {code!r} (or generators, such "
            f"as book(ctx, seat)){_hint_for(code)}",
            caller(),
        )
    found = cast("Generator[Any, Any, Any]", code)
    state = "CREATED"
    if inspect.isgenerator(found):
        state = inspect.getgeneratorstate(found).removeprefix("GEN_")
    elif isinstance(found, CoroutineCode):
        state = inspect.getcoroutinestate(found.coroutine).removeprefix("CORO_")
    if state != "CREATED":
        was = "has ended already, or was closed" if state == "CLOSED" else "runs already"
        name = getattr(found, "__name__", "a generator")
        raise OrchestratorCodeError(
            f"{asked_by} got the code of '{name}', which {was}: call {name}(...) once for each branch", caller()
        )
    return found


def _hint_for(code: object) -> str:
    if isinstance(code, Task):
        return ": it belongs to another orchestrator instance"
    if inspect.isgeneratorfunction(code) or inspect.iscoroutinefunction(code):
        return f": call it, {getattr(code, '__name__', 'function')}(ctx, ...)"
    if hasattr(code, "__await__"):
        return f": an orchestrator has no event loop; use {INSTEAD}"
    if isinstance(code, list | tuple | set | dict):
        return ": unpack it with '*', or give it to ctx.task_all"
    return ""


def as_outcome(task: Task[Any]) -> Any:
    """The result of a task that has ended; or its failure, as a TaskFailedError."""
    error = task._error
    if error is None or isinstance(error, TaskFailedError):
        return task._value if error is None else error
    failure = FailureDetails.from_exception(error)
    name = task.name if isinstance(task, BranchTask) else ""
    failed = BranchFailedError(f"branch '{name}' failed: {failure.type}: {failure.message}", failure, name=name)
    failed.__cause__ = error
    return failed


def is_of_a_branch(error: BaseException) -> bool:
    """Whether this error has ended a branch."""
    return TRACE in vars(error)
