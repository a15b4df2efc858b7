"""Tells failures of user code from interrupts: every exception that is not an interrupt is a failure of the code.

Libraries raise more than ``Exception``: gevent's timeouts, pyo3's panics and pytest's outcomes derive from
``BaseException``, and any callback may call ``sys.exit()``. Every caller of user code (an orchestrator's generator,
handlers, conditions, queries, ``retry_if``, lazy iterables, validators, codecs, activities, steps, functions of the
app) therefore catches ``BaseException`` and checks here for an interrupt: Ctrl-C, or an exception that the framework
itself raises in the code. A ``CancelledError`` comes from the host only where a coroutine is awaited.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dis import opmap
from threading import current_thread, main_thread
from types import CodeType
from typing import Any, ParamSpec, TypeVar

from .errors import DeterminismError
from .lazy_dataclass import dataclass

P = ParamSpec("P")
R = TypeVar("R")

_RAISE = opmap["RAISE_VARARGS"]
_JUDGED = "durable_core_is_failure"  # an attribute of a KeyboardInterrupt


class Interruption(BaseException):
    """Base of the exceptions that the framework raises in user code to end it; they are not failures of the code."""


def is_interrupt(error: BaseException) -> bool:
    """Whether the code was ended from outside, by Ctrl-C or an ``Interruption``, and did not fail by itself.

    Python raises the KeyboardInterrupt of a signal in the main thread, between two instructions or in the handler of
    the signal. A KeyboardInterrupt that comes from a ``raise`` statement of the code is a failure.
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
    vars(error)[_JUDGED] = True  # the engine raises it again without the traceback by which it is recognised
    return False


def raise_unless_failure(error: BaseException) -> None:
    """In an ``except BaseException``: raise the error again if it is not a failure of the code that was called.

    Raised again are interrupts, and the guard's DeterminismError, which makes the instance stuck instead of failed.
    """
    if isinstance(error, DeterminismError) or is_interrupt(error):
        raise error


def attribute_of(error: BaseException, name: str, kind: type[R]) -> R | None:
    """An attribute of an exception; None if it is of another type, or if code of the exception's class raises."""
    try:
        value = getattr(error, name)
        return value if isinstance(value, kind) else None
    except BaseException as broken:
        if is_interrupt(broken):
            raise
        return None


def text_of(error: BaseException) -> str:
    """``str(error)``, or that its class has no text for it: code that shows an exception must not fail."""
    try:
        text = str(error)
    except BaseException as broken:
        if is_interrupt(broken):
            raise
        text = f"(its text cannot be had: str() raised {type(broken).__name__})"
    return text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair is not valid UTF-8


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception as a value: futures do not hold every exception, and some exceptions would end the event loop."""

    error: BaseException


def called(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R | Raised:
    """The result of a user's function, or the exception that it raised. An interrupt is raised."""
    try:
        return fn(*args, **kwargs)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return Raised(error)


def _handler_of_interrupts() -> CodeType | None:
    """The code of the SIGINT handler, if that is written in Python, such as the one of ``asyncio.run``."""
    handler: Any = signal.getsignal(signal.SIGINT)
    handler = getattr(handler, "func", handler)
    return getattr(handler, "__code__", None)
