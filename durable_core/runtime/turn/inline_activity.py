"""Inline activities: a lone activity runs in the turn that scheduled it, so that a step of a chain costs one write.

The activity runs outside of the actor, which continues to commit events and management requests. The callers whose
commit led to it are kept until its result is committed (rule R17): if this process dies, their messages are
redelivered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from ...engine.events import TaskScheduled
from ...engine.executor import OrchestrationExecutor, Turn
from ...hub.instance_row import Instance
from ...hub.messages import Call
from ...models import JSON
from ..activities.attempt import Attempt
from ..activities.call_options import call_of, definition_here
from .decision import Decision, Dispatch, bare_wake_up
from .delivery import Delivery, Lease, longest, take_callers
from .process_tasks import ProcessTasks
from .services import Services

MAX_INLINE = 8  # running inline in one process; more go to the work queue, where other hosts can help
MAX_LIGHT = 64  # the same for activities that occupy no thread, or take less time than a message to another host

InlineKey = tuple[str, int, int]
"""Execution, generation, task."""

InlineStep = Coroutine[Any, Any, "Delivery | None"]
"""A coroutine that runs an activity and returns its result, to be delivered."""


def lone_activity(turn: Turn, live: OrchestrationExecutor) -> TaskScheduled | None:
    """The activity that this turn scheduled, if no other task is open. An activity that was open before the turn may
    run on the host that scheduled it (rule R4)."""
    scheduled = [event for event in turn.outgoing if isinstance(event, TaskScheduled)]
    return scheduled[0] if len(scheduled) == 1 and len(live.pending) == 1 and not live.steps else None


class InlineSteps:
    """The inline activities of one instance."""

    def __init__(self, services: Services, tasks: ProcessTasks) -> None:
        self._services = services
        self._tasks = tasks
        self._running: dict[InlineKey, int] = {}  # → the commit that scheduled it

    def __bool__(self) -> bool:
        return bool(self._running)

    def open_since(self, in_hand: Collection[InlineKey | None]) -> list[int]:
        """Commits whose inline activity is running, except those whose result is in this batch."""
        return [seq for key, seq in self._running.items() if key not in in_hand]

    def forget(self, key: InlineKey | None) -> None:
        """Note that the result has been handled. Until then the commit that scheduled the activity counts as not
        dispatched."""
        if key is not None:
            self._running.pop(key, None)

    def candidate(self, turn: Turn, live: OrchestrationExecutor, batch: Sequence[Delivery]) -> TaskScheduled | None:
        """The activity that may run inline now; None if there is none, or if it must go to the work queue (rule R4)."""
        event, services = lone_activity(turn, live), self._services
        if event is None or live.completion is not None or live.suspended:
            return None
        definition = definition_here(services.registry, event.name)
        if definition is None:
            return None
        options: dict[str, JSON] = event.options or {}
        asked = options.get("inline", definition.inline)
        if not (services.settings.inline_default if asked is None else asked):
            return None
        most = MAX_LIGHT if definition.is_async or services.runner.is_quick(definition) else MAX_INLINE
        if self._tasks.inline_running >= most or not services.runner.runs_now(definition):
            return None
        if any(delivery.redelivered for delivery in batch):
            return None
        if asyncio.get_running_loop().time() > longest(batch).budget:
            return None
        return event

    def start(self, instance: Instance, event: TaskScheduled, seq: int, batch: Sequence[Delivery]) -> InlineStep:
        """The coroutine that runs the activity, scheduled by commit ``seq``. It must be run: the callers of the batch
        wait for its result.

        It returns that result, to be delivered; None if it could not run here and was sent to the work queue.
        """
        key = (instance.execution_id, instance.generation, event.task_id)
        self._running[key] = seq
        self._tasks.inline_running += 1
        message = bare_wake_up(instance)
        lease: Lease = longest(batch)
        delivery = Delivery(message=message, lease=lease, callers=take_callers(batch), inline_key=key)
        call = call_of(self._services.registry, event, instance.generation, 1, instance.updated)
        return self._run(instance, event, call, delivery)

    async def _run(self, instance: Instance, event: TaskScheduled, call: Call, delivery: Delivery) -> Delivery | None:
        message, services = delivery.message, self._services
        try:
            ran = await services.runner.run(
                message.instance_id, message.execution_id, call, delivery.lease.budget, is_inline=True
            )
            if ran is None:  # the last free slot was taken meanwhile
                decision = Decision(event, instance.updated)
                dispatch = Dispatch(decisions=[decision], retries={}, generation=instance.generation)
                await services.dispatcher.dispatch(instance, dispatch)
                self.forget(delivery.inline_key)
                delivery.release()
                return None
        except BaseException as error:  # the process ends; not forgotten, so that no commit counts it as dispatched
            delivery.fail(error)
            raise
        finally:
            self._tasks.inline_running -= 1
        outcome, attempt = ran
        delivery.message = replace(message, outcomes=(outcome,))
        if attempt.has_row and outcome.failure is None:
            recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            delivery.callers.append(recorded)
            self._tasks.spawn(_drop_when(recorded, attempt))
        return delivery


async def _drop_when(recorded: asyncio.Future[None], attempt: Attempt) -> None:
    await asyncio.wait({recorded})
    if recorded.exception() is None:
        await attempt.drop()
