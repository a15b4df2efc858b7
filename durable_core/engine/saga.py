"""Sagas: compensations, which undo completed steps in reverse order when a later step fails.

Uses only public methods of the context; in the history, the compensations of a saga are ordinary calls.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

from ..coroutine_code import steps_of
from ..definitions import OrchestratorDefinition, definition_of, name_of
from ..errors import CompensationError
from ..journal import JournalContext
from ..models import RetryPolicy
from ..user_code import raise_unless_failure
from .called import called_name
from .tasks import Branch, Steps, Task

if TYPE_CHECKING:
    from .context import OrchestrationContext

T = TypeVar("T")
R = TypeVar("R")
X = TypeVar("X")


class _Compensation(NamedTuple):
    name: str
    run: Callable[[], Generator[Task[Any], Any, Any]]


class Saga:
    """The compensations of an orchestration; the last one added is run first. Made by ``ctx.saga()``."""

    __slots__ = ("_compensations", "_ctx")

    def __init__(self, ctx: OrchestrationContext) -> None:
        self._ctx = ctx
        self._compensations: list[_Compensation] = []

    @overload
    def add_compensation(self, fn_or_name: str, input_: object = None, *, retry: RetryPolicy | None = None) -> None: ...
    @overload
    def add_compensation(
        self,
        fn_or_name: Callable[[], Any] | Callable[[JournalContext], Any] | Callable[[OrchestrationContext], Any],
        input_: None = None,
        *,
        retry: RetryPolicy | None = None,
    ) -> None: ...
    @overload
    def add_compensation(
        self,
        fn_or_name: Callable[[X], Any]
        | Callable[[JournalContext, X], Any]
        | Callable[[OrchestrationContext, X], Branch[Any]],
        input_: X,
        *,
        retry: RetryPolicy | None = None,
    ) -> None: ...
    def add_compensation(
        self, fn_or_name: str | Callable[..., Any], input_: Any = None, *, retry: RetryPolicy | None = None
    ) -> None:
        """Add the compensation of a completed step. Nothing runs until ``compensate``.

        fn_or_name: an activity; or an orchestrator, which is run as a sub-orchestration; or a plain generator function,
            or an async function without a mark, which is run in this orchestrator, with the input as its argument, if
            there is one.
        retry: as in ``call_activity`` and ``call_sub_orchestrator``; not used for a generator function.
        """
        ctx = self._ctx
        is_orchestrator = isinstance(definition_of(fn_or_name), OrchestratorDefinition)
        is_async = definition_of(fn_or_name) is None and inspect.iscoroutinefunction(fn_or_name)
        is_code = is_async or (not is_orchestrator and inspect.isgeneratorfunction(fn_or_name))
        name = name_of(fn_or_name) if is_orchestrator or is_code else called_name(fn_or_name, "activity")

        def run() -> Generator[Task[Any], Any, Any]:
            if is_orchestrator:
                yield from ctx.call_sub_orchestrator(name, input_, retry=retry)
            elif is_code:
                code: Any = fn_or_name
                yield from steps_of(code() if input_ is None else code(input_))
            else:
                yield from ctx.call_activity(name, input_, retry=retry)

        self._compensations.append(_Compensation(name, run))

    def compensate(self) -> Steps[None]:
        """Run all compensations, the last one added first: ``yield from saga.compensate()``, or with ``await``.

        A failure does not stop the other compensations. Raises CompensationError after all have ended, if any failed.
        A second call does not run them again.
        """
        return cast("Steps[None]", self._compensate())

    @coroutine
    def _compensate(self) -> Generator[Task[Any], Any, None]:
        failures: list[tuple[str, BaseException]] = []
        while self._compensations:
            compensation = self._compensations.pop()
            try:
                yield from compensation.run()
            except GeneratorExit:  # the orchestrator is dropped
                raise
            except BaseException as error:  # noqa: BLE001  after any error, the other compensations must run as well
                raise_unless_failure(error)
                failures.append((compensation.name, error))
        if failures:
            raise CompensationError(failures)


def run_saga(ctx: OrchestrationContext, body: Callable[[Saga], Branch[T]]) -> Steps[T]:
    """See ``OrchestrationContext.run_saga``."""
    return cast("Steps[T]", _run_saga(ctx, body))


@coroutine
def _run_saga(ctx: OrchestrationContext, body: Callable[[Saga], Branch[R]]) -> Generator[Task[Any], Any, R]:
    saga = Saga(ctx)
    try:
        return (yield from steps_of(body(saga)))
    except GeneratorExit:  # as above
        raise
    except BaseException as error:
        raise_unless_failure(error)
        try:
            yield from saga._compensate()  # pyright: ignore[reportPrivateUsage, reportGeneralTypeIssues]
        except CompensationError as failed:
            raise failed from error
        raise
