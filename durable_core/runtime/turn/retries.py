"""Decides about ended attempts: a result, a failure, or another attempt; and when."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, cast

from ...engine.events import (
    EntityCalled,
    Incoming,
    LockGranted,
    LockRequested,
    OperationAnswered,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
)
from ...engine.executor import OrchestrationExecutor, PendingTask
from ...engine.steps import Step
from ...hang_watch import Code, stretch
from ...hub.attempts import EndedAttempt, KeptAttempts, Ran, first_and_last
from ...hub.instance_row import Instance, RetryState
from ...hub.messages import TaskOutcome
from ...lazy_dataclass import dataclass
from ...log_context import durable_logger
from ...models import JSON, FailureDetails, RetryPolicy
from ...moments import after
from ...registry import Registry
from ...user_code import is_interrupt
from ..activities.call_options import deadline_of_pending, definition_here, timed_out_at_all
from .freshness import is_of_this_generation

logger = durable_logger("durable_core.runtime")


ATTEMPTS_OF_RUN = 1000
"""Attempts of a task that a rewind has undone are counted from this times the number of the rewind, so that no late
failure of an earlier attempt is taken for one of theirs."""


def is_retry(attempt: int) -> bool:
    """Whether another attempt has failed before this one; a rewind begins anew."""
    return attempt % ATTEMPTS_OF_RUN > 1


class Told(NamedTuple):
    """An outcome as it was delivered. rewinds: how often the execution was rewound when its attempt was sent."""

    outcome: TaskOutcome
    redelivered: bool
    rewinds: int = 0


@dataclass(slots=True)
class Results:
    """The results of outcomes: events to apply, next attempts, and tasks whose next attempt must be sent.

    kept: the ended attempts of open tasks, for people to see.
    """

    kept: KeptAttempts
    events: list[Incoming]
    retries: dict[int, RetryState]
    send: set[int]
    changed: bool = False

    def tried(self, outcome: TaskOutcome) -> None:
        """An attempt has failed, and another follows."""
        self.kept.add(outcome.task_id, EndedAttempt.of(outcome.attempt, outcome.ran, outcome.failure))

    def end(self, task_id: int) -> None:
        """Record the end of a task: it is not tried again."""
        self.send.discard(task_id)
        self.kept.drop(task_id)
        if self.retries.pop(task_id, None) is not None:
            self.changed = True


class RetryDecider:
    """Decides, for each outcome, between a result, another attempt, and nothing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def decide(
        self,
        outcomes: Iterable[Told],
        instance: Instance,
        live: OrchestrationExecutor,
        now: datetime,
        unit_random: Callable[[], float],
        kept: KeptAttempts,
        *,
        is_deadline: bool = False,
    ) -> Results:
        """Decide about these outcomes. ``unit_random``: a number for the jitter of each delay.

        kept: the ended attempts that the instance row holds. is_deadline: also end calls that are overdue.
        """
        results = Results(kept, [], dict(instance.retries), set())
        ended: set[int] = set()
        for outcome, redelivered, rewinds in outcomes:
            task_id = outcome.task_id
            open_task = _answered(live, outcome)
            if not is_of_this_generation(outcome, instance) or open_task is None or task_id in ended:
                continue
            if not live.is_of_this_run(task_id, rewinds, is_failure=outcome.failure is not None):
                continue
            state = results.retries.get(task_id)
            tries = _tries_in_run(outcome, live) if live.undone else outcome.attempt
            expected = 1 if state is None else state.attempt
            if state is not None:
                due = state.next_try
            else:
                due = open_task.since if type(open_task) is PendingTask else _since(open_task, live, now)
            if outcome.child:  # its parent alone knows when it was started
                outcome = replace(outcome, ran=Ran.of(due, (now - due).total_seconds(), ""))
            if outcome.failure is None:
                results.events.append(_end(open_task, outcome, due, kept, is_first=tries == 1))
            elif outcome.attempt < expected:
                if redelivered:  # recorded before; it is unknown whether the next attempt was sent
                    results.send.add(task_id)
                continue
            elif (policy := self._policy(open_task)) and may_retry(policy, outcome.failure, tries, _name_of(open_task)):
                first = _since(open_task, live, now) if state is None else state.first_try
                following = after(now, policy.delay_after(tries, unit_random()))
                limit = policy.total_timeout
                deadline = None if isinstance(open_task, Step) else deadline_of_pending(self._registry, open_task)
                if (limit is None or following - first <= limit) and (deadline is None or following < deadline):
                    results.retries[task_id] = RetryState(outcome.attempt + 1, first, following)
                    results.tried(outcome)
                    results.send.add(task_id)
                    results.changed = True
                    continue
                results.events.append(_end(open_task, outcome, due, kept, is_first=tries == 1))
            else:
                results.events.append(_end(open_task, outcome, due, kept, is_first=tries == 1))
            ended.add(task_id)
            if results.send or results.retries or kept.is_used:
                results.end(task_id)
        if is_deadline:
            self._fail_overdue(results, live, now, ended)
        return results

    def _fail_overdue(
        self, results: Results, live: OrchestrationExecutor, now: datetime, ended: Collection[int]
    ) -> None:
        for task_id, pending in live.pending.items():
            deadline = deadline_of_pending(self._registry, pending)
            if deadline is not None and deadline <= now and task_id not in ended:
                event = cast("TaskScheduled", pending.event)
                failure = timed_out_at_all(event, pending.since, deadline)
                attempt, tries = _tries(results.kept.of(task_id))
                results.events.append(TaskFailed(task_id, failure, None, attempt, tries))
                results.end(task_id)

    def _policy(self, open_task: PendingTask | Step) -> RetryPolicy | None:
        if open_task.retry is not None or isinstance(open_task, Step):
            return open_task.retry
        if not isinstance(open_task.event, TaskScheduled):
            return None
        definition = definition_here(self._registry, open_task.event.name)
        return None if definition is None else definition.retry


def _tries_in_run(outcome: TaskOutcome, live: OrchestrationExecutor) -> int:
    """The number of an attempt for the retry policy, which counts anew after a rewind."""
    before = ATTEMPTS_OF_RUN * live.undone.get(outcome.task_id, 0)
    return outcome.attempt - before if outcome.attempt > before else outcome.attempt


def _name_of(open_task: PendingTask | Step) -> str:
    if isinstance(open_task, Step):
        return open_task.name
    return open_task.event.name if isinstance(open_task.event, TaskScheduled | SubOrchestrationCreated) else ""


def _answered(live: OrchestrationExecutor, outcome: TaskOutcome) -> PendingTask | Step | None:
    """The open task of an outcome. Timers have no outcomes."""
    if outcome.step:
        step = live.steps.get(outcome.task_id)
        return step if step is not None and step.name == outcome.step else None
    pending = live.pending.get(outcome.task_id)
    return None if pending is None or isinstance(pending.event, TimerCreated) else pending


def _end(
    open_task: PendingTask | Step, outcome: TaskOutcome, due: datetime, kept: KeptAttempts, *, is_first: bool
) -> Incoming:
    """The event that ends the task with this outcome. ``due``: when the attempt was to begin.

    is_first: it is the first attempt, or the first after a rewind.
    """
    task_id, failure = outcome.task_id, outcome.failure
    attempt: int = 1
    tries: JSON = None
    if kept.is_used or not is_first:
        attempts = kept.of(task_id)
        if attempts or not is_first:
            attempts = (*attempts, EndedAttempt.of(outcome.attempt, outcome.ran, None))
        attempt, tries = _tries(attempts)
    timing = None if outcome.ran is None else outcome.ran.timing(due)
    if isinstance(open_task, Step):
        return StepCompleted(task_id, open_task.name, outcome.result, failure, open_task.line, timing, attempt, tries)
    if isinstance(open_task.event, EntityCalled):
        return OperationAnswered(task_id, outcome.result, failure)
    if isinstance(open_task.event, LockRequested):
        return LockGranted(task_id)
    if isinstance(open_task.event, SubOrchestrationCreated):
        child = SubOrchestrationCompleted(task_id, outcome.result, attempt, tries)
        return child if failure is None else SubOrchestrationFailed(task_id, failure, attempt, tries)
    if failure is None:
        return TaskCompleted(task_id, outcome.result, timing, attempt, tries, outcome.waits)
    return TaskFailed(task_id, failure, timing, attempt, tries)


def _tries(attempts: Sequence[EndedAttempt]) -> tuple[int, JSON]:
    """The number of the last attempt, and the attempts as an event holds them; None for a single one."""
    if not attempts:
        return 1, None
    return attempts[-1].number, [each.to_json() for each in first_and_last(attempts)]


def may_retry(policy: RetryPolicy, failure: FailureDetails, attempt: int, name: str) -> bool:
    """Whether the policy allows another attempt. If the user's ``retry_if`` raises an error, it does not."""
    try:
        return stretch(Code(f"retry_if of '{name}'"), policy.allows, failure, attempt)
    except BaseException as error:  # the user's code; the failure of the attempt is what counts
        if is_interrupt(error):
            raise
        logger.exception("retry_if of '%s' raised on %s: not tried again", name, failure.type)
        return False


def _since(open_task: PendingTask | Step, live: OrchestrationExecutor, now: datetime) -> datetime:
    """When the task was called: the time of its commit."""
    if isinstance(open_task, PendingTask):
        return open_task.since
    return live.history[open_task.born].timestamp if open_task.born < len(live.history) else now
