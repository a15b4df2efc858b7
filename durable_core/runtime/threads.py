"""Calls user code in a thread: in a copy of the caller's context, with the hooks of the host.

A host may have to know for which invocation a thread works, so that log lines of the thread belong to it. It sets
``around_threads``; this module knows no host.
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
"""Makes the context manager that a thread enters for each call; a context variable, so tasks inherit it."""


def for_a_thread(fn: Callable[..., T], *args: object) -> Callable[[], T]:
    """The call to hand to an executor."""
    return partial(copy_context().run, partial(_entered, fn, *args))


def _entered(fn: Callable[..., T], *args: object) -> T:
    with around_threads.get()():
        return fn(*args)
