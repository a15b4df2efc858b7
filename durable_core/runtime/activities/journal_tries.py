"""One try of a step of a journaled activity, and the time until the next one.

A plain function runs in a thread, an async one on the loop. Of a try that exceeds its time limit the result is ignored.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, NamedTuple

from ...converter import Converter
from ...errors import CodeHangsError, PayloadTooLargeError, SerializationError
from ...hang_watch import Code, in_stretches, stretch
from ...hub.payloads import dumps
from ...log_context import durable_logger
from ...models import FailureDetails, type_name
from ...user_code import Raised, called, is_interrupt, text_of
from ..threads import for_a_thread
from .call_options import in_words, timed_out
from .journal_calls import StepCall

logger = durable_logger("durable_core.activity")


class Tried(NamedTuple):
    """The end of a try. text: the value of a success, as JSON. cause: the exception of a failure, unless it is a time
    limit."""

    text: str = "null"
    failure: FailureDetails | None = None
    cause: BaseException | None = None


class StepTries:
    """about: the activity, as errors name it. executor: runs plain functions; None: they run on the loop's thread."""

    def __init__(
        self, converter: Converter, executor: Executor | None, unit_random: Callable[[], float], about: str
    ) -> None:
        self._converter, self._executor = converter, executor
        self._random, self._about = unit_random, about

    async def once(self, call: StepCall) -> Tried:
        about = f"step {call.step} ({call.line}) of {self._about}"
        try:
            value = await self._value(call, about)
            data = stretch(Code(about), self._converter.to_json, value, f"the result of {about}")
            return Tried(dumps(data))
        except (SerializationError, PayloadTooLargeError, CodeHangsError) as error:  # so it would at every try
            return Tried(failure=FailureDetails.from_exception(error, retriable=False), cause=error)
        except _TooLongError as error:
            return Tried(failure=timed_out(str(error)))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return _failed(error)  # something inside the step was cancelled
        except BaseException as error:  # any error of a step is its result
            if is_interrupt(error):
                raise
            logger.warning("%s failed: %s: %s", about, type_name(type(error)), text_of(error))
            return _failed(error)

    def delay(self, call: StepCall, failure: FailureDetails, tries: int, took: float) -> float | None:
        """Seconds until the next try, after so many that took so many seconds; None if there is none."""
        policy = call.retry
        if policy is None:
            return None
        try:
            if not stretch(Code(f"retry_if of step {call.step}"), policy.allows, failure, tries):
                return None
        except BaseException as error:  # the user's code; the failure of the step is what counts
            if is_interrupt(error):
                raise
            logger.exception("retry_if of step %s raised: not tried again", call.step)
            return None
        delay = policy.delay_after(tries, self._random()).total_seconds()
        limit = policy.total_timeout
        return None if limit is not None and took + delay > limit.total_seconds() else delay

    async def _value(self, call: StepCall, about: str) -> Any:
        if call.timeout is None:
            return await self._called(call, about)
        limit = call.timeout.total_seconds()
        work = asyncio.get_running_loop().create_task(self._called(call, about))
        try:
            await asyncio.wait({work}, timeout=limit)
            if work.done():
                return work.result()
        finally:
            if not work.done():
                work.cancel()
                work.add_done_callback(disregard)
        raise _TooLongError(f"step {call.step} did not end within {in_words(limit)} (timeout)")

    async def _called(self, call: StepCall, about: str) -> Any:
        fn, args = call.fn, call.args
        if self._executor is None or inspect.iscoroutinefunction(fn):
            value = fn(*args) if inspect.iscoroutinefunction(fn) else stretch(Code(about), fn, *args)
        else:
            work = for_a_thread(called, fn, *args)
            value = await asyncio.get_running_loop().run_in_executor(self._executor, work)
            if isinstance(value, Raised):
                raise value.error
        if inspect.iscoroutine(value):
            return await in_stretches(value, Code(about))
        return await value if inspect.isawaitable(value) else value


class _TooLongError(Exception):
    """A try of a step has exceeded its time limit."""


def _failed(error: BaseException) -> Tried:
    return Tried(failure=FailureDetails.from_exception(error), cause=error)


def disregard(task: asyncio.Task[Any]) -> None:
    """Nobody waits for this task any more; its error is not worth a warning of asyncio."""
    if not task.cancelled():
        task.exception()
