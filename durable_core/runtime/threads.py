"""How code of the user's is called in a thread: in a copy of the context that asks for it, and known to the host there.

A host may want to know for which of its invocations a thread works, in order to file what is logged there. It sets
``around_threads``; here nobody knows what a host is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TypeVar

T = TypeVar("T")

around_threads: ContextVar[Callable[[], AbstractContextManager[object]]] = ContextVar(
    "around_threads", default=nullcontext
)
"""Makes what is entered in a thread before the call, and left after it; inherited by tasks as any context variable."""


def for_a_thread(fn: Callable[..., T], *args: object) -> Callable[[], T]:
    """The call to hand to an executor."""
    return partial(copy_context().run, partial(_entered, fn, *args))


def _entered(fn: Callable[..., T], *args: object) -> T:
    with around_threads.get()():
        return fn(*args)
