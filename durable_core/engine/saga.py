"""Sagas: what has been done is undone in reverse, each step durable, when something later fails.

Knows the context's public methods only: to history a saga is ordinary calls.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from ..activity_context import ActivityContext
from ..errors import CompensationError
from ..models import RetryPolicy
from ..registry import OrchestratorDefinition, definition_of, name_of
from ..user_code import raise_unless_failure
from .tasks import Orchestration, Task

if TYPE_CHECKING:
    from .context import OrchestrationContext

T = TypeVar("T")
X = TypeVar("X")


class _Compensation(NamedTuple):
    name: str
    run: Callable[[], Generator[Task[Any], Any, Any]]


class Saga:
    """Compensations of one orchestration: what was added last is run first. Made by ``ctx.saga()``."""

    __slots__ = ("_compensations", "_ctx")

    def __init__(self, ctx: OrchestrationContext) -> None:
        self._ctx = ctx
        self._compensations: list[_Compensation] = []

    @overload
    def add_compensation(self, fn_or_name: str, input_: object = None, *, retry: RetryPolicy | None = None) -> None: ...
    @overload
    def add_compensation(
        self,
        fn_or_name: Callable[[], Any] | Callable[[ActivityContext], Any] | Callable[[OrchestrationContext], Any],
        input_: None = None,
        *,
        retry: RetryPolicy | None = None,
    ) -> None: ...
    @overload
    def add_compensation(
        self,
        fn_or_name: Callable[[X], Any]
        | Callable[[ActivityContext, X], Any]
        | Callable[[OrchestrationContext, X], Orchestration[Any]],
        input_: X,
        *,
        retry: RetryPolicy | None = None,
    ) -> None: ...
    def add_compensation(
        self, fn_or_name: str | Callable[..., Any], input_: Any = None, *, retry: RetryPolicy | None = None
    ) -> None:
        """Say how to undo what was just done. Nothing runs until ``compensate``.

        fn_or_name: an activity; or an orchestrator, run as a sub-orchestration; or a plain generator function, run
            here with the input as its one parameter, if there is one.
        retry: as in ``call_activity`` and ``call_sub_orchestrator``; a generator function sees to its own.
        """
        ctx = self._ctx
        is_orchestrator = isinstance(definition_of(fn_or_name), OrchestratorDefinition)

        def run() -> Generator[Task[Any], Any, Any]:
            if is_orchestrator:
                yield from ctx.call_sub_orchestrator(name_of(fn_or_name), input_, retry=retry)
            elif inspect.isgeneratorfunction(fn_or_name):
                yield from (fn_or_name() if input_ is None else fn_or_name(input_))
            else:
                yield from ctx.call_activity(name_of(fn_or_name), input_, retry=retry)

        self._compensations.append(_Compensation(name_of(fn_or_name), run))

    def compensate(self) -> Orchestration[None]:
        """Undo everything, last things first: ``yield from saga.compensate()``.

        One that fails does not stop the others. Raises CompensationError after all have ended if any failed. What has
        been run is not run again by a second call.
        """
        failures: list[tuple[str, BaseException]] = []
        while self._compensations:
            compensation = self._compensations.pop()
            try:
                yield from compensation.run()
            except GeneratorExit:  # the orchestrator is dropped
                raise
            except BaseException as error:  # noqa: BLE001  whatever it was, the others must be undone as well
                raise_unless_failure(error)
                failures.append((compensation.name, error))
        if failures:
            raise CompensationError(failures)


def run_saga(ctx: OrchestrationContext, body: Callable[[Saga], Generator[Task[Any], Any, T]]) -> Orchestration[T]:
    """See ``OrchestrationContext.run_saga``."""
    saga = Saga(ctx)
    try:
        return (yield from body(saga))
    except GeneratorExit:  # as above
        raise
    except BaseException as error:
        raise_unless_failure(error)
        try:
            yield from saga.compensate()
        except CompensationError as failed:
            raise failed from error
        raise
