"""Lines of user code for the history and for errors, and tracebacks without the frames of the engine."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Generator
from contextvars import ContextVar
from functools import lru_cache
from types import FrameType, TracebackType
from typing import Any

from .. import guard
from ..signatures import function_in
from ..source_location import place

_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep
_GUARD = os.path.abspath(guard.__file__)  # the guard calls user code for the engine


@lru_cache(maxsize=1024)
def _is_engine(filename: str) -> bool:
    path = os.path.abspath(filename)
    return path.startswith(_FOLDER) or path == _GUARD


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
    """``file:line`` of the ``yield`` at which a generator waits, inside the generators that it delegates to."""
    found = ""
    inner: Any = generator
    while inspect.isgenerator(inner) and not _is_engine(inner.gi_code.co_filename):
        found = place(inner.gi_code.co_filename, inner.gi_frame.f_lineno) if inner.gi_frame else found
        inner = inner.gi_yieldfrom
    return found


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
