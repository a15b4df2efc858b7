"""Sagas: compensations, which undo completed steps in reverse order when a later step fails.

Uses only public methods of the context; in the history, the compensations of a saga are ordinary calls.
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
        """Add the compensation of a completed step. Nothing runs until ``compensate``.

        fn_or_name: an activity; or an orchestrator, which is run as a sub-orchestration; or a plain generator function,
            which is run in this orchestrator, with the input as its argument, if there is one.
        retry: as in ``call_activity`` and ``call_sub_orchestrator``; not used for a generator function.
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
        """Run all compensations, the last one added first: ``yield from saga.compensate()``.

        A failure does not stop the other compensations. Raises CompensationError after all have ended, if any failed.
        A second call does not run them again.
        """
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
