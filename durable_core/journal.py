"""What a journaled activity gets: a context whose steps are recorded.

How steps are recorded is described in ``runtime.activities.journal``, the rows in ``hub.journals``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import field
from datetime import timedelta
from typing import Any, Generic, Protocol, TypedDict, TypeVar, TypeVarTuple, Unpack, overload

from .activity_context import ActivityContext
from .errors import JournalError
from .lazy_dataclass import dataclass
from .models import JSON, FailureDetails, RetryPolicy

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_STEP_NAME = 256
"""Highest number of characters of the name of a step, and of its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedStep:
    """A step as a journal has it.

    name, key: as given to ``ctx.step``. occurrence: the how-manieth call of this name without a key it was, from 0.
    value: what it returned, as JSON. failure: how it has failed; None: it has not. line: ``file:line`` of the call.
    place: the how-manieth step of the activity's own asyncio task it was, from 0; -1: it was called beside others.
    """

    name: str
    key: str | None = None
    occurrence: int = 0
    value: JSON = None
    failure: FailureDetails | None = None
    line: str = ""
    place: int = -1


class StepOptions(TypedDict, total=False):
    """The options of ``ctx.step``, which are the same for every kind of function."""

    key: str | None
    retry: RetryPolicy | None
    timeout: timedelta | None


class Recorder(Protocol):
    """Runs and records the steps of one run of an activity."""

    def step(
        self,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        key: str | None,
        retry: RetryPolicy | None,
        timeout: timedelta | None,
        returns: Any,
    ) -> asyncio.Future[Any]: ...

    def sleep(self, delay: timedelta, key: str | None) -> asyncio.Future[None]: ...

    def wait_for_event(
        self, name: str, timeout: timedelta | None, key: str | None, returns: Any
    ) -> asyncio.Future[Any]: ...

    def call_sub_orchestrator(
        self,
        orchestrator: str | Callable[..., Any],
        input_: object,
        instance_id: str | None,
        version: str | None,
        key: str | None,
        returns: Any,
    ) -> asyncio.Future[Any]: ...

    def callback(self, name: str, timeout: timedelta | None, key: str | None, returns: Any) -> JournalCallback[Any]: ...


class JournalCallback(Generic[T]):
    """What ``JournalContext.callback`` returns. url: for the third party, a secret: a request with it completes the
    callback. future: has the JSON that is posted there."""

    __slots__ = ("future", "url")

    def __init__(self, url: str, future: asyncio.Future[T]) -> None:
        self.url, self.future = url, future

    def __repr__(self) -> str:
        return "<JournalCallback>"  # without its URL, which is a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalContext(ActivityContext):
    """First parameter of a journaled activity: ``async def book(ctx: JournalContext, trip: Trip)``.

    It has all that ``ActivityContext`` has. Code between the steps runs again whenever the activity is taken up again,
    so it must come to the same steps: it should have no effect on the world, and read no clock. What has an effect, or
    may come out differently, belongs into a step.
    """

    recorder: Recorder | None = field(default=None, repr=False, compare=False)

    @overload
    def step(
        self,
        name: str,
        fn: Callable[[*Ts], Coroutine[Any, Any, T]],
        /,
        *args: *Ts,
        **options: Unpack[StepOptions],
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self,
        name: str,
        fn: Callable[[*Ts], T],
        /,
        *args: *Ts,
        **options: Unpack[StepOptions],
    ) -> asyncio.Future[T]: ...
    @overload
    def step(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        returns: type[T],
        **options: Unpack[StepOptions],
    ) -> asyncio.Future[T]: ...
    def step(
        self,
        name: str,
        fn: Callable[..., Any],
        /,
        *args: Any,
        key: str | None = None,
        retry: RetryPolicy | None = None,
        timeout: timedelta | None = None,
        returns: Any = None,
    ) -> asyncio.Future[Any]:
        """Run ``fn(*args)`` and record what it returns; or return what is recorded, and run nothing.

        The step begins when it is called, not when it is awaited, so several can run at once:
        ``await asyncio.gather(ctx.step("a", f), ctx.step("b", g))``. What the code gets is the recorded value, made of
        its JSON, the first time too. ``fn`` runs at least once, and never again once its result is recorded, whatever
        happens to the process and however often the activity is tried.

        name: says which step it is, together with ``key``. 1 to 256 characters.
        fn: a plain function, which runs in a thread, or an async one. Its result must be JSON, as that of an activity.
        key: tells calls of one name apart, and may be given once in an activity. None: it is the order of the calls
            that does; then only one asyncio task may call the name.
        retry: how often the step is tried in one run of the activity; None: once.
        timeout: of one try. An async function is cancelled; of a plain one, which runs on, the result is ignored.
        returns: type of the value; None takes the annotation of ``fn``, or else plain JSON.

        The future fails with StepFailedError when the tries are used up. Code that catches it may go on: the failure is
        recorded together with the next step. A failure that ends the activity is not, so the next attempt at the
        activity runs the step again.
        Raises JournalError if the call is not the one that the journal has at this place, with the lines of both; for a
        name or a key that is none or is used twice; in a step; and after the activity has ended or was stopped.
        """
        return self._recorder.step(name, fn, args, key=key, retry=retry, timeout=timeout, returns=returns)

    # ------------------------------------------------------------ waits

    def sleep(self, delay: timedelta, *, key: str | None = None) -> asyncio.Future[None]:
        """Wait for a time of any length, by a durable timer.

        This holds for the other waits, too. When all that the activity does is wait, for a twentieth of a second, its
        invocation ends: the code is cancelled where it waits. It costs nothing until the first of its waits is over.
        Then it begins again, on any host, with all that is recorded. Code that awaits something else than steps beside
        a wait is cut off, too: do such work in a step. ``finally:`` blocks run, but ``ctx.step`` in them raises
        JournalError.

        key: as of a step. Raises JournalError as ``step`` does, and for a negative time.
        """
        return self._recorder.sleep(delay, key)

    @overload
    def wait_for_event(
        self, name: str, *, timeout: timedelta | None = None, key: str | None = None, returns: type[T]
    ) -> asyncio.Future[T]: ...
    @overload
    def wait_for_event(
        self, name: str, *, timeout: timedelta | None = None, key: str | None = None, returns: Any = None
    ) -> asyncio.Future[Any]: ...
    def wait_for_event(
        self, name: str, *, timeout: timedelta | None = None, key: str | None = None, returns: Any = None
    ) -> asyncio.Future[Any]:
        """Wait for an event that is raised to the instance: ``client.raise_event(ctx.instance_id, name, data)``.

        An event that came before the wait is taken; events and waits of one name meet in their order, in any letter
        case.

        timeout: after which the future fails with TaskTimeoutError. returns: type of the data; None: plain JSON.
        """
        return self._recorder.wait_for_event(name, timeout, key, returns)

    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[..., Any] | str,
        input_: object = None,
        *,
        instance_id: str | None = None,
        version: str | None = None,
        key: str | None = None,
        returns: type[T],
    ) -> asyncio.Future[T]: ...
    @overload
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[..., Any] | str,
        input_: object = None,
        *,
        instance_id: str | None = None,
        version: str | None = None,
        key: str | None = None,
        returns: Any = None,
    ) -> asyncio.Future[Any]: ...
    def call_sub_orchestrator(
        self,
        orchestrator: Callable[..., Any] | str,
        input_: object = None,
        *,
        instance_id: str | None = None,
        version: str | None = None,
        key: str | None = None,
        returns: Any = None,
    ) -> asyncio.Future[Any]:
        """Start an orchestration and wait for its result. It is a sub-orchestration of the activity's instance.

        instance_id, version: as ``OrchestrationContext.call_sub_orchestrator`` takes them. returns: type of the result;
        None takes the annotation of the function, or else plain JSON. The future fails with
        SubOrchestrationFailedError.
        It is started when the invocation ends to wait for it, not before: beside a step, after that.
        """
        return self._recorder.call_sub_orchestrator(orchestrator, input_, instance_id, version, key, returns)

    @overload
    def callback(
        self, name: str, *, timeout: timedelta | None = None, key: str | None = None, returns: type[T]
    ) -> JournalCallback[T]: ...
    @overload
    def callback(
        self, name: str, *, timeout: timedelta | None = None, key: str | None = None, returns: Any = None
    ) -> JournalCallback[Any]: ...
    def callback(
        self, name: str, *, timeout: timedelta | None = None, key: str | None = None, returns: Any = None
    ) -> JournalCallback[Any]:
        """A wait that a third party ends by a POST of JSON to ``.url``, without a key, once: for an approval by mail.

        Send the URL in a step, so that it is sent once: ``await ctx.step("ask", send_mail, approval.url)``. Then
        ``await approval.future``. name: at most 200 characters.
        timeout: after which the future fails with TaskTimeoutError and the URL expires; None: the URL expires after 90
        days. Raises JournalError, also if the app has no address for callbacks.
        """
        return self._recorder.callback(name, timeout, key, returns)

    @property
    def _recorder(self) -> Recorder:
        if self.recorder is None:
            raise JournalError("this context records no steps; a test makes one with ActivityEnvironment")
        return self.recorder
