"""Inline steps (``ctx.run``): functions that run in the process whose own turn called them, outside of the actor.

The history holds only the end of a step. While it runs, only the messages of its turn lead to it: their callers are
kept until its result is committed (rule R17). If this process dies, the messages are redelivered; the host that
receives them loads the instance, finds the step open, and runs it (rule R5). A host that replays the history for
another reason does not run it.

A step that cannot run here (the time of the turn is used up, too many run inline) is passed on by a control message
that names it; so is a step whose next attempt is due later. Retries are decided and recorded like those of activities.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import field, replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from ...converter import Converter
from ...engine.code_scope import outside
from ...engine.executor import OrchestrationExecutor
from ...engine.steps import Step
from ...errors import CodeHangsError, OrchestratorCodeError, PayloadTooLargeError, SerializationError
from ...hang_watch import Code, in_stretches, stretch
from ...hub.attempts import Ran
from ...hub.instance_row import Instance
from ...hub.messages import ControlMessage, Reminder, TaskOutcome
from ...lazy_dataclass import dataclass
from ...log_context import Work, durable_logger, working_on
from ...models import FailureDetails, type_name
from ...user_code import Raised, called, is_interrupt, text_of
from ..at_once import run_some_at_once
from ..observer import NOBODY, AttemptInfo, Observer
from ..threads import for_a_thread
from .cached import CachedOrchestrator
from .decision import bare_wake_up
from .delivery import Delivery, Lease, longest, share_callers, take_callers
from .inline_activity import MAX_INLINE, InlineKey
from .new_events import Gathered
from .process_tasks import ProcessTasks
from .redispatch import Redispatch
from .services import Services

SHORT_WAIT = timedelta(seconds=1)  # the process waits for a next attempt that is due this soon
T = TypeVar("T")

TOGETHER = 0.05  # seconds: results of steps that end within it are committed together

logger = durable_logger("durable_core.step")


@dataclass(eq=False, slots=True)
class _Running:
    """A running step. seq: the commit that called it. callers: the callers that wait until its result is committed.
    delivery: its result, until it is committed."""

    seq: int
    callers: list[asyncio.Future[None]]
    delivery: Delivery | None = None

    def add(self, callers: Sequence[asyncio.Future[None]]) -> None:
        (self.callers if self.delivery is None else self.delivery.callers).extend(callers)


@dataclass(slots=True)
class _Due:
    """The steps to run or to pass on after a turn."""

    here: list[Step] = field(default_factory=lambda: [])
    running: list[_Running] = field(default_factory=lambda: [])
    elsewhere: list[Step] = field(default_factory=lambda: [])
    later: list[Step] = field(default_factory=lambda: [])


class Steps:
    """The inline steps of one instance. ``running``: those that run, and those whose result is not committed."""

    __slots__ = ("_deliver", "_services", "_tasks", "running")

    def __init__(self, services: Services, tasks: ProcessTasks, deliver: Callable[[Delivery], None]) -> None:
        self._services = services
        self._tasks = tasks
        self._deliver = deliver
        self.running: dict[InlineKey, _Running] = {}

    def open_since(self, batch: Sequence[Delivery]) -> list[int]:
        """Commits whose steps are running, except those whose result is in this batch."""
        return [step.seq for step in self.running.values() if step.delivery is None or step.delivery not in batch]

    def forget(self, batch: Sequence[Delivery]) -> None:
        """Note that the results in this batch have been handled."""
        for key in [key for key, step in self.running.items() if step.delivery in batch]:
            del self.running[key]

    async def go_on(
        self,
        warm: CachedOrchestrator,
        before: Instance,
        gathered: Gathered,
        redispatch: Redispatch,
        batch: Sequence[Delivery],
    ) -> bool:
        """Run the steps that this turn called, after its dispatch. Returns whether callers of the batch wait for one.

        before: the row that the turn began with. redispatch: steps called by its commits are run again.
        """
        if not warm.live.steps or warm.live.is_held:
            return False
        due = self._due(warm, before, gathered, redispatch, batch)
        instance, generation, hub = warm.instance, before.generation, self._services.hub
        await run_some_at_once(
            [hub.send(_reminder_message(instance, Reminder(generation, step.task_id))) for step in due.elsewhere]
            + [
                self._services.dispatcher.arm(
                    instance, generation, step.task_id, instance.retries[step.task_id].next_try
                )
                for step in due.later
            ]
        )
        waiting = len(due.here) + len(due.running)
        if not waiting:
            return False
        lease = longest(batch)
        shares = share_callers(take_callers(batch), waiting)
        for running, callers in zip(due.running, shares[len(due.here) :], strict=True):
            running.add(callers)
        if due.here:
            self._start(warm.instance, before, due.here, shares[: len(due.here)], lease, gathered)
        return True

    def _due(
        self,
        warm: CachedOrchestrator,
        before: Instance,
        gathered: Gathered,
        redispatch: Redispatch,
        batch: Sequence[Delivery],
    ) -> _Due:
        due = _Due()
        named = {
            reminder.task_id
            for delivery in batch
            for reminder in delivery.message.reminders
            if reminder.generation == before.generation and delivery.message.execution_id == before.execution_id
        }
        room = MAX_INLINE - self._tasks.inline_running
        late = asyncio.get_running_loop().time() > longest(batch).budget
        for step in warm.live.steps.values():
            seq = before.first + step.born
            is_named = step.task_id in named or is_called_again(warm.live, before, seq, redispatch)
            if not (seq == before.seq or redispatch.covers(seq) or is_named or step.task_id in gathered.results.send):
                continue  # called by another turn, whose process runs it
            running = self.running.get((before.execution_id, before.generation, step.task_id))
            state = warm.instance.retries.get(step.task_id)
            if running is not None and (running.delivery is None or running.delivery not in batch):
                due.running.append(running)
            elif state is not None and state.next_try - gathered.now > SHORT_WAIT:
                due.later.append(step)
            elif late or (
                room <= 0 and not is_named
            ):  # a step that a message named is not passed on because too many run
                due.elsewhere.append(step)
            else:
                room -= 1
                due.here.append(step)
        return due

    def _start(
        self,
        instance: Instance,
        before: Instance,
        steps: Sequence[Step],
        shares: Sequence[list[asyncio.Future[None]]],
        lease: Lease,
        gathered: Gathered,
    ) -> None:
        keys: dict[asyncio.Task[TaskOutcome], InlineKey] = {}
        for step, callers in zip(steps, shares, strict=True):
            key = (before.execution_id, before.generation, step.task_id)
            self.running[key] = _Running(before.first + step.born, callers)
            state = instance.retries.get(step.task_id)
            attempt, wait = (1, timedelta(0)) if state is None else (state.attempt, state.next_try - gathered.now)
            work = self._run_one(instance, step, before.generation, attempt, max(wait.total_seconds(), 0.0))
            self._tasks.inline_running += 1
            keys[asyncio.get_running_loop().create_task(work)] = key
        self._tasks.spawn(self._run(instance, keys, lease))

    async def _run(self, instance: Instance, keys: dict[asyncio.Task[TaskOutcome], InlineKey], lease: Lease) -> None:
        """Deliver the results as the steps end, several together where they end together."""
        left = set(keys)
        try:
            while left:
                done = await ended_together(left)
                left -= done
                self._report(instance, [(keys[task], task.result()) for task in done], lease)
        finally:
            for task, key in keys.items():
                running = self.running.get(key)
                if running is not None and running.delivery is None:  # this process is being stopped
                    task.cancel()
                    del self.running[key]
                    for caller in running.callers:
                        caller.cancel()

    def _report(self, instance: Instance, ended: Sequence[tuple[InlineKey, TaskOutcome]], lease: Lease) -> None:
        outcomes = tuple(outcome for _, outcome in sorted(ended, key=lambda pair: pair[0]))
        message = replace(bare_wake_up(instance), outcomes=outcomes)
        delivery = Delivery(message=message, lease=lease)
        for key, _ in ended:
            running = self.running[key]
            running.delivery = delivery
            delivery.callers.extend(running.callers)
        self._deliver(delivery)

    async def _run_one(self, instance: Instance, step: Step, generation: int, attempt: int, wait: float) -> TaskOutcome:
        try:
            if wait:
                await asyncio.sleep(wait)
            services, loop = self._services, asyncio.get_running_loop()
            info = AttemptInfo(
                instance_id=instance.instance_id,
                execution_id=instance.execution_id,
                generation=generation,
                task_id=step.task_id,
                attempt=attempt,
                name=step.name,
                is_step=True,
                is_inline=True,
                line=step.line,
            )
            begun, started = services.clock.now(), loop.time()
            outcome = await run_step(step, info, services.converter, services.executor, services.observer)
            return replace(outcome, ran=Ran.of(begun, loop.time() - started, services.host))
        finally:
            self._tasks.inline_running -= 1


async def run_step(
    step: Step, info: AttemptInfo, converter: Converter, executor: Executor | None, observer: Observer = NOBODY
) -> TaskOutcome:
    """Run a step once; whatever it raises becomes part of the outcome. ``executor`` None: on the loop's thread."""
    loop = asyncio.get_running_loop()
    started, followed = loop.time(), observer.begin(info)
    with (
        working_on(Work(info.instance_id, info.execution_id, info.name, info.task_id, info.attempt)),
        followed.around(),
    ):
        outcome = await _outcome_of(step, info, converter, executor)
    followed.ended(outcome, loop.time() - started)
    return outcome


async def _outcome_of(step: Step, info: AttemptInfo, converter: Converter, executor: Executor | None) -> TaskOutcome:
    outcome = partial(TaskOutcome, info.generation, step.task_id, info.attempt, step=step.name)
    try:
        about = f"the result of step '{step.name}' ({step.line})"
        value = await _call(step, executor)
        return outcome(stretch(Code(about), converter.to_json, value, about))
    except (
        SerializationError,
        PayloadTooLargeError,
        CodeHangsError,
    ) as error:  # it would fail in the same way at every try
        return outcome(failure=FailureDetails.from_exception(error, retriable=False))
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise  # this process is being stopped
        return outcome(failure=FailureDetails.from_exception(error))  # something inside the step was cancelled
    except BaseException as error:  # any error of a step is its result
        if is_interrupt(error):
            raise
        logger.warning(
            "step '%s' of instance '%s' (execution %s, task %d, attempt %d) failed: %s: %s",
            step.name,
            info.instance_id,
            info.execution_id,
            step.task_id,
            info.attempt,
            type_name(type(error)),
            text_of(error),
        )
        misused = isinstance(error, OrchestratorCodeError)
        return outcome(failure=FailureDetails.from_exception(error, retriable=not misused))


async def _call(step: Step, executor: Executor | None) -> Any:
    with outside(f"step '{step.name}'"):
        if executor is None or inspect.iscoroutinefunction(step.fn):
            value = step.fn(*step.args)
        else:
            work = for_a_thread(called, step.fn, *step.args)
            value = await asyncio.get_running_loop().run_in_executor(executor, work)
            if isinstance(value, Raised):
                raise value.error
        if inspect.iscoroutine(value):
            return await in_stretches(value, Code(f"step '{step.name}' ({step.line})"))
        return await value if inspect.isawaitable(value) else value


async def ended_together(running: Collection[asyncio.Task[T]]) -> set[asyncio.Task[T]]:
    """The first tasks to end, and those that end shortly after them."""
    done, rest = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    if rest:
        more, _ = await asyncio.wait(rest, timeout=TOGETHER)
        done |= more
    return done


def is_called_again(live: OrchestrationExecutor, before: Instance, seq: int, redispatch: Redispatch) -> bool:
    """Whether this turn dispatches again what is open at a rewind after the commit that called a step: no message
    names it (rule R24)."""
    if live.again_at is None:
        return False
    called_again = before.first + live.again_at
    return seq < called_again and (called_again == before.seq or redispatch.covers(called_again))


def _reminder_message(instance: Instance, reminder: Reminder) -> ControlMessage:
    return replace(bare_wake_up(instance), reminders=(reminder,))
