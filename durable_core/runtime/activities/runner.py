"""Runs activities: plain functions in a thread pool, async ones on the loop; JSON in, JSON or a failure out.

A call waits for its slot (its activity's ``max_concurrency`` and ``rate``, a thread) without holding a thread. An
attempt that exceeds a time limit has failed: an async function is cancelled; a plain function runs on in its thread,
which is in use until the function returns, and its result is ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from ...activity_context import ActivityContext
from ...converter import Converter
from ...engine.code_scope import outside
from ...engine.events import CancelRequested, ExecutionTimedOut, TaskCompleted, TaskFailed, TaskScheduled
from ...engine.executor import Turn
from ...errors import CodeHangsError, InvalidInputError, PayloadTooLargeError, SerializationError
from ...hang_watch import Code, in_stretches, stretch
from ...hub.attempts import Ran
from ...hub.instance_row import Instance
from ...hub.messages import Call, TaskOutcome
from ...hub.taskhub import TaskHub
from ...log_context import WorkLogger, durable_logger, enter_work, leave_work
from ...models import JSON, FailureDetails
from ...registry import ActivityDefinition, Registry
from ...user_code import Raised, called, is_interrupt
from ..clock import Clock
from ..observer import NOBODY, AttemptInfo, Observer, RunningAttempt
from ..threads import for_a_thread
from .attempt import Attempt
from .call_options import options_of, timed_out
from .slots import Slot

SLOW_SECONDS = 5.0  # an activity that has lately taken longer is not run inline
QUICK_SECONDS = 0.05  # an activity that has lately taken less ends sooner here than its message reaches another host

logger = durable_logger("durable_core.activity")


class ActivityRunner:
    """``executor`` None: plain functions run on the loop's thread (simulations do that); ``threads``: how many it has.

    host: the id of this process, which results name. served: the work queues that this process is known to serve.
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
    ) -> None:
        self._hub = hub
        self._host = host
        self._registry = registry
        self._converter = converter
        self._clock = clock
        self._executor = executor
        self._observer = observer
        self._threads = Slot(threads)
        self._gates: dict[str, Slot] = {}
        self._took: dict[str, float] = {}  # seconds, the last time
        self._attempts: dict[str, set[Attempt]] = {}  # by instance: the attempts that can be cancelled
        self.served: set[str] = {""}

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
        is_inline: bool = False,
    ) -> tuple[TaskOutcome, Attempt] | None:
        """Run one attempt; every failure of the activity becomes part of the outcome. UnknownActivityError.

        until: the loop's time up to which the call may wait for a slot; returns None on timeout, without running it.
        again: a host that crashed may have started the same attempt before. is_inline: it runs in the turn of the call.
        """
        definition = self._registry.activity(call.name)
        loop = asyncio.get_running_loop()
        deadline = None
        if (at := options_of(call).get("deadline")) is not None:
            deadline = loop.time() + at - self._clock.now().timestamp()
            until = deadline if until is None else min(until, deadline)
        leave = await self._enter(definition, until)
        if leave is None and (deadline is None or loop.time() < deadline):
            return None
        attempt = self._attempt(definition, instance_id, execution_id, call, deadline)
        if leave is None:
            attempt.is_cancelled = True
            failure = timed_out(f"activity '{call.name}' was not started before its schedule_to_close", retriable=False)
            return self._outcome(attempt, failure), attempt
        try:
            details = await self._details(definition, attempt, again)
        except BaseException:  # the activity was not started; its message is delivered again
            leave()
            raise
        token = enter_work(attempt.work)
        try:
            followed = self._observer.begin(_info_of(attempt, is_inline)) if self._observer.is_on else None
            begun, started = self._clock.now(), loop.time()
            outcome = await self._outcome_of(definition, attempt, leave, details, followed)
            took = loop.time() - started
            outcome = replace(outcome, ran=Ran.of(begun, took, self._host))
            if followed is not None:
                followed.ended(outcome, took)
        finally:
            leave_work(token)
        await attempt.end(keep=outcome.failure is not None)
        return outcome, attempt

    # ------------------------------------------------------------------ slots

    async def _enter(self, definition: ActivityDefinition, until: float | None) -> Callable[[], None] | None:
        """Acquire a slot, waiting until ``until``. Returns the function that releases it; None on timeout."""
        if definition.is_async and definition.max_concurrency is None and definition.rate is None:
            return _nothing
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

    def _attempt(
        self, definition: ActivityDefinition, instance_id: str, execution_id: str, call: Call, deadline: float | None
    ) -> Attempt:
        timeout, silence = definition.timeout, definition.heartbeat_timeout
        return Attempt(
            instance_id,
            execution_id,
            call,
            converter=self._converter,
            heartbeats=self._hub.heartbeats,
            instances=self._hub.instances,
            timeout=options_of(call).get("timeout", None if timeout is None else timeout.total_seconds()),
            deadline=deadline,
            heartbeat_timeout=None if silence is None else silence.total_seconds(),
            begun=self._clock.now(),
            host=self._host,
        )

    async def _details(self, definition: ActivityDefinition, attempt: Attempt, again: bool) -> JSON:
        """The latest details of the previous attempt, if the activity takes details and there may have been one."""
        asks = definition.takes_context
        if asks and (definition.heartbeat_timeout is not None or attempt.call.attempt > 1 or again):
            return await attempt.last_details()
        return None

    async def _outcome_of(
        self,
        definition: ActivityDefinition,
        attempt: Attempt,
        leave: Callable[[], None],
        details: JSON,
        followed: RunningAttempt | None = None,
    ) -> TaskOutcome:
        call, loop = attempt.call, asyncio.get_running_loop()
        about = f"activity '{call.name}' ({definition.location})"
        started = loop.time()
        peers = self._attempts.setdefault(attempt.instance_id, set()) if definition.takes_context else set[Attempt]()
        peers.add(attempt)
        work: asyncio.Future[Any] | None = None
        try:
            try:
                arguments = stretch(Code(about), self._arguments, definition, attempt, details)
            except (InvalidInputError, SerializationError) as error:
                wrong = type(error)(f"the input of {about}: {error}")
                wrong.__cause__ = error
                return self._failed(attempt, wrong, retriable=False)
            if followed is None:
                work = self._begin(definition, arguments, leave)
            else:
                with followed.around():
                    work = self._begin(definition, arguments, leave)
            if attempt.is_limited and (late := await attempt.watch(work)) is not None:
                self._give_up(definition, attempt, work)
                return self._outcome(attempt, late)
            value = await work
            if isinstance(value, Raised):
                return self._failed(attempt, value.error)
            try:
                result = stretch(Code(about), self._converter.to_json, value, f"the result of {about}")
            except (SerializationError, PayloadTooLargeError) as error:  # another attempt would fail in the same way
                return self._failed(attempt, error, retriable=False)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or not task.cancelling():  # leaked by the activity: a client library's timeout, say
                return self._failed(attempt, error)
            attempt.abandon()  # the process ends
            if work is not None:
                work.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - every error of an activity is its result
            return self._failed(attempt, error)
        finally:
            if work is None:
                leave()
            self._took[call.name] = loop.time() - started
            peers.discard(attempt)
            if not self._attempts.get(attempt.instance_id, True):
                del self._attempts[attempt.instance_id]
        return TaskOutcome(call.generation, call.task_id, call.attempt, result)

    def _arguments(self, definition: ActivityDefinition, attempt: Attempt, details: JSON) -> list[Any]:
        arguments: list[Any] = []
        call = attempt.call
        if definition.takes_context:
            arguments.append(
                ActivityContext(
                    instance_id=attempt.instance_id,
                    execution_id=attempt.execution_id,
                    task_id=call.task_id,
                    attempt=call.attempt,
                    idempotency_key=f"{attempt.execution_id}-{call.generation}-{call.task_id}",
                    last_heartbeat=details,
                    logger=WorkLogger(logger, attempt.work),
                    listener=attempt,
                )
            )
        if definition.takes(call.input):
            arguments.append(self._converter.from_json(call.input, definition.input_type))
        return arguments

    def _begin(
        self, definition: ActivityDefinition, arguments: list[Any], leave: Callable[[], None]
    ) -> asyncio.Future[Any]:
        """Start the function. ``leave`` is called when it has really ended, however late."""
        loop = asyncio.get_running_loop()
        work: asyncio.Future[Any]
        if definition.is_async:
            work = loop.create_task(_call_async(definition, arguments))
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

    def _give_up(self, definition: ActivityDefinition, attempt: Attempt, work: asyncio.Future[Any]) -> None:
        """Cancel an attempt that has timed out; its result is ignored."""
        work.add_done_callback(partial(_late, attempt))
        if definition.is_async:
            work.cancel()
        else:
            logger.warning(
                "%s exceeded its time limit; its thread cannot be stopped and stays in use until the function returns",
                attempt,
            )

    def _failed(self, attempt: Attempt, error: BaseException, *, retriable: bool = True) -> TaskOutcome:
        retriable = retriable and not isinstance(error, CodeHangsError)  # each attempt would block the event loop again
        return self._outcome(attempt, FailureDetails.from_exception(error, retriable=retriable))

    def _outcome(self, attempt: Attempt, failure: FailureDetails) -> TaskOutcome:
        call = attempt.call
        logger.warning("%s failed: %s: %s", attempt, failure.type, failure.message, extra=attempt.work.fields())
        return TaskOutcome(call.generation, call.task_id, call.attempt, failure=failure)


def _info_of(attempt: Attempt, is_inline: bool) -> AttemptInfo:
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


async def _call_async(definition: ActivityDefinition, arguments: list[Any]) -> Any:
    try:
        with outside(f"activity '{definition.name}'"):
            return await in_stretches(definition.fn(*arguments), Code(f"activity '{definition.name}'"))
    except asyncio.CancelledError:  # perhaps a cancellation by the host, which the caller checks
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        return Raised(error)


def _late(attempt: Attempt, work: asyncio.Future[Any]) -> None:
    if not work.cancelled():
        error = work.exception()
        if error is None and isinstance(result := work.result(), Raised):
            error = result.error
        logger.info("%s ended after it had timed out; its result is ignored: %r", attempt, error)
