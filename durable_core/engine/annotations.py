"""The types of the parameters and the result of a function, by its annotations."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Generator
from functools import lru_cache
from typing import Any

from ..errors import OrchestratorCodeError
from ..signatures import function_in, hints_of


@lru_cache(maxsize=1024)
def result_type(fn: Callable[..., Any]) -> Any:
    """The type of the result of an activity or an orchestrator; ``Any`` if it is not annotated."""
    try:
        returned = hints_of(fn).get("return", Any)
    except NameError as error:
        raise OrchestratorCodeError(
            f"the annotations of {getattr(fn, '__qualname__', fn)} use a name that is unknown at run time: {error}; "
            "import it outside of TYPE_CHECKING, or give returns="
        ) from error
    except TypeError:  # a callable object without annotations
        return Any
    origin, arguments = typing.get_origin(returned), typing.get_args(returned)
    is_generator = isinstance(origin, type) and issubclass(origin, Generator)
    if is_generator and not inspect.iscoroutinefunction(function_in(fn)):
        return arguments[2] if len(arguments) == 3 else Any
    return returned


def parameter_types(fn: Callable[..., Any]) -> tuple[Any, ...] | None:
    """The annotated types of a handler's parameters (at most one), ``Any`` without annotation; None if it has more.

    A parameter with a default value counts only if it is the first.
    """
    try:
        parameters = [
            parameter
            for parameter in inspect.signature(fn).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_POSITIONAL)
        ]
    except (TypeError, ValueError):  # some built-in functions, such as append, have no signature
        return (Any,)
    required = [parameter for parameter in parameters if parameter.default is parameter.empty]
    if len([parameter for parameter in required if parameter.kind is not parameter.VAR_POSITIONAL]) > 1:
        return None
    if not parameters:
        return ()
    try:
        hints = typing.get_type_hints(fn, include_extras=True)
    except (NameError, TypeError):  # an annotation with a name that is unknown at run time is not checked
        hints = {}
    return (hints.get(parameters[0].name, Any),)


def returned(fn_or_name: str | Callable[..., Any], returns: Any) -> Any:
    """The type of a call's result: ``returns``, or else the function's annotation; None if it is not known."""
    if returns is not None:
        return returns
    return None if isinstance(fn_or_name, str) else result_type(fn_or_name)
