"""Runs activities: plain functions in a thread pool, async ones on the loop; JSON in, JSON or a failure out.

A call waits for its slot (its activity's ``max_concurrency`` and ``rate``, a thread) without holding a thread. An
attempt that exceeds a time limit has failed: an async function is cancelled; a plain function runs on in its thread,
which is in use until the function returns, and its result is ignored.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ...activity_context import ActivityContext
from ...converter import LEAVES, Converter, is_plain
from ...definitions import ActivityDefinition
from ...engine.callbacks import CallbackUrls, make_ticket
from ...engine.code_scope import enter_outside, outside
from ...engine.events import CancelRequested, ExecutionTimedOut, TaskCompleted, TaskFailed, TaskScheduled
from ...engine.executor import Turn
from ...errors import CodeHangsError, InvalidInputError, PayloadTooLargeError, SerializationError
from ...hang_watch import Code, in_stretches, stretch
from ...headers import headers_in
from ...hub.attempts import Ran
from ...hub.instance_row import Instance
from ...hub.journals import JournalKey, StepId, root_of
from ...hub.messages import Call, TaskOutcome
from ...hub.taskhub import TaskHub
from ...interceptors import around
from ...log_context import WorkLogger, durable_logger, enter_work, leave_work
from ...models import JSON, FailureDetails, type_name
from ...moments import after
from ...registry import Registry
from ...user_code import Raised, called, is_interrupt, text_of
from ..clock import Clock
from ..observer import NOBODY, AttemptInfo, Observer, RunningAttempt
from ..stream_feeds import StreamFeeds
from ..threads import for_a_thread
from .attempt import Attempt
from .call_options import options_of, timed_out, watched, woke_of
from .slots import Slot

SLOW_SECONDS = 5.0  # an activity that has lately taken longer is not run inline
QUICK_SECONDS = 0.05  # an activity that has lately taken less ends sooner here than its message reaches another host

if TYPE_CHECKING:
    from ...operate.explain.code_here import CallInHand, SlotUse
    from ..client import DurableClient
    from .journal import GoesOn, JournalRun, Leaving

logger = durable_logger("durable_core.activity")

_CallKey: TypeAlias = tuple[str, str, int, int]
"""Instance, execution, generation and task."""


class ActivityRunner:
    """``executor`` None: plain functions run on the loop's thread (simulations do that); ``threads``: how many it has.

    host: the id of this process, which results name. feeds: the streams that activities write.
    served: the work queues that this process is known to serve.
    """

    def __init__(
        self,
        hub: TaskHub,
        registry: Registry,
        converter: Converter,
        clock: Clock,
        executor: Executor | None,
        threads: int | None = None,
        observer: Observer = NOBODY,
        *,
        host: str,
        feeds: StreamFeeds,
    ) -> None:
        self._hub = hub
        self._feeds = feeds
        self.host = host
        self._registry = registry
        self._converter = converter
        self._clock = clock
        self._executor = executor
        self._observer = observer
        self._threads = Slot(threads)
        self._gates: dict[str, Slot] = {}
        self._took: dict[str, float] = {}  # seconds, the last time
        self._codes: dict[str, _Codes] = {}
        self._attempts: dict[str, set[Attempt]] = {}  # by instance: the attempts that can be cancelled
        self._in_hand: dict[_CallKey, tuple[str, datetime | None]] = {}  # the activity, and since when it runs
        self.served: set[str] = {""}
        self.client: DurableClient | None = None  # set by the app, which makes it later
        self.callback_urls: CallbackUrls | None = None  # of journaled activities; set by the app

    def runs_now(self, definition: ActivityDefinition) -> bool:
        """Whether a call would start in this process at once, and was quick the last time."""
        gate = self._gates.get(definition.name)
        return (
            self._took.get(definition.name, 0.0) <= SLOW_SECONDS
            and definition.queue in self.served
            and (gate is None or gate.is_open)
            and (definition.is_async or self._threads.is_open)
        )

    def is_quick(self, definition: ActivityDefinition) -> bool:
        """Whether it ended at once the last time that it ran in this process."""
        return self._took.get(definition.name, SLOW_SECONDS) < QUICK_SECONDS

    def in_hand(self, instance: Instance, task_id: int) -> CallInHand | None:
        """What this process does with a call; None if it has none of it."""
        key = (instance.instance_id, instance.execution_id, instance.generation, task_id)
        if key not in self._in_hand:
            return None
        from ...operate.explain.code_here import CallInHand, StepInHand  # who asks has imported the explanations

        journals = [
            attempt.journal
            for attempt in self._attempts.get(instance.instance_id, ())
            if attempt.journal is not None
            and attempt.journal.left is None
            and (attempt.execution_id, attempt.call.task_id) == (key[1], task_id)
        ]
        steps = [
            StepInHand(
                str(step.step),
                step.line,
                step.failed_tries,
                "" if step.failed is None else f"{step.failed.type.rpartition('.')[2]}: {step.failed.message}",
            )
            for journal in journals
            for step in journal.running()
        ]
        return CallInHand(self._in_hand[key][1], tuple(steps))

    def running(self, instance_id: str) -> list[str]:
        """The activities that run in this process for an instance, in the order of their names."""
        return sorted({name for key, (name, since) in self._in_hand.items() if key[0] == instance_id and since})

    def slots(self, activity: str) -> SlotUse | None:
        """How the slots of an activity with limits are used in this process; None if it has not been called here."""
        gate = self._gates.get(activity)
        from ...operate.explain.code_here import SlotUse

        return None if gate is None else SlotUse(gate.taken, gate.waiting)

    def instance_moved(self, instance: Instance) -> None:
        """Cancel running attempts of an instance that has ended or begun a new generation."""
        for attempt in self._attempts.get(instance.instance_id, ()):
            attempt.cancel_if_moved_on(instance)

    def turned(self, instance: Instance, turn: Turn) -> None:
        """A turn was committed: cancel the attempts whose call it has ended, or whose orchestrator is to stop."""
        attempts = self._attempts.get(instance.instance_id)
        if not attempts:
            return
        ended = {event.task_id for event in turn.recorded if isinstance(event, TaskCompleted | TaskFailed)}
        new = {event.task_id for event in turn.outgoing if isinstance(event, TaskScheduled)}  # clean-up, perhaps
        is_stopping = any(isinstance(event, CancelRequested | ExecutionTimedOut) for event in turn.recorded)
        for attempt in attempts:
            call = attempt.call
            is_ours = attempt.execution_id == instance.execution_id and call.generation == instance.generation
            if is_ours and (call.task_id in ended or (is_stopping and call.task_id not in new)):
                attempt.is_cancelled = True

    async def run(
        self,
        instance_id: str,
        execution_id: str,
        call: Call,
        until: float | None = None,
        *,
        again: bool = False,
        inline: ActivityDefinition | None = None,
        leave_at: float | None = None,
        headers: str = "",
    ) -> tuple[TaskOutcome, Attempt] | GoesOn | None:
        """Run one attempt; every failure of the activity becomes part of the outcome. UnknownActivityError.

        until: the loop's time up to which the call may wait for a slot; returns None on timeout, without running it.
        again: a host that crashed may have started the same attempt before. inline: the activity, if it runs in the
            turn of the call.
        leave_at: the loop's time from which on a journaled activity leaves at its next step; returns ``GoesOn`` then,
            or if another run of it leads. Raises the error of the store if its journal cannot be read or written.
        headers: of the instance, as JSON text.
        """
        key = (instance_id, execution_id, call.generation, call.task_id)
        self._in_hand[key] = (call.name, None)
        try:
            definition = self._registry.activity(call.name) if inline is None else inline
            loop, options, deadline = asyncio.get_running_loop(), call.options, None
            if options and (at := options.get("deadline")) is not None:
                deadline = loop.time() + at - self._clock.now().timestamp()
                until = deadline if until is None else min(until, deadline)
            leave = _nothing if is_without_limit(definition) else await self._enter(definition, until)
            if leave is None and (deadline is None or loop.time() < deadline):
                return None
            begun = self._clock.now()
            attempt = Attempt(
                instance_id,
                execution_id,
                call,
                definition,
                converter=self._converter,
                heartbeats=self._hub.heartbeats,
                instances=self._hub.instances,
                deadline=deadline,
                begun=begun,
                host=self.host,
                feeds=self._feeds,
                headers=headers,
            )
            if leave is None:
                attempt.is_cancelled = True
                what = f"activity '{call.name}' was not started before its schedule_to_close"
                failure = self._failed(attempt, timed_out(what, retriable=False))
                return TaskOutcome(call.generation, call.task_id, call.attempt, failure=failure), attempt
            details: JSON = None
            if definition.takes_context:
                try:
                    details = await self._details(definition, attempt, again)
                except BaseException:  # the activity was not started; its message is delivered again
                    leave()
                    raise
                begun = self._clock.now()
            if definition.journal:
                try:
                    goes_on = await self._open_journal(attempt, leave_at, is_first=inline is not None, again=again)
                except BaseException:
                    leave()
                    raise
                if goes_on is not None:
                    leave()
                    return goes_on
            token = enter_work(attempt.work)
            try:
                followed = None
                if self._observer.is_on:
                    followed = self._observer.begin(_info_of(attempt, is_inline=inline is not None))
                started, self._in_hand[key] = loop.time(), (call.name, begun)
                result, failure = await self._result_of(definition, attempt, leave, details, followed)
                waits: JSON = None
                left = None if attempt.journal is None else attempt.journal.left
                if left is not None and (waits := waits_in(left)) is None:
                    return await self._leave(attempt, left)
                took = self._took[call.name] = loop.time() - started
                ran = Ran.of(begun, took, self.host)
                outcome = TaskOutcome(
                    call.generation, call.task_id, call.attempt, result, failure, ran=ran, waits=waits
                )
                if followed is not None:
                    followed.ended(outcome, took)
            finally:
                leave_work(token)
            if definition.takes_context or definition.interceptors.activities:
                if attempt.streams is not None:
                    await attempt.end_streams(is_success=failure is None and outcome.waits is None)
                await attempt.end(keep=failure is not None)
            return outcome, attempt
        finally:
            self._in_hand.pop(key, None)

    # ------------------------------------------------------------------ journals

    async def _open_journal(
        self, attempt: Attempt, leave_at: float | None, *, is_first: bool, again: bool
    ) -> GoesOn | None:
        """Read the journal of a call, and take the lead. Returns why the activity must not run here, if it must not."""
        from .journal import JournalRun  # most programs have no journal

        hub, call, clock = self._hub, attempt.call, self._clock
        attempt.journal = journal = JournalRun(
            hub.journals,
            JournalKey(attempt.instance_id, attempt.execution_id, call.generation, root_of(call)),
            run=hub.ids.commit_id(),
            new_id=hub.ids.commit_id,
            unit_random=hub.ids.unit,
            converter=self._converter,
            attempt=call.attempt,
            part=call.task_id,
            about=f"activity '{call.name}'",
            is_over=lambda: attempt.takes_nothing,
            is_gone=lambda: attempt.is_gone,
            look=attempt.look,
            leave_at=leave_at,
            now=lambda: clock.now().timestamp(),
            executor=self._executor,
            callback_url=None if self.callback_urls is None else partial(self._callback_url, attempt),
        )
        is_first = is_first and root_of(call) == call.task_id
        return await journal.begin(is_first=is_first, again=again, seen=watched(call), woke=woke_of(call))

    def _callback_url(self, attempt: Attempt, name: str, step: StepId, lifetime: timedelta) -> tuple[str, str]:
        """The event and the URL of a callback of a journaled activity. Its number is of no callback of the
        orchestrator's: those are counted from 1."""
        call, urls = attempt.call, self.callback_urls
        assert urls is not None
        digest = hashlib.sha256(f"{root_of(call)}/{step!r}".encode()).digest()
        number = 2**64 + int.from_bytes(digest[:8])
        owner = (attempt.instance_id, attempt.execution_id, call.generation)
        ticket = make_ticket(*owner, number, name, after(self._clock.now(), lifetime))
        return ticket.event_name, urls.url_of(ticket)

    async def _leave(self, attempt: Attempt, left: Leaving) -> GoesOn:
        """The end of a run whose call goes on in another. What it has written to streams is stored."""
        from .journal import Broken, GoesOn

        if attempt.streams is not None:
            await attempt.end_streams(is_success=False)
        await attempt.end(keep=True)
        if isinstance(left, Broken):
            raise left.error
        assert isinstance(left, GoesOn)
        return left

    # ------------------------------------------------------------------ slots

    async def _enter(self, definition: ActivityDefinition, until: float | None) -> Callable[[], None] | None:
        """Acquire a slot, waiting until ``until``. Returns the function that releases it; None on timeout."""
        slots: list[Slot] = []
        if definition.max_concurrency is not None or definition.rate is not None:
            gate = self._gates.get(definition.name)
            if gate is None:
                gate = self._gates[definition.name] = Slot(definition.max_concurrency, definition.rate)
            slots.append(gate)
        if not definition.is_async:
            slots.append(self._threads)
        entered: list[Slot] = []

        def leave() -> None:
            while entered:
                entered.pop().leave()

        try:
            for gate in slots:
                if not await gate.enter(until):
                    leave()
                    return None
                entered.append(gate)
        except BaseException:
            leave()
            raise
        return leave

    # ------------------------------------------------------------------ one attempt

    async def _details(self, definition: ActivityDefinition, attempt: Attempt, again: bool) -> JSON:
        """The latest details of the previous attempt, if there may have been one."""
        if definition.heartbeat_timeout is not None or attempt.call.attempt > 1 or again:
            return await attempt.last_details()
        return None

    async def _result_of(
        self,
        definition: ActivityDefinition,
        attempt: Attempt,
        leave: Callable[[], None],
        details: JSON,
        followed: RunningAttempt | None,
    ) -> tuple[JSON, FailureDetails | None]:
        """Run the function, and return its result or its failure."""
        codes = self._codes.get(definition.name)
        if codes is None:
            codes = self._codes[definition.name] = _Codes.of(definition)
        about = codes.values.what
        has_context = definition.takes_context or definition.interceptors.activities
        peers = self._attempts.setdefault(attempt.instance_id, set()) if has_context else set[Attempt]()
        peers.add(attempt)
        work: asyncio.Future[Any] | None = None
        try:
            try:
                data, arguments = attempt.call.input, list[Any]()
                is_leaf = data is not None and type(data) in LEAVES and type(data) is definition.input_type
                if is_leaf and not definition.takes_context:
                    arguments.append(data)  # no code of the user's reads it
                else:
                    arguments = stretch(codes.values, self._arguments, definition, attempt, details)
            except (InvalidInputError, SerializationError) as error:
                wrong = type(error)(f"the input of {about}: {error}")
                wrong.__cause__ = error
                return None, self._raised(attempt, wrong, retriable=False)
            begin = self._begin
            if definition.interceptors.activities:
                context = arguments[0] if definition.takes_context else self._context(attempt, details)
                begin = partial(self._begin_around, context=context)
            if followed is None:
                work = begin(definition, attempt, codes, arguments, leave)
            else:
                with followed.around():
                    work = begin(definition, attempt, codes, arguments, leave)
            if attempt.is_limited and (late := await attempt.watch(work)) is not None:
                self._give_up(definition, attempt, work)
                return None, self._failed(attempt, late)
            value = await work
            if attempt.journal is not None and attempt.journal.left is not None:
                return None, None
            if isinstance(value, Raised):
                return None, self._raised(attempt, value.error)
            if is_plain(value):
                return value, None
            try:
                return stretch(codes.values, self._converter.to_json, value, f"the result of {about}"), None
            except (SerializationError, PayloadTooLargeError) as error:  # another attempt would fail in the same way
                return None, self._raised(attempt, error, retriable=False)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or not task.cancelling():  # leaked by the activity: a client library's timeout, say
                return None, self._raised(attempt, error)
            attempt.abandon()  # the process ends
            if work is not None:
                work.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - every error of an activity is its result
            return None, self._raised(attempt, error)
        finally:
            if work is None:
                leave()
            peers.discard(attempt)
            if not self._attempts.get(attempt.instance_id, True):
                del self._attempts[attempt.instance_id]

    def _arguments(self, definition: ActivityDefinition, attempt: Attempt, details: JSON) -> list[Any]:
        arguments: list[Any] = []
        call = attempt.call
        if definition.takes_context:
            arguments.append(self._context(attempt, details))
        if definition.takes(call.input):
            arguments.append(self._converter.from_json(call.input, definition.input_type))
        return arguments

    def _context(self, attempt: Attempt, details: JSON) -> ActivityContext:
        call = attempt.call
        kind = ActivityContext if attempt.journal is None else attempt.journal.make_context
        return kind(
            instance_id=attempt.instance_id,
            execution_id=attempt.execution_id,
            task_id=call.task_id,
            attempt=call.attempt,
            # The parts of a journaled activity, between its waits, are calls in history, and one call to its code.
            idempotency_key=f"{attempt.execution_id}-{call.generation}-{root_of(call)}",
            last_heartbeat=details,
            logger=WorkLogger(logger, attempt.work),
            name=call.name,
            headers=_headers_of(attempt) if attempt.headers or call.options else {},
            listener=attempt,
            host_client=self.client,
        )

    def _begin(
        self,
        definition: ActivityDefinition,
        attempt: Attempt,
        codes: _Codes,
        arguments: list[Any],
        leave: Callable[[], None],
    ) -> asyncio.Future[Any]:
        """Start the function. ``leave`` is called when it has really ended, however late."""
        loop = asyncio.get_running_loop()
        work: asyncio.Future[Any]
        if definition.is_async:
            code, journal = _call_async(definition.fn, codes.function, arguments), attempt.journal
            work = loop.create_task(code) if journal is None else _task_of(journal, code)
            if leave is not _nothing:
                work.add_done_callback(lambda _: leave())
        elif self._executor is None:
            work = loop.create_future()
            try:
                work.set_result(called(_call, definition, arguments))
            finally:
                leave()
        else:
            thread = self._executor.submit(for_a_thread(called, _call, definition, arguments))

            def ended(_: object) -> None:
                with suppress(RuntimeError):  # the loop is closed: no call waits for a slot
                    loop.call_soon_threadsafe(leave)

            work = asyncio.wrap_future(thread)
            thread.add_done_callback(ended)  # after the work: the next call finds the thread free
        return work

    def _begin_around(
        self,
        definition: ActivityDefinition,
        attempt: Attempt,
        codes: _Codes,
        arguments: list[Any],
        leave: Callable[[], None],
        context: ActivityContext,
    ) -> asyncio.Future[Any]:
        """``_begin``, inside of the app's interceptors."""
        in_thread: list[asyncio.Future[Any]] = []

        async def function() -> Any:
            if definition.is_async:
                return await definition.fn(*arguments)
            in_thread.append(thread := self._begin(definition, attempt, codes, arguments, leave))
            value = await thread
            if isinstance(value, Raised):
                raise value.error
            return value

        def ended(_: object) -> None:
            if not in_thread:  # a thread is left when its function returns, however late
                leave()

        chain = around(definition.interceptors.activities, context, function)
        code, journal = _call_async(chain, codes.function, []), attempt.journal
        work = asyncio.get_running_loop().create_task(code) if journal is None else _task_of(journal, code)
        work.add_done_callback(ended)
        return work

    def _give_up(self, definition: ActivityDefinition, attempt: Attempt, work: asyncio.Future[Any]) -> None:
        """Cancel an attempt that has timed out; its result is ignored."""
        work.add_done_callback(partial(_late, attempt))
        if definition.is_async or definition.interceptors.activities:
            work.cancel()
        if not definition.is_async:
            logger.warning(
                "%s exceeded its time limit; its thread cannot be stopped and stays in use until the function returns",
                attempt,
            )

    def _raised(self, attempt: Attempt, error: BaseException, *, retriable: bool = True) -> FailureDetails:
        retriable = retriable and not isinstance(error, CodeHangsError)  # each attempt would block the event loop again
        return self._failed(attempt, FailureDetails.from_exception(error, retriable=retriable))

    def _failed(self, attempt: Attempt, failure: FailureDetails) -> FailureDetails:
        logger.warning("%s failed: %s: %s", attempt, failure.type, failure.message, extra=attempt.work.fields())
        return failure


class _Codes(NamedTuple):
    """How the hang watch and errors name an activity: its function; and its values, while they are read and written."""

    function: Code
    values: Code

    @classmethod
    def of(cls, definition: ActivityDefinition) -> _Codes:
        what = f"activity '{definition.name}'"
        return cls(Code(what), Code(f"{what} ({definition.location})"))


def waits_in(left: Leaving) -> JSON:
    """What a run of a journaled activity has come to wait for; None: it has left for another reason."""
    return getattr(left, "waits", None)


def is_without_limit(definition: ActivityDefinition) -> bool:
    """Whether a call of it needs no slot."""
    return definition.is_async and definition.max_concurrency is None and definition.rate is None


def _info_of(attempt: Attempt, *, is_inline: bool) -> AttemptInfo:
    call = attempt.call
    return AttemptInfo(
        instance_id=attempt.instance_id,
        execution_id=attempt.execution_id,
        generation=call.generation,
        task_id=call.task_id,
        attempt=call.attempt,
        name=call.name,
        is_inline=is_inline,
    )


def _nothing() -> None:
    """Releases nothing: for an activity that needs no slot."""


def _call(definition: ActivityDefinition, arguments: list[Any]) -> Any:
    with outside(f"activity '{definition.name}'"):
        return definition.fn(*arguments)


def _headers_of(attempt: Attempt) -> dict[str, JSON]:
    given: dict[str, JSON] | None = options_of(attempt.call).get("headers")
    return headers_in(attempt.headers) if given is None else dict(given)


async def _call_async(fn: Callable[..., Any], code: Code, arguments: list[Any]) -> Any:
    """Call the function in an asyncio task of its own, which has context variables of its own."""
    enter_outside(code.what)
    try:
        return await in_stretches(fn(*arguments), code)
    except asyncio.CancelledError:  # perhaps a cancellation by the host, which the caller checks
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        return Raised(error)


def _task_of(journal: JournalRun, code: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that runs the code of a journaled activity."""
    task = asyncio.get_running_loop().create_task(journal.run(code))
    task.add_done_callback(partial(_close, code))
    return task


def _close(code: Coroutine[Any, Any, Any], work: asyncio.Future[Any]) -> None:
    """Of work that was given up before it began, Python would warn that its code was never awaited."""
    if work.cancelled() and inspect.getcoroutinestate(code) == inspect.CORO_CREATED:
        code.close()


def _late(attempt: Attempt, work: asyncio.Future[Any]) -> None:
    if not work.cancelled():
        error = work.exception()
        if error is None and isinstance(result := work.result(), Raised):
            error = result.error
        told = "" if error is None else f": {type_name(type(error))}: {text_of(error)}"
        logger.info("%s ended after it had timed out; its result is ignored%s", attempt, told)
