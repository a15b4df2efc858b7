"""Coroutines as code of an orchestration: run from one wait to the next like a generator, without an event loop.

The process that runs an orchestrator may have an event loop, and ``asyncio`` would find it. While the code of an
orchestrator runs, ``asyncio`` therefore finds an object that refuses every use, with the line and with what to write.
Each run of a coroutine costs a few calls for that; orchestrators that are generators have no part in it.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any

from .errors import OrchestratorCodeError
from .source_location import is_library, place

INSTEAD = (
    "ctx.create_timer for asyncio.sleep, ctx.gather for asyncio.gather and TaskGroup, ctx.branch for "
    "asyncio.create_task, ctx.with_timeout for asyncio.timeout and wait_for, ctx.wait_condition for asyncio.Event, and "
    "an activity for everything that does IO"
)


class CoroutineCode(Generator[Any, Any, Any]):
    """A coroutine with the methods of a generator. ``coroutine``: the coroutine itself, for those who look into it."""

    __slots__ = ("_hide", "_loop", "coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        from asyncio import events  # noqa: TID251  hidden from the code; not at the import of the package: most orchestrators are generators

        self.coroutine = coroutine
        self._hide: Callable[[Any], None] = events._set_running_loop
        self._loop: Callable[[], Any] = events._get_running_loop

    @property
    def __name__(self) -> str:
        return getattr(self.coroutine, "__name__", "coroutine")

    def send(self, value: Any) -> Any:
        return self._without_loop(self.coroutine.send, value)

    def throw(self, typ: Any, val: object = None, tb: TracebackType | None = None) -> Any:
        return self._without_loop(self.coroutine.throw, typ)

    def close(self) -> None:
        self._without_loop(self.coroutine.close)

    def __repr__(self) -> str:
        return repr(self.coroutine)

    def _without_loop(self, run: Callable[..., Any], *arguments: Any) -> Any:
        loop, hooks = self._loop(), sys.get_asyncgen_hooks()
        self._hide(_NO_LOOP)
        if hooks.firstiter is not None:  # those of the loop, which would take the code's async generators for its own
            sys.set_asyncgen_hooks(None, None)
        try:
            return run(*arguments)
        finally:
            self._hide(loop)
            if hooks.firstiter is not None:
                sys.set_asyncgen_hooks(*hooks)


class Proceeding(Awaitable[Any]):
    """What ``proceed()`` of an interceptor returns: both spellings can wait for ``code``, and it can be a branch."""

    __slots__ = ("code",)

    def __init__(self, code: Generator[Any, Any, Any]) -> None:
        self.code = code

    def __iter__(self) -> Generator[Any, Any, Any]:
        return self.code

    __await__ = __iter__


def steps_of(code: Any) -> Generator[Any, Any, Any]:
    """What a generator function or an async function has returned, as a generator."""
    if isinstance(code, Coroutine):
        return CoroutineCode(code)  # pyright: ignore[reportUnknownArgumentType]  of whatever result
    return code


def inner_code(code: object) -> object:
    """The coroutine in a CoroutineCode; any other object as it is."""
    return code.coroutine if isinstance(code, CoroutineCode) else code


class _NoLoop:
    """What ``asyncio`` finds in the place of a running event loop."""

    def __getattr__(self, name: str) -> Any:
        raise OrchestratorCodeError(
            f"an orchestrator has no event loop, and its code asks for it; use {INSTEAD}", _line()
        )


_NO_LOOP = _NoLoop()


def _line() -> str:
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return "" if frame is None else place(frame.f_code.co_filename, frame.f_lineno)
