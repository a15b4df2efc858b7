"""The calls of ``ctx.step``: which of them a journal can record, and the failures in which they have ended."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import timedelta
from typing import Any

from ...errors import JournalError, StepFailedError, SubOrchestrationFailedError, TaskFailedError, TaskTimeoutError
from ...hub.journals import Entry, StepId
from ...instance_ids import HALF_PAIR
from ...journal import MAX_STEP_NAME
from ...lazy_dataclass import dataclass
from ...models import JSON, FailureDetails, RetryPolicy, type_name
from ...source_location import is_library, place


def _nothing() -> None: ...


@dataclass(eq=False, slots=True, kw_only=True)
class StepCall:
    """A call of ``ctx.step`` by this run; or of a wait, with ``wait`` as ``engine.journal_waits`` takes it.

    failures: how many failures the code had got before the call. ordinal: as in an entry. failed_tries: how many
    have failed so far; failed: what the last of them raised. is_put_off: its run leaves, and it has tries left.
    """

    step: StepId
    returns: Any
    line: str
    ordinal: int
    failures: int
    future: asyncio.Future[Any]
    fn: Callable[..., Any] = _nothing
    args: tuple[Any, ...] = ()
    retry: RetryPolicy | None = None
    timeout: timedelta | None = None
    wait: dict[str, JSON] | None = None
    task: asyncio.Task[None] | None = None
    cause: BaseException | None = None
    entry: Entry | None = None
    failed_tries: int = 0
    failed: FailureDetails | None = None
    is_put_off: bool = False


@dataclass(slots=True)
class Failures:
    """The failures that the code has got, in order, and how many of them are recorded."""

    told: list[Entry] = field(default_factory=list[Entry])
    recorded: int = 0

    def to_record(self, count: int, known: Mapping[StepId, Entry]) -> list[Entry]:
        """Of the first ``count``, those that are not recorded. DivergedError if another run has recorded one of these
        steps with another end: the code has gone on from what did not count."""
        while self.recorded < count and self._is_in(known, self.told[self.recorded]):
            self.recorded += 1
        return [each for each in self.told[self.recorded : count] if not self._is_in(known, each)]

    def _is_in(self, known: Mapping[StepId, Entry], failure: Entry) -> bool:
        found = None if failure.step is None else known.get(failure.step)
        if found is not None and is_another_end(found, failure):
            raise DivergedError
        return found is not None


class DivergedError(Exception):
    """The code of this run has got a failure of a step that has another end in the journal (rule J6)."""


def is_another_end(recorded: Entry, failure: Entry) -> bool:
    """Whether the journal has another end of a step than the failure that the code has got (rule J6): a value, or an
    exception of another type."""
    if recorded.failure is None or failure.failure is None:
        return True
    return recorded.failure.type != failure.failure.type


def error_of(call: StepCall, failure: FailureDetails, tries: int) -> TaskFailedError:
    """The error that the code gets for the failure of a step, after so many tries, or of a wait."""
    name = call.step.name
    if call.wait is None:
        how = f" {tries:,} times" if tries > 1 else ""
        return StepFailedError(f"step {call.step} failed{how}: {failure.type}: {failure.message}", failure, name=name)
    if failure.type == type_name(TaskTimeoutError) and failure.cause is None:
        return TaskTimeoutError(f"{name}: {failure.message}", failure, name=name)
    kind = SubOrchestrationFailedError if call.wait["kind"] == "child" else TaskFailedError
    return kind(f"{name} failed: {failure.type}: {failure.message}", failure, name=name)


def check_call(name: object, fn: object, key: object, retry: object, timeout: object, line: str, about: str) -> str:
    """JournalError for a call with arguments that no journal can record. Returns how errors name the call."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_STEP_NAME or HALF_PAIR.search(name):
        raise JournalError(
            f"{line}: the first argument of ctx.step is the step's name, a text of 1 to {MAX_STEP_NAME} characters, "
            f"not {name!r:.300}: ctx.step('charge', charge, order)"
        )
    what = f"{line}: step '{name}' of {about}"
    if not callable(fn):
        hint = f"pass the function itself and its arguments: ctx.step('{name}', charge, order)"
        if inspect.iscoroutine(fn):
            fn.close()  # without this, Python warns that it was never awaited
            hint = f"it was called already; {hint}"
        raise JournalError(f"{what} must be a function, not {fn!r:.300}: {hint}")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise JournalError(f"{what} is a generator function, but a step must return its result")
    if key is not None and (not isinstance(key, str) or not 0 < len(key) <= MAX_STEP_NAME or HALF_PAIR.search(key)):
        raise JournalError(f"{what}: key={key!r:.300} must be a text of 1 to {MAX_STEP_NAME} characters")
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise JournalError(f"{what}: retry={retry!r:.300} must be a RetryPolicy")
    if timeout is not None and not (isinstance(timeout, timedelta) and timeout > timedelta(0)):
        raise JournalError(f"{what}: timeout={timeout!r:.300} must be a datetime.timedelta above 0")
    return what


def caller() -> str:
    """``file:line`` of the project's code that has called; of the nearest code outside of this package if none has."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    nearest = ""
    while frame is not None:
        name = frame.f_code.co_filename
        if not is_library(name):
            return place(name, frame.f_lineno)
        if not nearest and not str(frame.f_globals.get("__name__", "")).startswith("durable_core."):
            nearest = place(name, frame.f_lineno)
        frame = frame.f_back
    return nearest
