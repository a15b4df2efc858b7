"""Where in the user's code: lines for history and errors, tracebacks without the engine's own frames, annotations.

Knows Python's frames and nothing of orchestrations.
"""

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
