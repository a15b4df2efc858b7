"""Lines of user code for the history and for errors, and tracebacks without the frames of the engine."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Generator
from contextvars import ContextVar
from functools import lru_cache
from types import CoroutineType, FrameType, GeneratorType, TracebackType
from typing import Any

from .. import coroutine_code, guard, interceptors, jobs
from ..coroutine_code import inner_code
from ..signatures import function_in
from ..source_location import is_library, place

_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
_DF = os.path.join(os.path.dirname(os.path.dirname(_FOLDER)), "df") + os.sep  # calls the engine for user code
_CALLERS = frozenset(  # these modules call user code for the engine, or are in its place
    os.path.abspath(str(module.__file__)) for module in (guard, coroutine_code, interceptors, jobs)
)


_KINDS: dict[Any, str] = {GeneratorType: "gi", CoroutineType: "cr"}
"""The prefixes of the attributes that lead into code which waits."""


@lru_cache(maxsize=1024)
def _is_engine(filename: str) -> bool:
    path = os.path.abspath(filename)
    return path.startswith((_FOLDER, _DF)) or path in _CALLERS


on_behalf_of: ContextVar[str] = ContextVar("on_behalf_of", default="")
"""``file:line`` of the user code for which the engine makes further calls by itself later on."""


def caller() -> str:
    """``file:line`` of the user code that has called the engine; only for functions of the engine."""
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
    """``file:line`` of the ``yield`` or ``await`` at which code waits, inside the code that it delegates to."""
    found = ""
    inner: Any = inner_code(generator)
    while (kind := _KINDS.get(type(inner))) is not None:
        code, frame = getattr(inner, f"{kind}_code"), getattr(inner, f"{kind}_frame")
        if _is_engine(code.co_filename):
            break
        if frame and not (found and is_library(code.co_filename)):
            found = place(code.co_filename, frame.f_lineno)
        inner = inner_code(inner.gi_yieldfrom if kind == "gi" else inner.cr_await)
    return found


def frame_of(generator: object) -> FrameType | None:
    """The frame of a generator's or a coroutine's own code; None if it has ended."""
    inner = inner_code(generator)
    return getattr(inner, "gi_frame", None) or getattr(inner, "cr_frame", None)


def names_in(fn: Callable[..., Any]) -> frozenset[str]:
    """Names and texts in the code of a function and of the functions nested in it."""
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
    """The traceback without the frames of the engine."""
    frames: list[TracebackType] = []
    while trace is not None:
        if not _is_engine(trace.tb_frame.f_code.co_filename):
            frames.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for entry in reversed(frames):
        kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept
