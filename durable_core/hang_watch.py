"""Watches code of the user's that runs on an event loop, and interrupts what does not give the loop back.

Theory of operation
-------------------
One endless loop in an orchestrator, a handler, a validator or a codec would hold up everything that the process does.
Whoever calls such code on the loop therefore calls it by ``stretch``. That costs a few attribute writes; a thread of
the watch looks in now and then. When it sees the same stretch again and again, for the whole limit, it

1. finds the line that runs, in the frames of the loop's thread;
2. lets ``remember`` write it down, while the code still hangs, so that a restart does not run into it again;
3. raises an exception in the loop's thread, which Python does between two instructions; again at every look, because
   the code may catch it. Code in C (a regular expression, a lock) is out of reach until it returns.

The stretch ends with a ``CodeHangsError`` then, also where the code has swallowed the exception: nothing that it did
counts. An exception that has been asked for and has not been raised yet is waited for when the stretch ends, so that it
strikes nobody else. Time is counted in looks, so that a process that was stopped, or a machine that slept, is none the
worse; code under a debugger is left alone. Knows threads and frames, and nothing of orchestrations.
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
    """What runs. remember: is told of the error, in the thread of the watch, before the code is interrupted."""

    what: str
    remember: Callable[[CodeHangsError], None] | None = None


class _Interrupted(Interruption):
    """Raised in the code that hangs. Does not leave the stretch."""


class HangWatch:
    """The watch of one thread, from ``start`` to ``stop``. ``limit``: seconds that a stretch may take."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.code: Code | None = None  # what runs now
        self.number = 0  # of stretches, and of signs of life within them
        self.error: CodeHangsError | None = None  # of what runs now, if it is interrupted
        self._thread = get_ident()
        self._interrupting = threading.Lock()
        self._stopped = threading.Event()
        self._looker = threading.Thread(target=self._look, name="durable-hang-watch", daemon=True)
        self._users = 0

    @classmethod
    def start(cls, limit: float) -> HangWatch | None:
        """Watch this thread, if it is not watched already; to be stopped as often. None for a limit of 0: no watch."""
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
        """The code that runs now has come a step further, and has the whole time for the next."""
        self.number += 1

    def conclude(self) -> None:
        """After a stretch that was interrupted: raise its CodeHangsError."""
        with self._interrupting:  # an interruption is asked for whole, or not at all
            error, self.error = self.error, None
        try:
            _raise_in(self._thread, _Interrupted)  # in the place of one that may not have been raised yet
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
            else:  # it has ended by itself at this moment
                self.error = before


def stretch(code: Code, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``fn``, which runs code of the user's, watched. CodeHangsError if it had to be interrupted.

    Just calls it in a thread that is not watched, and inside another stretch.
    """
    watch = _WATCHES.get(get_ident()) if _WATCHES else None
    if watch is None or watch.code is not None:
        return fn(*args, **kwargs)
    # Python raises what another thread asks for where it may change threads: at the ends of calls and of loops. While
    # ``watch.code`` is set there is one such point here, the end of the call, and it is inside the ``try``.
    watch.number += 1
    watch.code = code
    try:
        return fn(*args, **kwargs)
    finally:
        watch.code = None
        if watch.error is not None:
            watch.conclude()


def sign_of_life() -> Callable[[object], None] | None:
    """What code that runs long, and does not hang, calls now and then; None where this thread is not watched."""
    watch = _WATCHES.get(get_ident())
    return None if watch is None else watch.sign_of_life


@coroutine
def in_stretches(work: Coroutine[Any, Any, R], code: Code) -> Generator[Any, Any, R]:
    """Await a coroutine of the user's, each of its steps in a stretch of its own."""
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
"""By the thread that is watched."""


def _raise_in(thread: int, kind: type[BaseException]) -> None:
    """Ask Python to raise this in a thread, between two of its instructions, in place of what it was asked for before.

    Python can also be asked to forget it. But 3.11 then looks for it at every call for ever, and under a profiler does
    nothing else any more.
    """
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(kind))


def _line_of(frame: FrameType) -> str:
    """``file:line`` of the project's own code, innermost; of whatever runs if there is none of it."""
    inner: FrameType | None = frame
    while inner is not None:
        name = inner.f_code.co_filename
        if not name.startswith("<") and not is_library(name):
            return place(name, inner.f_lineno)
        inner = inner.f_back
    return place(frame.f_code.co_filename, frame.f_lineno)


def _is_debugged(frame: FrameType | None) -> bool:
    """Whether somebody steps through the code: then it may stand still for as long as it likes."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _DEBUGGERS:
            return True
        frame = frame.f_back
    return False
