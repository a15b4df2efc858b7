"""Watches user code that runs on an event loop, and interrupts code that blocks the loop.

Theory of operation
-------------------
One endless loop in an orchestrator, a handler, a validator or a codec would block all work of the process. The
framework therefore calls such code on the loop by ``stretch``, which costs a few attribute writes. A thread of the
watch checks ten times per limit which stretch runs. If it is the same stretch for the whole limit, the thread

1. finds the line that runs, in the frames of the loop's thread;
2. calls ``remember``, which records the error while the code still hangs, so that a restarted host does not run the
   same code again;
3. raises an exception in the loop's thread, which Python does between two instructions. It does so at every further
   check, because the code may catch the exception. Code in C (a regular expression, a lock) cannot be interrupted
   until it returns.

The stretch then ends with a ``CodeHangsError``, even if the code has swallowed the exception; the result of the code is
dropped. An exception that was requested and not raised yet is awaited at the end of the stretch, so that it is not
raised in other code. Time is counted in checks, so that a stopped process or a sleeping machine does not count as a
hang. Code under a debugger is not interrupted. Uses threads and frames only, and no orchestrations.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from threading import get_ident
from types import FrameType, coroutine
from typing import Any, NamedTuple, ParamSpec, TypeVar

from .errors import CodeHangsError
from .source_location import is_library, place
from .user_code import Interruption

P = ParamSpec("P")
R = TypeVar("R")

LOOKS = 10  # within the limit

_DEBUGGERS = frozenset({"bdb", "pdb", "pydevd", "_pydevd_bundle", "_pydevd_frame_eval", "debugpy"})

logger = logging.getLogger("durable_core.runtime")


class Code(NamedTuple):
    """The code of a stretch.

    what: names it in errors. remember: called with the error, in the thread of the watch, before the interruption.
    """

    what: str
    remember: Callable[[CodeHangsError], None] | None = None


class _Interrupted(Interruption):
    """Raised in code that hangs. Never leaves the stretch."""


class HangWatch:
    """The watch of one thread, from ``start`` to ``stop``. ``limit``: seconds that a stretch may take."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.code: Code | None = None  # the code of the stretch that runs now
        self.number = 0  # counts stretches, and signs of life within them
        self.error: CodeHangsError | None = None  # the error of the running stretch, once it is interrupted
        self._thread = get_ident()
        self._interrupting = threading.Lock()
        self._stopped = threading.Event()
        self._looker = threading.Thread(target=self._look, name="durable-hang-watch", daemon=True)
        self._users = 0

    @classmethod
    def start(cls, limit: float) -> HangWatch | None:
        """Watch this thread, unless it is watched already; call ``stop`` as often as this. None for a limit of 0."""
        if limit <= 0:
            return None
        watch = _WATCHES.get(get_ident())
        if watch is None:
            watch = _WATCHES[get_ident()] = cls(limit)
            watch._looker.start()
        watch._users += 1
        return watch

    def stop(self) -> None:
        self._users -= 1
        if self._users == 0:
            del _WATCHES[self._thread]
            self._stopped.set()

    def sign_of_life(self, _: object = None) -> None:
        """The running code has made progress; the limit starts anew."""
        self.number += 1

    def conclude(self) -> None:
        """After a stretch that was interrupted: raise its CodeHangsError."""
        with self._interrupting:  # the other thread sets the error and requests the exception together
            error, self.error = self.error, None
        try:
            # This replaces an exception that may have been requested and not raised yet.
            _raise_in(self._thread, _Interrupted)
            while True:
                pass
        except _Interrupted:
            if error is not None:
                raise error from None

    # ------------------------------------------------------------------ the watch's thread

    def _look(self) -> None:
        seen, times = -1, 0
        while not self._stopped.wait(self.limit / LOOKS):
            code, number = self.code, self.number
            times = times + 1 if code is not None and number == seen else 0
            seen = number
            if code is not None and times >= LOOKS:
                self._interrupt(code, number)

    def _interrupt(self, code: Code, number: int) -> None:
        frame = sys._current_frames().get(self._thread)  # pyright: ignore[reportPrivateUsage]
        if frame is None or _is_debugged(frame):
            return
        error = self.error
        if error is None:
            error = CodeHangsError(code.what, _line_of(frame), self.limit)
            if code.remember is not None:
                code.remember(error)
            logger.critical("%s", error)
        with self._interrupting:
            before, self.error = self.error, error
            if self.code is code and self.number == number:
                _raise_in(self._thread, _Interrupted)
            else:  # the stretch has just ended by itself
                self.error = before


def stretch(code: Code, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``fn``, which runs user code, under the watch. CodeHangsError if the code was interrupted.

    In a thread that is not watched, and inside another stretch, ``fn`` is only called.
    """
    watch = _WATCHES.get(get_ident()) if _WATCHES else None
    if watch is None or watch.code is not None:
        return fn(*args, **kwargs)
    # Python raises an exception that another thread requested where it may switch threads: at the ends of calls and of
    # loops. While ``watch.code`` is set there is one such point here, the end of the call, and it is in the ``try``.
    watch.number += 1
    watch.code = code
    try:
        return fn(*args, **kwargs)
    finally:
        watch.code = None
        if watch.error is not None:
            watch.conclude()


def sign_of_life() -> Callable[[object], None] | None:
    """A function that long code calls to show that it does not hang; None if this thread is not watched."""
    watch = _WATCHES.get(get_ident())
    return None if watch is None else watch.sign_of_life


@coroutine
def in_stretches(work: Coroutine[Any, Any, R], code: Code) -> Generator[Any, Any, R]:
    """Await a user's coroutine, with a stretch of its own for each of its steps."""
    step: Callable[..., Any] = work.send
    value: object = None
    while True:
        try:
            yielded = stretch(code, step, value)
        except StopIteration as stop:
            return stop.value
        try:
            value = yield yielded
            step = work.send
        except GeneratorExit:
            stretch(code, work.close)
            raise
        except BaseException as error:  # noqa: BLE001  it is raised where the coroutine waits
            step, value = work.throw, error


_WATCHES: dict[int, HangWatch] = {}
"""The watches, by the id of the watched thread."""


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    """Request that Python raises this exception in a thread between two instructions; replaces an earlier request.

    A request is never withdrawn, although Python allows it: Python 3.11 then checks for it at every call for ever, and
    under a profiler does nothing else any more.
    """
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))


def _line_of(frame: FrameType) -> str:
    """``file:line`` of the innermost frame of the project's own code; of the innermost frame if there is none."""
    inner: FrameType | None = frame
    while inner is not None:
        name = inner.f_code.co_filename
        if not name.startswith("<") and not is_library(name):
            return place(name, inner.f_lineno)
        inner = inner.f_back
    return place(frame.f_code.co_filename, frame.f_lineno)


def _is_debugged(frame: FrameType | None) -> bool:
    """Whether the code runs under a debugger, where it may stand still at a breakpoint."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _DEBUGGERS:
            return True
        frame = frame.f_back
    return False
