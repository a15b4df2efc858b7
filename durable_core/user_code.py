"""What code of the user's may raise: whatever it is, that is the failure of that code.

Libraries raise more than ``Exception``: gevent's timeouts, pyo3's panics and pytest's outcomes derive from
``BaseException``, and ``sys.exit()`` may stand in any callback. Whoever calls code of the user's (an orchestrator's
generator, handlers, conditions, queries, ``retry_if``, lazy iterables, validators, codecs, activities, steps, functions
of the app) therefore catches ``BaseException`` and asks here which of it is not the code's own: Ctrl-C, and what the
framework itself raises through the code. A ``CancelledError`` is the host's only where a coroutine is awaited.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from dis import opmap
from threading import current_thread, main_thread
from types import CodeType
from typing import Any, ParamSpec, TypeVar

from .errors import DeterminismError

P = ParamSpec("P")
R = TypeVar("R")

_RAISE = opmap["RAISE_VARARGS"]
_JUDGED = "durable_core_is_failure"  # an attribute of a KeyboardInterrupt


class Interruption(BaseException):
    """What the framework itself raises through code of the user's, to end it: no failure of that code."""


def is_interrupt(error: BaseException) -> bool:
    """Whether the code was ended from outside, by Ctrl-C or an ``Interruption``, and did not fail by itself.

    Python raises the KeyboardInterrupt of a signal in the main thread, between two instructions or in the handler of
    the signal; that of the code's own comes from a ``raise`` of it.
    """
    if isinstance(error, Interruption):
        return True
    if not isinstance(error, KeyboardInterrupt) or current_thread() is not main_thread():
        return False
    trace = error.__traceback__
    if trace is None or _JUDGED in vars(error):
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    if code.co_code[trace.tb_lasti] != _RAISE or code is _handler_of_interrupts():
        return True
    vars(error)[_JUDGED] = True  # the engine raises it again where the code waits, without the traceback that tells
    return False


def raise_unless_failure(error: BaseException) -> None:
    """In an ``except BaseException``: raise the error again if it is no failure of the code that was called.

    That is an interrupt, or the guard's DeterminismError: the code is wrong, not its run.
    """
    if isinstance(error, DeterminismError) or is_interrupt(error):
        raise error


@dataclass(frozen=True, slots=True)
class Raised:
    """What a function raised, as a value: futures do not hold every exception, and some would end the event loop."""

    error: BaseException


def called(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | Raised:
    """What a function of the user's returns, or what it raised. An interrupt is raised."""
    try:
        return fn(*args, **kwargs)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return Raised(error)


def _handler_of_interrupts() -> CodeType | None:
    """The code of a handler of SIGINT that is written in Python, such as that of ``asyncio.run``."""
    handler: Any = signal.getsignal(signal.SIGINT)
    handler = getattr(handler, "func", handler)
    return getattr(handler, "__code__", None)
