"""Where in the user's code: lines for history and errors, tracebacks without the engine's own frames, annotations.

Knows Python's frames and nothing of orchestrations.
"""

from __future__ import annotations

import inspect
import os
import sys
import typing
from collections.abc import Callable, Generator
from contextvars import ContextVar
from functools import lru_cache
from types import FrameType, TracebackType
from typing import Any

from .. import guard
from ..errors import OrchestratorCodeError
from ..places import place
from ..signatures import function_in, hints_of

_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
_GUARD = os.path.abspath(guard.__file__)  # which calls the user's code for the engine


@lru_cache(maxsize=1024)
def _is_engine(filename: str) -> bool:
    path = os.path.abspath(filename)
    return path.startswith(_FOLDER) or path == _GUARD


on_behalf_of: ContextVar[str] = ContextVar("on_behalf_of", default="")
"""``file:line`` whose steps the engine takes by itself, later than the user's code asked for them."""


def caller() -> str:
    """``file:line`` of the user's code that called into the engine; only the engine asks."""
    if line := on_behalf_of.get():
        return line
    frame: FrameType | None = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        filename = frame.f_code.co_filename
        if not _is_engine(filename):
            return place(filename, frame.f_lineno)
        frame = frame.f_back
    return ""


def suspended_at(generator: Generator[Any, Any, Any]) -> str:
    """``file:line`` of the ``yield`` at which a generator waits, inside the generators that it delegates to."""
    found = ""
    inner: Any = generator
    while inspect.isgenerator(inner) and not _is_engine(inner.gi_code.co_filename):
        found = place(inner.gi_code.co_filename, inner.gi_frame.f_lineno) if inner.gi_frame else found
        inner = inner.gi_yieldfrom
    return found


def names_in(fn: Callable[..., Any]) -> frozenset[str]:
    """Names and texts that a function's own code mentions, that of functions nested in it included."""
    found: set[str] = set()
    codes = [code] if (code := getattr(function_in(fn), "__code__", None)) is not None else []
    while codes:
        code = codes.pop()
        found.update(code.co_names, code.co_freevars)
        for constant in code.co_consts:
            if isinstance(constant, str):
                found.add(constant)
            elif inspect.iscode(constant):
                codes.append(constant)
    return frozenset(found)


def without_engine(trace: TracebackType | None) -> TracebackType | None:
    """The traceback as the user's code made it: the frames of the engine, which ran it, are left out."""
    frames: list[TracebackType] = []
    while trace is not None:
        if not _is_engine(trace.tb_frame.f_code.co_filename):
            frames.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for entry in reversed(frames):
        kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept


@lru_cache(maxsize=1024)
def result_type(fn: Callable[..., Any]) -> Any:
    """The type that an activity returns, or an orchestrator's generator does; ``Any`` when it is not annotated."""
    try:
        returned = hints_of(fn).get("return", Any)
    except NameError as error:
        raise OrchestratorCodeError(
            f"the annotations of {getattr(fn, '__qualname__', fn)} name something unknown at run time: {error}; "
            "import it outside of TYPE_CHECKING, or give returns="
        ) from error
    except TypeError:  # a callable object: it has no annotations to look at
        return Any
    origin, arguments = typing.get_origin(returned), typing.get_args(returned)
    if isinstance(origin, type) and issubclass(origin, Generator):
        return arguments[2] if len(arguments) == 3 else Any
    return returned


def parameter_types(fn: Callable[..., Any]) -> tuple[Any, ...] | None:
    """The annotated types of a handler's parameters, ``Any`` where there is none; None if they are more than one.

    A parameter with a default counts only where it is the first.
    """
    try:
        parameters = [
            parameter
            for parameter in inspect.signature(fn).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.VAR_POSITIONAL)
        ]
    except (TypeError, ValueError):  # some built-in functions tell nothing: append, for one
        return (Any,)
    required = [parameter for parameter in parameters if parameter.default is parameter.empty]
    if len([parameter for parameter in required if parameter.kind is not parameter.VAR_POSITIONAL]) > 1:
        return None
    if not parameters:
        return ()
    try:
        hints = typing.get_type_hints(fn, include_extras=True)
    except (NameError, TypeError):  # an annotation that means nothing at run time asks for no check
        hints = {}
    return (hints.get(parameters[0].name, Any),)


def returned(fn_or_name: str | Callable[..., Any], returns: Any) -> Any:
    """The type of a call's result: what was asked for, else what the function says; None: nothing is known."""
    if returns is not None:
        return returns
    return None if isinstance(fn_or_name, str) else result_type(fn_or_name)
