"""The run-time guard: stops orchestrator code where it uses a file, a clock or chance, or calls an activity directly.

Orchestrator code runs again at every replay and must make the same decisions. While it runs, and only in its thread,
the guard uses two hooks of Python:

* the audit hook (PEP 578) reports files, sockets, processes, threads and ``time.sleep``. It cannot be removed, so it is
  installed with the first guarded orchestrator, and does nothing unless orchestrator code runs;
* the profiler reports calls, and so calls of clocks and of random numbers. It slows every call down, so it is set only
  for an orchestrator whose code mentions such a name, or calls an activity as a plain function (``needs_profiler``),
  and not if another profiler is set.

Uses by libraries on their own account are allowed: imports, time zones, tracebacks and their source lines, logging,
debuggers, coverage, finalizers. To catch the error in the orchestrator does not help: it is raised again at the next
wait of the code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from threading import get_ident
from types import CodeType, FrameType
from typing import Any, ParamSpec, Protocol, TypeVar

from .errors import DeterminismError
from .guard_rules import (
    C_NAMES_OF_INTEREST,
    CODES_OF_INTEREST,
    Use,
    audited,
    c_function,
    needs_profiler,
    python_function,
)
from .source_location import is_library, place

P = ParamSpec("P")
R = TypeVar("R")

_EXCUSED = frozenset(  # top-level names of libraries that do IO on their own account
    (
        *("importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport", "pkgutil", "runpy"),
        *("zoneinfo", "tzdata", "dateutil", "pytz", "gettext"),
        *("linecache", "traceback", "tokenize", "inspect", "logging", "warnings", "weakref"),
        *("bdb", "pdb", "pydevd", "_pydevd_bundle", "_pydevd_frame_eval", "debugpy", "coverage", "_pytest", "pluggy"),
    )
)
_OF_THE_HOST = "durable_core.hosting.callback_urls"  # reads key and address, which are no part of the history
_ZONES = "/zoneinfo/"  # the C code of zoneinfo opens its files without a frame of its own


class Watch(Protocol):
    """The function by which the engine calls user code: ``watch(generator.send, value)``."""

    def __call__(self, code: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...


def unwatched(code: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """The ``Watch`` without a guard: only calls the code."""
    return code(*args, **kwargs)


def watch_of(*code: Callable[..., Any]) -> Watch:
    """The guarding ``Watch`` for the code of one orchestrator, its handlers and conditions, and its interceptors."""
    _install()
    for each in code:
        if needs_profiler(each):
            return _watched_calls
    return _watched


_WATCHED: dict[int, DeterminismError | None] = {}
"""The threads in which orchestrator code runs now, by their ids, each with the code's first forbidden use."""

_UNRAISABLE: dict[int, tuple[int, int]] = {}
"""By the ids of threads: the instruction of the orchestrator at which a finalizer raised last."""


def _watched(code: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call user code. DeterminismError for a forbidden use, even if the code has caught the error."""
    thread = get_ident()
    if thread in _WATCHED:  # a handler that the code itself calls
        return code(*args, **kwargs)
    _WATCHED[thread] = None
    try:
        return code(*args, **kwargs)
    finally:
        error = _WATCHED.pop(thread)
        if error is not None:
            raise error


def _watched_calls(code: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """As ``_watched``, with the profiler set, which reports every call."""
    if get_ident() in _WATCHED or sys.getprofile() is not None:
        return _watched(code, *args, **kwargs)
    try:
        return _watched(_profiled, code, *args, **kwargs)
    finally:
        sys.setprofile(None)


def _profiled(code: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    sys.setprofile(_on_call)
    try:
        return code(*args, **kwargs)
    finally:
        sys.setprofile(None)


_BOUNDARIES: frozenset[CodeType] = frozenset({_watched.__code__, _profiled.__code__})


@cache
def _install() -> None:
    sys.addaudithook(_on_audit)


def _on_audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _WATCHED:
        return
    if get_ident() not in _WATCHED:
        return
    if event == "sys.unraisablehook":  # a finalizer raised: Python prints that, with source lines that its C code reads
        _UNRAISABLE[get_ident()] = _instruction()
    use = audited(event)
    if use is None:
        return
    if event == "open":
        name = str(arguments[0])
        if _ZONES in name.replace("\\", "/"):
            return
        if name.endswith(".py") and _UNRAISABLE.get(get_ident()) == _instruction():
            return
        use = Use(f"open({name!r})", use.replacement)
    _judge(use, sys._getframe(1))  # pyright: ignore[reportPrivateUsage]


def _on_call(frame: FrameType, event: str, called: Any) -> None:
    """Called at every call and return, so it returns at once for all functions but those in the tables."""
    if event == "call":
        if id(frame.f_code) not in CODES_OF_INTEREST:
            return
        found = python_function(frame)
        if found is None:
            return
        use, caller = found
    elif event == "c_call":
        if called.__name__ not in C_NAMES_OF_INTEREST:
            return
        use, caller = c_function(called), frame
    else:
        return
    if use is None or caller is None or get_ident() not in _WATCHED or is_library(caller.f_code.co_filename):
        return
    _judge(use, caller)


def _instruction() -> tuple[int, int]:
    """Where the code is that has caused an audit event."""
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    return id(frame), frame.f_lasti


def _judge(use: Use, frame: FrameType | None) -> None:
    """Raise DeterminismError at the line of the use, unless a library did it on its own account."""
    location = ""
    while frame is not None and frame.f_code not in _BOUNDARIES:
        code = frame.f_code
        if code.co_name == "__del__":  # the garbage collector may run the finalizer of any object here
            return
        if is_library(code.co_filename):
            module = str(frame.f_globals.get("__name__", ""))
            if module == _OF_THE_HOST or module.partition(".")[0] in _EXCUSED:
                return
        elif not location and not code.co_filename.startswith("<"):
            location = place(code.co_filename, frame.f_lineno)
        frame = frame.f_back
    error = DeterminismError(used=use.used, location=location, replacement=use.replacement)
    thread = get_ident()
    if _WATCHED[thread] is None:
        _WATCHED[thread] = error
    raise error
