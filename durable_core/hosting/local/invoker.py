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
from dataclasses import field
from pathlib import Path
from typing import Any, cast

from ...errors import DurableError
from ...lazy_dataclass import dataclass
from ...user_code import Raised, called, is_interrupt
from .functions_index import IndexedFunction
from .worker_restart import Expired, TimeoutWatch

log = logging.getLogger(__name__)


PATIENCE = 5.0
"""Seconds that a cancelled function has to end."""


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

    def __init__(
        self,
        folder: Path,
        function_timeout: float | None,
        threads: int | None = None,
        *,
        on_timeout: Expired | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """``function_timeout`` in seconds, None for no limit; ``patience`` as the constant.

        on_timeout: called when a function exceeds its timeout, instead of cancelling it.
        """
        self._folder = folder
        self._timeout = function_timeout
        self._patience = patience
        self._watch: TimeoutWatch | None = None
        if on_timeout is not None and function_timeout is not None:
            self._watch, self._timeout = TimeoutWatch(function_timeout, on_timeout), None
        size = threads or int(os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT") or 0) or None
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="function")
        self._thread_local = threading.local()
        self._busy_threads = 0

    async def invoke(self, function: IndexedFunction, value: object) -> Any:
        """Call the function with the trigger's value and return what it returns.

        InvocationFailedError if it fails. If the caller is cancelled, an async function is cancelled too, and not
        awaited any longer if it does not end; a thread cannot be stopped and runs on.
        """
        invocation_id = _invocation_id() if function.wants_context else ""
        call = self._call(function, value, invocation_id)
        watched = None if self._watch is None else self._watch.begin(function.name)
        work = asyncio.ensure_future(_on_the_loop(call) if function.is_async else self._threaded(call))
        error: BaseException | None = None
        try:
            await asyncio.wait({work}, timeout=self._timeout)
            if work.done():
                returned = work.result()
                if isinstance(returned, Raised):
                    raise returned.error
                return returned
            reason = f"did not end within functionTimeout ({self._timeout:g} s); Azure would restart its worker process"
        except asyncio.CancelledError as cancelled:
            if cast("asyncio.Task[object]", asyncio.current_task()).cancelling():
                raise
            reason = "let a CancelledError escape; in Azure the invocation would hang until functionTimeout"
            error = cancelled
        except BaseException as raised:  # every error of a function is logged
            if is_interrupt(raised):
                raise
            error, reason = raised, f"raised {type(raised).__name__}"
        finally:
            if watched is not None and self._watch is not None:
                self._watch.end(watched)
            if not work.done():
                await self._give_up(function, work)
        log.error("%s %s [%s]", function.name, reason, invocation_id or _invocation_id(), exc_info=error)
        raise InvocationFailedError(function.name, reason) from error

    async def _give_up(self, function: IndexedFunction, work: asyncio.Future[Any]) -> None:
        """Cancel a function and wait up to the patience for its end; it may suppress the cancellation."""
        work.add_done_callback(_forget)
        work.cancel()
        await asyncio.wait({work}, timeout=self._patience)
        if not work.done():
            log.error(
                "%s did not end within %g s of its cancellation; it must not suppress CancelledError",
                function.name,
                self._patience,
            )

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


async def _on_the_loop(call: functools.partial[Any]) -> Any:
    """As ``called`` does for a thread: a SystemExit that a task raises would end the event loop."""
    try:
        return await call()
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        return Raised(error)


def _forget(work: asyncio.Future[Any]) -> None:
    if not work.cancelled():
        work.exception()  # no caller waits for its error


def _invocation_id() -> str:
    """No secret: the system need not be asked for chance."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))
