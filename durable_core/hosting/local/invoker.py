"""Runs one function of the app once: argument, context object, thread or loop, time limit, log of a failure.

Knows no trigger: listeners and the HTTP server call it and decide what a failure means.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import os
import random
import threading
import uuid
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ...errors import DurableError
from ...user_code import Raised, called, is_interrupt
from .functions_index import IndexedFunction

log = logging.getLogger(__name__)


class InvocationFailedError(DurableError):
    """A function raised, ran out of time or was cancelled by its own code. Logged already; ``__cause__`` says why."""

    def __init__(self, function: str, reason: str) -> None:
        super().__init__(f"function '{function}' {reason}")
        self.function = function


@dataclass(frozen=True, slots=True)
class TraceContext:
    """What ``azure.functions.TraceContext`` offers; a local host starts no trace."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict[str, str])

    Traceparent = property(lambda self: self.trace_parent)
    Tracestate = property(lambda self: self.trace_state)
    Attributes = property(lambda self: self.attributes)


@dataclass(frozen=True, slots=True)
class InvocationContext:
    """What ``azure.functions.Context`` offers to a parameter named ``context``."""

    invocation_id: str
    function_name: str
    function_directory: str
    trace_context: TraceContext
    thread_local_storage: threading.local
    retry_context: None = None


class Invoker:
    """Invokes functions; plain ones in a thread pool, async ones on the loop, as the Python worker does."""

    def __init__(self, folder: Path, function_timeout: float | None, threads: int | None = None) -> None:
        self._folder = folder
        self._timeout = function_timeout
        size = threads or int(os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT") or 0) or None
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="function")
        self._thread_local = threading.local()
        self._busy_threads = 0

    async def invoke(self, function: IndexedFunction, value: object) -> Any:
        """Call the function with the trigger's value and return what it returns.

        InvocationFailedError if it fails. If the caller is cancelled, an async function is cancelled too; a thread
        cannot be stopped and runs on.
        """
        invocation_id = _invocation_id() if function.wants_context else ""
        call = self._call(function, value, invocation_id)
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                returned = await (call() if function.is_async else self._threaded(call))
            if isinstance(returned, Raised):
                raise returned.error
            if not limit.expired():
                return returned
            error, reason = None, ""
        except asyncio.CancelledError as cancelled:
            if cast("asyncio.Task[object]", asyncio.current_task()).cancelling():
                raise
            reason = "let a CancelledError escape; in Azure the invocation would hang until functionTimeout"
            error = cancelled
        except BaseException as raised:  # whatever a function of the app's raises is logged
            if is_interrupt(raised):
                raise
            error, reason = raised, f"raised {type(raised).__name__}"
        if limit.expired():
            reason = f"did not end within functionTimeout ({self._timeout:g} s); Azure would restart its worker process"
        log.error("%s %s [%s]", function.name, reason, invocation_id or _invocation_id(), exc_info=error)
        raise InvocationFailedError(function.name, reason) from error

    def close(self) -> bool:
        """Take no more calls. False if a thread is still busy: it would keep the process alive."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        return self._busy_threads == 0

    def _call(self, function: IndexedFunction, value: object, invocation_id: str) -> functools.partial[Any]:
        arguments: dict[str, object] = {function.parameter: value}
        if function.wants_context:
            arguments["context"] = InvocationContext(
                invocation_id, function.name, str(self._folder), TraceContext(), self._thread_local
            )
        return functools.partial(function.call, **arguments)

    def _threaded(self, call: functools.partial[Any]) -> Awaitable[Any]:
        context = contextvars.copy_context()
        return asyncio.get_running_loop().run_in_executor(self._pool, lambda: context.run(self._in_thread, call))

    def _in_thread(self, call: functools.partial[Any]) -> Any:
        self._busy_threads += 1
        try:
            return called(call)
        finally:
            self._busy_threads -= 1


def _invocation_id() -> str:
    """No secret: the system need not be asked for chance."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))
