"""Inline activities: a lone activity runs in the turn that scheduled it, so that a step of a chain costs one write.

The activity runs outside of the actor, which continues to commit events and management requests. The callers whose
commit led to it are kept until its result is committed (rule R17): if this process dies, their messages are
redelivered.

A host that has run a lone call from a work queue runs the lone calls that follow in the same way, a few in a row, also
those that do not run inline elsewhere: in the slot of the message that it has, which does the service of theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from ...definitions import ActivityDefinition
from ...engine.events import TaskScheduled
from ...engine.executor import OrchestrationExecutor, Turn
from ...hub.instance_row import Instance
from ...hub.messages import Call, WorkMessage
from ...models import JSON
from ..activities.attempt import Attempt
from ..activities.call_options import call_of, definition_here, to_watch
from .decision import Decision, Dispatch, bare_wake_up
from .delivery import Delivery, Lease, take_callers
from .process_tasks import ProcessTasks
from .services import Services

MAX_INLINE = 8  # running inline in one process; more go to the work queue, where other hosts can help
SHORT = 64  # commits of a generation that are quickly read and replayed by the host that runs a lone call
AT_WORK = 4  # lone calls in a row by the host that received the first; then another host may go on
MAX_LIGHT = 64  # the same for activities that occupy no thread, or take less time than a message to another host

InlineKey = tuple[str, int, int]
"""Execution, generation, task."""

InlineStep = Coroutine[Any, Any, "Delivery | None"]
"""A coroutine that runs an activity and returns its result, to be delivered."""


def lone_activity(turn: Turn, live: OrchestrationExecutor) -> TaskScheduled | None:
    """The activity that this turn scheduled, if no other task is open. An activity that was open before the turn may
    run on the host that scheduled it (rule R4)."""
    if len(live.pending) != 1 or live.steps:
        return None
    scheduled: TaskScheduled | None = None
    for event in turn.outgoing:
        if isinstance(event, TaskScheduled):
            if scheduled is not None:
                return None
            scheduled = event
    return scheduled


def is_lone(live: OrchestrationExecutor, decisions: Sequence[Decision]) -> bool:
    """Whether these decisions are one call of an activity, which is all that a short instance waits for. The host that
    runs it may run the next turn, too: no other message can be on its way to the instance but those from outside."""
    return (
        len(decisions) == 1
        and isinstance(decisions[0].event, TaskScheduled)
        and len(live.pending) == 1
        and not live.steps
        and not live.suspended
        and len(live.history) <= SHORT
    )


class InlineSteps:
    """The inline activities of one instance.

    running: each with the commit that scheduled it, until its result is handled: so long that commit counts as not
        dispatched.
    """

    __slots__ = ("_services", "_tasks", "running")

    def __init__(self, services: Services, tasks: ProcessTasks) -> None:
        self._services = services
        self._tasks = tasks
        self.running: dict[InlineKey | None, int] = {}

    def open_since(self, batch: Sequence[Delivery]) -> list[int]:
        """Commits whose inline activity is running, except those whose result is in this batch."""
        left = self.running.copy()
        for delivery in batch:
            left.pop(delivery.inline_key, None)
        return list(left.values())

    def candidate(
        self, event: TaskScheduled, live: OrchestrationExecutor, batch: Sequence[Delivery], lease: Lease
    ) -> ActivityDefinition | None:
        """The activity of a lone call if it may run inline now; None if it must go to the work queue (rule R4)."""
        services = self._services
        if live.completion is not None or live.suspended:
            return None
        definition = definition_here(services.registry, event.name)
        if definition is None:
            return None
        options: dict[str, JSON] = event.options or {}
        asked = options.get("inline", definition.inline)
        if not (services.settings.inline_default if asked is None else asked) and not _follows_at_work(
            definition, live, batch
        ):
            return None
        most = MAX_LIGHT if definition.is_async or services.runner.is_quick(definition) else MAX_INLINE
        if self._tasks.inline_running >= most or not services.runner.runs_now(definition):
            return None
        for delivery in batch:
            if delivery.redelivered:
                return None
        return None if asyncio.get_running_loop().time() > lease.budget else definition

    def start(
        self,
        instance: Instance,
        event: TaskScheduled,
        definition: ActivityDefinition,
        seq: int,
        batch: Sequence[Delivery],
        lease: Lease,
    ) -> InlineStep:
        """The coroutine that runs the activity, scheduled by commit ``seq``. It must be run: the callers of the batch
        wait for its result.

        It returns that result, to be delivered; None if it could not run here and was sent to the work queue.
        """
        key = (instance.execution_id, instance.generation, event.task_id)
        self.running[key] = seq
        self._tasks.inline_running += 1
        message, callers = bare_wake_up(instance), take_callers(batch)
        delivery = Delivery(message=message, lease=lease, callers=callers, inline_key=key)
        if len(batch) == 1 and (at_work := batch[0].at_work) is not None:
            delivery.at_work = at_work._replace(left=at_work.left - 1)
        call = call_of(definition, event, instance.generation, 1, instance.updated)
        return self._run(instance, event, definition, call, delivery)

    async def _run(
        self, instance: Instance, event: TaskScheduled, definition: ActivityDefinition, call: Call, delivery: Delivery
    ) -> Delivery | None:
        message, services = delivery.message, self._services
        try:
            ran = await services.runner.run(
                message.instance_id,
                message.execution_id,
                call,
                delivery.lease.budget,
                inline=definition,
                leave_at=delivery.lease.leave,
                headers=services.hub.instances.headers(instance) if instance.headers else "",
            )
            if not isinstance(ran, tuple):
                if ran is None or ran.seen is None:  # no slot is free any more, or too little time is left
                    decision = Decision(event, instance.updated)
                    dispatch = Dispatch(decisions=[decision], retries={}, generation=instance.generation)
                    await services.dispatcher.dispatch(instance, dispatch)
                else:  # another run of a journaled activity leads (rule J5)
                    await self._look_after(instance, call, ran.seen)
                self.running.pop(delivery.inline_key, None)
                delivery.release()
                return None
        except BaseException as error:  # the process ends; not forgotten, so that no commit counts it as dispatched
            delivery.fail(error)
            raise
        finally:
            self._tasks.inline_running -= 1
        outcome, attempt = ran
        message.outcomes = (outcome,)
        if attempt.has_row and outcome.failure is None:
            recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            delivery.callers.append(recorded)
            self._tasks.spawn(_drop_when(recorded, attempt))
        return delivery

    async def _look_after(self, instance: Instance, call: Call, seen: int) -> None:
        """Send a message that looks later whether the run that leads still works."""
        watching, delay = to_watch(call, seen)
        definition = definition_here(self._services.registry, call.name)
        message = WorkMessage(
            instance_id=instance.instance_id,
            execution_id=instance.execution_id,
            calls=(watching,),
            redelivered=True,
            queue="" if definition is None else definition.queue,
            rewinds=instance.rewinds,
        )
        await self._services.hub.send(message, delay)


def _follows_at_work(definition: ActivityDefinition, live: OrchestrationExecutor, batch: Sequence[Delivery]) -> bool:
    """Whether this host has run the lone call before this one, which comes from the same queue, and may run this one
    without a message of its own. Other messages of the turn may not end when that of the call does."""
    at_work = batch[0].at_work
    return (
        at_work is not None
        and at_work.left > 0
        and len(batch) == 1
        and definition.queue == at_work.queue
        and len(live.history) <= SHORT
    )


async def _drop_when(recorded: asyncio.Future[None], attempt: Attempt) -> None:
    await asyncio.wait({recorded})
    if recorded.exception() is None:
        await attempt.drop()
