"""The parameters and annotations of a registered function, for every kind of callable."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, cast

from .errors import RegistrationError


def function_in(fn: Any) -> Any:
    """The function whose code runs: inside ``functools.wraps``, ``functools.partial`` and objects with ``__call__``."""
    while True:
        inner = inspect.unwrap(fn)
        if isinstance(inner, functools.partial):
            fn = inner.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        elif not inspect.isroutine(inner) and inspect.isfunction(call := cast("Any", type(inner)).__call__):
            return call
        else:
            return inner  # pyright: ignore[reportUnknownVariableType]


def location_of(fn: Any) -> str:
    """``file:line`` of the function's definition in the project's code."""
    code = getattr(function_in(fn), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(fn)


def hints_of(fn: Any) -> dict[str, Any]:
    """The annotations of a function, resolved. NameError for a name that is not defined at run time."""
    return typing.get_type_hints(function_in(fn), include_extras=True)


def parameters_of(fn: Callable[..., Any], kind: str) -> list[inspect.Parameter]:
    """The positional parameters, with their annotations.

    RegistrationError, with the ``file:line``, if the function needs other arguments, or has only ``*args``.
    """
    where = location_of(fn)
    parameters = _own_parameters(fn)
    if parameters is None:
        raise RegistrationError(f"{where}: Python cannot read the parameters of {fn!r}; write a function that calls it")
    try:
        hints = hints_of(fn)
    except NameError as error:
        raise RegistrationError(
            f"the annotations of {getattr(fn, '__qualname__', fn)} ({where}) use a name that is unknown at run "
            f"time: {error}; import it outside of TYPE_CHECKING"
        ) from error
    except TypeError:  # some callables written in C have no annotations
        hints = {}
    found: list[inspect.Parameter] = []
    for parameter in parameters:
        match parameter.kind:
            case parameter.VAR_POSITIONAL:
                raise RegistrationError(
                    f"{where}: '*{parameter.name}' does not name the input of the {kind}; give it a named parameter. "
                    "If a decorator made this function, let it use functools.wraps"
                )
            case parameter.KEYWORD_ONLY if parameter.default is parameter.empty:
                raise RegistrationError(
                    f"{where}: the framework cannot pass the keyword '{parameter.name}', since the {kind} is called "
                    "with one input; give the keyword a default, or put its value into the input, a model or a dict"
                )
            case parameter.POSITIONAL_ONLY | parameter.POSITIONAL_OR_KEYWORD:
                found.append(parameter.replace(annotation=hints.get(parameter.name, parameter.annotation)))
            case _:
                continue
    if found and found[0].name == "self":
        raise RegistrationError(
            f"{where}: a method cannot be an {kind}, since there is no object to call it on; write a function outside "
            "of the class"
        )
    return found


def _own_parameters(fn: Any) -> list[inspect.Parameter] | None:
    """The parameters of the outermost wrapper that names its own; None if Python cannot read them."""
    while True:
        try:
            parameters = list(inspect.signature(fn, follow_wrapped=False).parameters.values())
        except (TypeError, ValueError):
            return None
        inner = getattr(fn, "__wrapped__", None)
        if inner is None or all(parameter.kind is not parameter.VAR_POSITIONAL for parameter in parameters):
            return parameters
        fn = inner
