"""Several tasks as one, and one call for each of many items."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Sized
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, Unpack, cast, get_args, overload

from ...errors import OrchestratorCodeError, TaskFailedError, TaskTimeoutError
from ..branches import BranchTask, started
from ..combinators import Completions, GatherPolicy, GatherTask, NextTask, PulledTask
from ..tasks import AllTask, AnyTask, Branch, Task, TimedTask, Waitable, describe_call, own_error
from ..user_frames import caller
from .base import ContextBase, bad_timeout

if TYPE_CHECKING:
    from ...journal import JournalContext
    from ..call_options import CallOptions, MapOptions
    from ..mapping.policies import AtLeast, MapPolicy, Tolerate
    from ..mapping.results import MapResult
    from ..mapping.task import MapTask
    from .orchestration_context import OrchestrationContext

T = TypeVar("T")
X = TypeVar("X")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")

Outcome: TypeAlias = T | TaskFailedError
Failing: TypeAlias = Literal["fail_fast", "first_error_after_all"]
Settled: TypeAlias = Literal["all_settled"]
All: TypeAlias = Literal["all"]

if TYPE_CHECKING:
    Judged: TypeAlias = Literal["all_settled"] | AtLeast | Tolerate
    AsyncCalled: TypeAlias = (
        Callable[[X], Coroutine[Any, Any, T]]
        | Callable[[JournalContext, X], Coroutine[Any, Any, T]]
        | Callable[[OrchestrationContext, X], Branch[T]]
    )
    """An async activity, or an orchestrator, that is called with an item."""
    PlainCalled: TypeAlias = Callable[[X], T] | Callable[[JournalContext, X], T]
    """A plain activity that is called with an item."""


class Compositions(ContextBase):
    """Tasks that are made of tasks."""

    __slots__ = ()

    def task_all(self, tasks: Iterable[Waitable[T]], max_concurrency: int | None = None) -> Task[list[T]]:
        """A task with the results of all tasks, in the order given; [] without tasks. Generators run as branches.

        Fails as soon as one task fails. The other tasks continue, and their results are dropped; the other branches are
        cancelled, and it fails once they have ended. ``gather`` has other policies.

        max_concurrency: the highest number of tasks that are under way at a time. ``tasks`` must then be lazy, such as
            a generator: the next task is taken from it when one has ended, and none after a failure. An exception of
            the iterable is raised where the orchestrator waits for this task.
        Raises OrchestratorCodeError for objects that are not tasks of this context, or for a list with
        max_concurrency.
        """
        if max_concurrency is not None:
            return PulledTask(self._decisions, tasks, max_concurrency)
        return AllTask(self._decisions, tasks, "task_all", list)

    def task_any(self, tasks: Iterable[Waitable[T]]) -> Task[Task[T]]:
        """The task that ends first, with a result or an error: read its ``result``. The other tasks continue.

        Generators run as branches; those that have not ended first are cancelled, and the task ends once they have
        ended. A branch from ``ctx.branch`` continues, as other tasks do.
        """
        return AnyTask(self._decisions, tasks)

    when_all = task_all
    when_any = task_any

    def as_completed(self, tasks: Iterable[Waitable[T]]) -> Iterator[NextTask[T]]:
        """The tasks in the order in which they end: ``for task in ctx.as_completed(tasks): x = yield from task``.

        Each iteration returns a task that ends with the result or failure of the next given task to end; its
        ``origin`` is that task. Generators run as branches. The loop may be left early; the rest continues.
        """
        return Completions(self._decisions, tasks).in_order()

    @overload
    def gather(self, *, policy: GatherPolicy = "fail_fast") -> Task[tuple[()]]: ...
    @overload
    def gather(self, t1: Waitable[T1], /, *, policy: Failing = "fail_fast") -> Task[tuple[T1]]: ...
    @overload
    def gather(
        self, t1: Waitable[T1], t2: Waitable[T2], /, *, policy: Failing = "fail_fast"
    ) -> Task[tuple[T1, T2]]: ...
    @overload
    def gather(
        self, t1: Waitable[T1], t2: Waitable[T2], t3: Waitable[T3], /, *, policy: Failing = "fail_fast"
    ) -> Task[tuple[T1, T2, T3]]: ...
    @overload
    def gather(
        self,
        t1: Waitable[T1],
        t2: Waitable[T2],
        t3: Waitable[T3],
        t4: Waitable[T4],
        /,
        *,
        policy: Failing = "fail_fast",
    ) -> Task[tuple[T1, T2, T3, T4]]: ...
    @overload
    def gather(
        self,
        t1: Waitable[T1],
        t2: Waitable[T2],
        t3: Waitable[T3],
        t4: Waitable[T4],
        t5: Waitable[T5],
        /,
        *,
        policy: Failing = "fail_fast",
    ) -> Task[tuple[T1, T2, T3, T4, T5]]: ...
    @overload
    def gather(self, *tasks: Waitable[T], policy: Failing = "fail_fast") -> Task[tuple[T, ...]]: ...
    @overload
    def gather(self, t1: Waitable[T1], /, *, policy: Settled) -> Task[tuple[Outcome[T1]]]: ...
    @overload
    def gather(
        self, t1: Waitable[T1], t2: Waitable[T2], /, *, policy: Settled
    ) -> Task[tuple[Outcome[T1], Outcome[T2]]]: ...
    @overload
    def gather(
        self, t1: Waitable[T1], t2: Waitable[T2], t3: Waitable[T3], /, *, policy: Settled
    ) -> Task[tuple[Outcome[T1], Outcome[T2], Outcome[T3]]]: ...
    @overload
    def gather(
        self, t1: Waitable[T1], t2: Waitable[T2], t3: Waitable[T3], t4: Waitable[T4], /, *, policy: Settled
    ) -> Task[tuple[Outcome[T1], Outcome[T2], Outcome[T3], Outcome[T4]]]: ...
    @overload
    def gather(
        self,
        t1: Waitable[T1],
        t2: Waitable[T2],
        t3: Waitable[T3],
        t4: Waitable[T4],
        t5: Waitable[T5],
        /,
        *,
        policy: Settled,
    ) -> Task[tuple[Outcome[T1], Outcome[T2], Outcome[T3], Outcome[T4], Outcome[T5]]]: ...
    @overload
    def gather(self, *tasks: Waitable[T], policy: Settled) -> Task[tuple[Outcome[T], ...]]: ...
    @overload
    def gather(self, *tasks: Waitable[T], return_exceptions: Literal[True]) -> Task[tuple[Outcome[T], ...]]: ...
    def gather(
        self, *tasks: Waitable[Any], return_exceptions: bool = False, policy: GatherPolicy = "fail_fast"
    ) -> Task[Any]:
        """A task with the results of several tasks as a tuple: ``order, customer = yield from ctx.gather(a, b)``.

        Each result has the type of its task. Generators run side by side, as branches:
        ``car, hotel = yield from ctx.gather(book_car(ctx, trip), book_hotel(ctx, trip))``.

        policy: ``fail_fast`` fails as soon as one task fails, and drops the results of the others, which continue; the
            branches that it has started are cancelled, and it fails once they have ended;
            ``all_settled`` waits for all tasks, and has a TaskFailedError in the place of the result of a failed task
            (BranchFailedError for a branch that ended with an exception of its own);
            ``first_error_after_all`` waits for all tasks, then fails with the first failure.
        return_exceptions: True is ``all_settled``, by its name in asyncio.
        Raises OrchestratorCodeError for another policy, for an object that is neither a task of this context nor a
        generator, and for a generator that runs already.
        """
        if policy not in get_args(GatherPolicy):
            raise OrchestratorCodeError(f"gather has the policies {get_args(GatherPolicy)}, not {policy!r}", caller())
        if policy == "fail_fast" and not return_exceptions:
            return AllTask(self._decisions, tasks, "gather", tuple)
        return GatherTask(self._decisions, tasks, collects=return_exceptions or policy == "all_settled")

    # ------------------------------------------------------------ branches

    def branch(self, code: Branch[T]) -> BranchTask[T]:
        """Run a generator side by side with the code that goes on here: ``seat = ctx.branch(book(ctx, trip))``.

        The branch runs at once, to its first wait. The task ends with the value that the generator returns, or fails
        with the exception that it raises. ``seat.cancel()`` cancels it. When the orchestrator ends, branches that have
        not ended are closed: their ``finally:`` blocks run, and can call nothing more.
        Raises OrchestratorCodeError for an object that is no generator, and for a generator that runs already.
        """
        return self._decisions.branches_to_start().start(code, "ctx.branch")

    def with_timeout(self, work: Waitable[T], timeout: timedelta) -> Task[T]:
        """The task with a time limit, after which it fails with TaskTimeoutError.

        A generator runs as a branch, which is cancelled at the time limit; the task fails once the branch has ended.
        Any other task continues, and its result is dropped.
        Raises OrchestratorCodeError for a timeout that is no timedelta, or is negative.
        """
        decisions = self._decisions
        if not isinstance(timeout, timedelta) or timeout < timedelta(0):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise bad_timeout(timeout)
        tasks, owned = started(decisions, [work], "ctx.with_timeout")
        message = f"{describe_call(tasks[0])} did not end within {timeout}"
        limited = self._limited(tasks[0], timeout, own_error(TaskTimeoutError, message))
        if owned and isinstance(limited, TimedTask):
            limited.owned = owned
        return limited

    # ------------------------------------------------------------ maps

    @overload
    def map(
        self,
        fn_or_name: str,
        items: Iterable[object],
        *,
        policy: All = "all",
        returns: type[T],
        **options: Unpack[MapOptions],
    ) -> MapTask[list[T]]: ...
    @overload
    def map(
        self,
        fn_or_name: str,
        items: Iterable[object],
        *,
        policy: Judged,
        returns: type[T],
        **options: Unpack[MapOptions],
    ) -> MapTask[MapResult[T]]: ...
    @overload
    def map(
        self,
        fn_or_name: str,
        items: Iterable[object],
        *,
        policy: All = "all",
        returns: Any = None,
        **options: Unpack[MapOptions],
    ) -> MapTask[list[Any]]: ...
    @overload
    def map(
        self,
        fn_or_name: str,
        items: Iterable[object],
        *,
        policy: Judged,
        returns: Any = None,
        **options: Unpack[MapOptions],
    ) -> MapTask[MapResult[Any]]: ...
    @overload
    def map(
        self,
        fn_or_name: AsyncCalled[X, T],
        items: Iterable[X],
        *,
        policy: All = "all",
        **options: Unpack[MapOptions],
    ) -> MapTask[list[T]]: ...
    @overload
    def map(
        self,
        fn_or_name: AsyncCalled[X, T],
        items: Iterable[X],
        *,
        policy: Judged,
        **options: Unpack[MapOptions],
    ) -> MapTask[MapResult[T]]: ...
    @overload
    def map(
        self,
        fn_or_name: PlainCalled[X, T],
        items: Iterable[X],
        *,
        policy: All = "all",
        **options: Unpack[MapOptions],
    ) -> MapTask[list[T]]: ...
    @overload
    def map(
        self,
        fn_or_name: PlainCalled[X, T],
        items: Iterable[X],
        *,
        policy: Judged,
        **options: Unpack[MapOptions],
    ) -> MapTask[MapResult[T]]: ...
    def map(
        self,
        fn_or_name: str | Callable[..., Any],
        items: Iterable[Any],
        *,
        max_concurrency: int | None = None,
        policy: MapPolicy = "all",
        batch_size: int | None = None,
        returns: Any = None,
        **options: Unpack[CallOptions],
    ) -> MapTask[Any]:
        """Call an activity, or an orchestrator, for each item: ``pages = yield from ctx.map(fetch, urls)``.

        The items are taken in their order, each when there is a slot for it; the results come in the order of the
        items. ``items`` may be any iterable, such as a generator, and of any length: from item 1,001 on, the calls are
        made by sub-orchestrations, each for a batch of items, so that no history grows beyond a bound. What the
        iterable does runs in this orchestrator, and must be deterministic. An exception of it is raised where the
        orchestrator waits for the map.

        max_concurrency: the highest number of items that are under way at a time, in all batches together; None for
            1,000.
        policy: ``"all"`` (the result is a list) fails with the first failure, as soon as there is one;
            ``"all_settled"`` never fails of an item; ``AtLeast(n)`` ends when n items have succeeded, and fails when
            that is no longer possible; ``Tolerate(count=, share=)`` fails when more items have failed. With these three
            the result is a ``MapResult``, and the error is a MapFailedError, which has one. A share, and what is still
            possible, is known at once for a list, and for another iterable when it has ended.
        batch_size: items of a batch, at most 1,000; all items then go to batches. None decides as said above.
        returns: type of the results; None takes the function's annotation, or else plain JSON.
        options: of each call. An activity takes those of ``call_activity``, an orchestrator ``retry`` and ``timeout``.

        When the map ends before all of its items have, no further item begins. Activities that are under way run on,
        and their results are dropped; sub-orchestrations are cancelled. ``cancel()`` of the task ends it so.

        Raises OrchestratorCodeError for a function that cannot be called, for an option that is not valid, for a
        ``retry_if`` (give it to the decorator: a batch does not have it), and for items whose order is another one in
        each process (a set).
        """
        from ..mapping.item_calls import UserCalls
        from ..mapping.policies import AtLeast, Tolerate
        from ..mapping.results import MapResult
        from ..mapping.task import BATCH_ITEMS, DIRECT_ITEMS, Batching, MapTask

        line = caller()
        given_policy: object = policy
        if not (isinstance(given_policy, AtLeast | Tolerate) or given_policy in ("all", "all_settled")):
            raise OrchestratorCodeError(
                "ctx.map has the policies 'all', 'all_settled', AtLeast(n) and Tolerate(count=, share=), not "
                f"{given_policy!r:.200}",
                line,
            )
        _check_number("max_concurrency", max_concurrency, None, line)
        _check_number("batch_size", batch_size, DIRECT_ITEMS, line)
        given = _checked_items(items, line)
        slots = DIRECT_ITEMS if max_concurrency is None else max_concurrency
        return MapTask(
            self._decisions,
            UserCalls(cast("OrchestrationContext", self), fn_or_name, returns, options, line),
            given,
            policy,
            (lambda values, _: values) if policy == "all" else MapResult,
            total=len(given) if isinstance(given, Sized) else None,
            slots=slots,
            batching=Batching(DIRECT_ITEMS, BATCH_ITEMS) if batch_size is None else Batching(0, batch_size),
            line=line,
        )


def _check_number(name: str, given: object, most: int | None, line: str) -> None:
    if given is not None and (type(given) is not int or given < 1 or (most is not None and given > most)):
        bounds = "at least 1" if most is None else f"from 1 to {most}"
        raise OrchestratorCodeError(f"{name}={given!r} of ctx.map must be a whole number, {bounds}", line)


def _checked_items(items: object, line: str) -> Iterable[Any]:
    """The items; those of a list as they are now. OrchestratorCodeError for what has no order, or is no collection."""
    if isinstance(items, set | frozenset):
        raise OrchestratorCodeError(
            "ctx.map got a set, whose order is another one in each process; give it sorted(...)", line
        )
    if isinstance(items, Task):
        raise OrchestratorCodeError(
            "ctx.map got a task, not its result: wait for it first, items = yield from task (or await)", line
        )
    if isinstance(items, str | bytes | bytearray) or not isinstance(items, Iterable):
        raise OrchestratorCodeError(
            f"ctx.map takes the items as a list, or as another iterable such as a generator, not {items!r:.200}", line
        )
    return list(cast("list[Any]", items)) if isinstance(items, list) else cast("Iterable[Any]", items)
