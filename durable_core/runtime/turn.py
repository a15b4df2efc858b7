"""The thinking part of a turn, without IO: whether the warm state is current, and which events a delivery brings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from ..engine.events import (
    ExecutionCompleted,
    Incoming,
    PatchMarked,
    Segment,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCanceled,
    TimerCreated,
)
from ..engine.replay import LiveOrchestration, PendingTask, Turn
from ..engine.steps import Step
from ..hang_watch import Code, stretch
from ..hub.instance_row import Instance, RetryState
from ..hub.messages import ControlMessage, Nudge, TaskOutcome
from ..models import FailureDetails, RetryPolicy
from ..moments import after, from_epoch
from ..registry import Registry
from ..user_code import is_interrupt
from .delivery import Delivery
from .limits import deadline_of_pending, definition_here, timed_out_at_all

logger = logging.getLogger("durable_core.runtime")

_TO_NOBODY = frozenset({ExecutionCompleted, PatchMarked, TimerCanceled})


def owes_only_the_catalogue(instance: Instance, live: LiveOrchestration, turn: Turn) -> bool:
    """Whether this turn ends the instance, and nobody is to hear of anything it decided: not even a parent."""
    return (
        isinstance(live.completion, ExecutionCompleted)
        and instance.parent is None
        and all(type(event) in _TO_NOBODY for event in turn.outgoing)
    )


def scheduled_in(segments: Iterable[Segment], tasks: Collection[int]) -> list[int]:
    """The commits that scheduled these tasks."""
    return [
        segment.seq
        for segment in segments
        for event in segment.events
        if isinstance(event, TaskScheduled | SubOrchestrationCreated) and event.task_id in tasks
    ]


def brings_unknown(live: LiveOrchestration, instance: Instance, batch: Sequence[Delivery]) -> bool:
    """Whether a delivery tells of something the warm state has never heard of, so that it must be loaded (rule R1)."""
    for delivery in batch:
        if delivery.message.execution_id != instance.execution_id:
            return True
        for generation, task_id in delivery.tasks:
            if generation > instance.generation:
                return True
            if generation == instance.generation and live.knows(task_id) == "unknown":
                return True
    return False


def needs_a_look(live: LiveOrchestration, batch: Sequence[Delivery]) -> bool:
    """Whether the warm state must be compared with the row before it is believed (rule R2).

    For bare doorbells; for redispatches, which are about commits that others may have made; and for nudges that are
    about the next attempt at a task: how far its retries have come is no event, another host may know better.
    """
    for delivery in batch:
        if delivery.is_door or delivery.message.after is not None:
            return True
        for nudge in delivery.message.nudges:
            pending = live.pending.get(nudge.task_id)
            is_call = pending is not None and not isinstance(pending.event, TimerCreated)
            if is_call or nudge.task_id in live.steps:
                return True
    return False


def must_load_cold(batch: Sequence[Delivery]) -> bool:
    """Whether what is warm must not be believed: a redelivered message may be about commits, made for it by a host
    that died of them, which the warm state has never seen (rule R5)."""
    return any(delivery.redelivered for delivery in batch)


def is_stale(instance: Instance, etag: str | None) -> bool:
    """Whether the row has moved on since the warm state was made of it (rule R2)."""
    return instance.etag != etag


def is_of_this_execution(message: ControlMessage, instance: Instance) -> bool:
    """Whether what a message brings may be told to this life of the instance (rule R8)."""
    return message.execution_id == instance.execution_id


def is_of_this_generation(told: TaskOutcome | Nudge, instance: Instance) -> bool:
    """The same, within an execution: task ids begin anew with each generation (rule R8)."""
    return told.generation == instance.generation


@dataclass(slots=True)
class Results:
    """What outcomes amount to: events to apply, retries to come, and attempts whose retry must be sent again."""

    events: list[Incoming] = field(default_factory=lambda: [])
    retries: dict[int, RetryState] = field(default_factory=lambda: {})
    send: set[int] = field(default_factory=lambda: set())
    changed: bool = False

    def end(self, task_id: int) -> None:
        """The task is not tried again."""
        self.send.discard(task_id)
        if self.retries.pop(task_id, None) is not None:
            self.changed = True


class Judge:
    """Decides, for each outcome, between a result, another attempt, and nothing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def judge(
        self,
        outcomes: Iterable[tuple[TaskOutcome, bool]],
        instance: Instance,
        live: LiveOrchestration,
        now: datetime,
        unit_random: Callable[[], float],
        *,
        is_deadline: bool = False,
    ) -> Results:
        """``outcomes``: each with whether its message was redelivered. ``unit_random``: for the jitter of each.

        is_deadline: look for overdue calls, too.
        """
        results = Results(retries=dict(instance.retries))
        ended: set[int] = set()
        for outcome, redelivered in outcomes:
            task_id = outcome.task_id
            open_task = _answered(live, outcome)
            if not is_of_this_generation(outcome, instance) or open_task is None or task_id in ended:
                continue
            state = results.retries.get(task_id)
            expected = 1 if state is None else state.attempt
            if outcome.failure is None:
                results.events.append(_end(open_task, task_id, outcome, None))
            elif outcome.attempt < expected:
                if redelivered:  # recorded before; whether its successor was sent nobody knows
                    results.send.add(task_id)
                continue
            elif (policy := self._policy(open_task)) and may_retry(
                policy, outcome.failure, outcome.attempt, _name_of(open_task)
            ):
                first = _since(open_task, live, now) if state is None else state.first_try
                following = after(now, policy.delay_after(outcome.attempt, unit_random()))
                limit = policy.total_timeout
                deadline = None if isinstance(open_task, Step) else deadline_of_pending(self._registry, open_task)
                if (limit is None or following - first <= limit) and (deadline is None or following < deadline):
                    results.retries[task_id] = RetryState(outcome.attempt + 1, first, following)
                    results.send.add(task_id)
                    results.changed = True
                    continue
                results.events.append(_end(open_task, task_id, outcome, outcome.failure))
            else:
                results.events.append(_end(open_task, task_id, outcome, outcome.failure))
            ended.add(task_id)
            results.end(task_id)
        if is_deadline:
            self._fail_overdue(results, live, now, ended)
        return results

    def _fail_overdue(self, results: Results, live: LiveOrchestration, now: datetime, ended: Collection[int]) -> None:
        for task_id, pending in live.pending.items():
            deadline = deadline_of_pending(self._registry, pending)
            if deadline is not None and deadline <= now and task_id not in ended:
                event = cast("TaskScheduled", pending.event)
                results.events.append(TaskFailed(task_id, timed_out_at_all(event, pending.since, deadline)))
                results.end(task_id)

    def _policy(self, open_task: PendingTask | Step) -> RetryPolicy | None:
        if open_task.retry is not None or isinstance(open_task, Step):
            return open_task.retry
        if not isinstance(open_task.event, TaskScheduled):
            return None
        definition = definition_here(self._registry, open_task.event.name)
        return None if definition is None else definition.retry


def _name_of(open_task: PendingTask | Step) -> str:
    if isinstance(open_task, Step):
        return open_task.name
    return "" if isinstance(open_task.event, TimerCreated) else open_task.event.name


def _answered(live: LiveOrchestration, outcome: TaskOutcome) -> PendingTask | Step | None:
    """The open task that an outcome is of. Timers have none."""
    if outcome.step:
        step = live.steps.get(outcome.task_id)
        return step if step is not None and step.name == outcome.step else None
    pending = live.pending.get(outcome.task_id)
    return None if pending is None or isinstance(pending.event, TimerCreated) else pending


def _end(open_task: PendingTask | Step, task_id: int, outcome: TaskOutcome, failure: FailureDetails | None) -> Incoming:
    """The event that ends a task so."""
    if isinstance(open_task, Step):
        return StepCompleted(task_id, open_task.name, outcome.result, failure, open_task.line)
    if isinstance(open_task.event, SubOrchestrationCreated):
        child = SubOrchestrationCompleted(task_id, outcome.result)
        return child if failure is None else SubOrchestrationFailed(task_id, failure)
    return TaskCompleted(task_id, outcome.result) if failure is None else TaskFailed(task_id, failure)


def may_retry(policy: RetryPolicy, failure: FailureDetails, attempt: int, name: str) -> bool:
    """What the policy says; a ``retry_if`` of the user's that raises says no."""
    try:
        return stretch(Code(f"retry_if of '{name}'"), policy.allows, failure, attempt)
    except BaseException as error:  # the user's code; the failure that it was asked about is what counts
        if is_interrupt(error):
            raise
        logger.exception("retry_if of '%s' raised on %s: not tried again", name, failure.type)
        return False


def _since(open_task: PendingTask | Step, live: LiveOrchestration, now: datetime) -> datetime:
    """When the task was called: the time of its commit."""
    if isinstance(open_task, PendingTask):
        return open_task.since
    return live.history[open_task.born].timestamp if open_task.born < len(live.history) else now


@dataclass(slots=True)
class Nudged:
    """What nudges ask for beyond timers that are due: attempts to send, and tasks to look at again later.

    is_deadline: calls may be overdue.
    """

    due_retries: set[int] = field(default_factory=lambda: set())
    early: dict[int, datetime] = field(default_factory=lambda: {})
    is_deadline: bool = False
    early_deadlines: dict[datetime, int] = field(default_factory=lambda: {})


def nudged(live: LiveOrchestration, instance: Instance, batch: Sequence[Delivery], now: datetime) -> Nudged:
    """Nudges that came before their time by this host's clock are armed again; attempts that are due are sent."""
    found = Nudged()
    for delivery in batch:
        if not delivery.seen and not delivery.message.nudges:
            continue
        found.due_retries |= {  # an attempt recorded as failed, by somebody who may have died before sending the next
            task_id
            for generation, task_id in delivery.seen
            if generation == instance.generation and task_id in live.pending and task_id in instance.retries
        }
        for nudge in delivery.message.nudges:
            if not is_of_this_generation(nudge, instance):
                continue
            if nudge.deadline is not None:  # of the task that it names, and of others that were called with it
                if (due := from_epoch(nudge.deadline)) > now:
                    found.early_deadlines[due] = nudge.task_id
                else:
                    found.is_deadline = True
                continue
            pending = live.pending.get(nudge.task_id)
            if pending is None:
                continue
            if isinstance(pending.event, TimerCreated):
                due = pending.event.fire_at
            elif (state := instance.retries.get(nudge.task_id)) is not None:
                due = state.next_try
                if due <= now:
                    found.due_retries.add(nudge.task_id)
            else:
                continue
            if due > now:
                found.early[nudge.task_id] = due
    return found
