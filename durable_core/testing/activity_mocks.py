"""Functions and mocks in the place of activities, and a record of all runs.

Each activity of a test environment is registered as a ``Substitute``, which runs the activity itself until a test
replaces it. Conversion of values, retries and time limits are those of the runtime, as in production.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..activity_context import ActivityContext
from ..definitions import NO_INPUT, ActivityDefinition
from ..errors import RegistrationError
from ..lazy_dataclass import dataclass

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(slots=True, kw_only=True)
class ActivityRun:
    """One run of an activity. ``input`` has the annotated type; ``ended``: whether ``result`` or ``error`` is set."""

    name: str
    instance_id: str
    task_id: int
    attempt: int
    idempotency_key: str
    input: Any = None
    result: Any = None
    error: BaseException | None = None
    ended: bool = False

    def __str__(self) -> str:
        return f"'{self.name}' (instance '{self.instance_id}', task {self.task_id}, key {self.idempotency_key})"


class Substitute:
    """The entry of the registry for an activity. It appends to ``runs``."""

    def __init__(self, original: ActivityDefinition, runs: list[ActivityRun]) -> None:
        self.original = original
        self._runs = runs
        self._fn = original.fn
        self._with_context, self._inputs = original.takes_context, int(original.input_type is not NO_INPUT)

    @property
    def definition(self) -> ActivityDefinition:
        """The definition for the registry: options and types of the activity; the function gets the context at every
        run."""
        return replace(self.original, fn=self, takes_context=True, is_async=True)

    def use(self, fn: Callable[..., Any]) -> None:
        """Run this function from now on. RegistrationError if it cannot be called with the activity's context and
        input."""
        self._with_context, self._inputs = _shape(fn, self.original)
        self._fn = fn

    async def __call__(self, ctx: ActivityContext, *inputs: Any) -> Any:
        if not inputs and self.original.default is not NO_INPUT:  # the call has no input
            inputs = (self.original.default,)
        run = ActivityRun(
            name=self.original.name,
            instance_id=ctx.instance_id,
            task_id=ctx.task_id,
            attempt=ctx.attempt,
            idempotency_key=ctx.idempotency_key,
            input=inputs[0] if inputs else None,
        )
        self._runs.append(run)
        arguments = [*([ctx] if self._with_context else []), *inputs[: self._inputs]]
        try:
            result = self._fn(*arguments)
            run.result = await result if inspect.isawaitable(result) else result
        except (StopIteration, StopAsyncIteration) as error:  # neither may leave a coroutine that was never awaited
            run.error = RuntimeError(
                f"activity '{run.name}' raised {type(error).__name__}: is a mock's side_effect used up?"
            )
            raise run.error from error
        except BaseException as error:
            run.error = error
            raise
        finally:
            run.ended = True
        return run.result


def _shape(fn: object, original: ActivityDefinition) -> tuple[bool, int]:
    """Whether the function takes the context, and the number of inputs it takes: 0 or 1. A mock without a spec takes
    the input."""
    given = int(original.input_type is not NO_INPUT)
    if not callable(fn):
        raise RegistrationError(
            f"activity '{original.name}' cannot be replaced by {fn!r}, which is not a function; "
            "give a function, or Mock(return_value=...)"
        )
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        return False, given
    positional = [p for p in parameters if p.kind in _POSITIONAL]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return (True, given) if positional and _is_context(positional[0]) else (False, given)
    with_context = bool(positional) and (_is_context(positional[0]) or len(positional) > given)
    required = sum(p.default is p.empty for p in positional)
    inputs = min(given, len(positional) - int(with_context))
    is_asking = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    if required > int(with_context) + inputs or is_asking:
        kinds = "(ctx: ActivityContext, input)" if given else "(ctx: ActivityContext)"
        raise RegistrationError(
            f"activity '{original.name}' cannot be replaced by {fn}: its parameters are {inspect.signature(fn)}, and "
            f"it is called as {kinds}; it may omit any of these parameters"
        )
    return with_context, inputs


def _is_context(parameter: inspect.Parameter) -> bool:
    annotation: object = parameter.annotation
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return name.rsplit(".", 1)[-1] == ActivityContext.__name__
