"""The work function: runs the activity calls of one work message and delivers their results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ..engine.events import Segment, TaskScheduled
from ..hub.instance_row import Instance
from ..hub.instances import MOVED_TRIES, HistoryMovedError
from ..hub.messages import Call, ControlMessage, TaskOutcome, WorkMessage
from ..hub.stuck_reasons import NO_ACTIVITY
from ..hub.taskhub import TaskHub
from ..log_context import durable_logger
from ..registry import Registry
from .activities.attempt import Attempt
from .activities.call_options import definition_here, options_of
from .activities.results import Reports, portions
from .activities.runner import ActivityRunner
from .instance_cache import InstanceCache
from .observer import NOBODY, Observer
from .stuck import StuckMarker
from .turn.delivery import Lease
from .turn.inline_steps import ended_together
from .turn.redispatch import recorded_in

AGAIN_AFTER = 5.0  # seconds until calls that got no slot here are delivered again, perhaps to another host

logger = durable_logger("durable_core.runtime")


class Worker:
    def __init__(
        self,
        hub: TaskHub,
        registry: Registry,
        runner: ActivityRunner,
        instance_cache: InstanceCache,
        stuck_marker: StuckMarker,
        observer: Observer = NOBODY,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._runner = runner
        self._instance_cache = instance_cache
        self._stuck_marker = stuck_marker
        self._observer = observer
        self._reports = Reports(hub, instance_cache.tasks.spawn)

    async def work(self, message: WorkMessage, lease: Lease, *, redelivered: bool) -> None:
        """Run the message's calls; returns when their results are durable somewhere."""
        redelivered = redelivered or message.redelivered
        calls, seen = list(message.calls), frozenset[tuple[int, int]]()
        if redelivered:
            if len(calls) > 1:  # one bad activity must not fail the other calls
                for call in calls:
                    await self._hub.send(replace(message.only([call]), redelivered=True))
                return
            calls, seen = await self._not_done(message)
            if not calls:
                await self._deliver(message, (), lease, redelivered=True, seen=seen)
                return
        if not self._observer.knows(message.execution_id):  # one read for each execution, and none without tracing
            instance = await self._hub.instances.get(message.instance_id)
            if instance is not None and instance.execution_id == message.execution_id:
                self._observer.met(instance)
        running: dict[asyncio.Task[tuple[TaskOutcome, Attempt] | None], Call] = {
            asyncio.create_task(self._run(message, call, lease, redelivered)): call
            for call in await self._sort(message, calls, redelivered)
        }
        homeless: list[Call] = []
        try:
            while running:
                done = await ended_together(running)
                results = [(call, task.result()) for task, call in running.items() if task in done]
                running = {task: call for task, call in running.items() if task not in done}
                homeless.extend(call for call, result in results if result is None)
                ended = [result for _, result in results if result is not None]
                for outcomes in portions([outcome for outcome, _ in ended]):
                    await self._report(message, outcomes, lease, redelivered, seen)
                    self._observer.delivered(message.execution_id, outcomes)
                for outcome, attempt in ended:
                    if outcome.failure is None:
                        await attempt.drop()
            if homeless:
                await self._hub.send(replace(message.only(homeless), redelivered=redelivered), AGAIN_AFTER)
        finally:
            for task in running:
                task.cancel()

    async def _run(
        self, message: WorkMessage, call: Call, lease: Lease, redelivered: bool
    ) -> tuple[TaskOutcome, Attempt] | None:
        again = redelivered or message.after is not None
        return await self._runner.run(message.instance_id, message.execution_id, call, lease.budget, again=again)

    async def _sort(self, message: WorkMessage, calls: list[Call], redelivered: bool) -> list[Call]:
        """The calls to run in this host; others are sent to their own queue, or to a host that has the activity."""
        here: list[Call] = []
        strange: list[Call] = []
        elsewhere: dict[str, list[Call]] = {}
        for call in calls:
            definition = definition_here(self._registry, call.name)
            if definition is None:
                strange.append(call)
            elif definition.queue not in ("", message.queue):
                elsewhere.setdefault(definition.queue, []).append(call)
            else:
                here.append(call)
        for queue, group in elsewhere.items():
            await self._hub.send(replace(message.only(group), redelivered=redelivered, queue=queue))
        if strange:
            await self._wait_for_a_host(message, strange, redelivered)
        return here

    async def _report(
        self,
        message: WorkMessage,
        outcomes: tuple[TaskOutcome, ...],
        lease: Lease,
        redelivered: bool,
        seen: frozenset[tuple[int, int]],
    ) -> None:
        """Deliver to the orchestrator if it is warm in this process; else send a control message."""
        if redelivered or self._instance_cache.is_warm(message.instance_id):
            await self._deliver(message, outcomes, lease, redelivered=redelivered, seen=seen)
        else:
            await self._reports.send(self._control(message, outcomes, redelivered))

    async def _deliver(
        self,
        message: WorkMessage,
        outcomes: tuple[TaskOutcome, ...],
        lease: Lease,
        *,
        redelivered: bool,
        seen: frozenset[tuple[int, int]],
    ) -> None:
        control = self._control(message, outcomes, redelivered)
        await self._instance_cache.deliver(control, lease, redelivered=redelivered, seen=seen)

    def _control(self, message: WorkMessage, outcomes: tuple[TaskOutcome, ...], redelivered: bool) -> ControlMessage:
        return ControlMessage(
            instance_id=message.instance_id,
            execution_id=message.execution_id,
            outcomes=outcomes,
            redelivered=redelivered,
            after=message.after,
            rewinds=message.rewinds,
        )

    async def _not_done(self, message: WorkMessage) -> tuple[list[Call], frozenset[tuple[int, int]]]:
        """Rule R18: the calls of a redelivered message that are still open, and those that are done."""
        for tries in range(MOVED_TRIES):
            instance = (await self._hub.instances.load(message.instance_id)).instance
            if instance is None or instance.execution_id != message.execution_id or instance.is_terminal:
                return [], frozenset((call.generation, call.task_id) for call in message.calls)
            try:
                history = await self._hub.instances.history(instance)
            except HistoryMovedError:
                if tries + 1 == MOVED_TRIES:
                    raise
                continue
            recorded = recorded_in(history)
            void = called_by_void_commits(message, instance, history)
            todo = [call for call in message.calls if _is_open(call, instance, recorded) and call.task_id not in void]
            return todo, frozenset((call.generation, call.task_id) for call in message.calls if call not in todo)
        raise AssertionError("unreachable")

    async def _wait_for_a_host(self, message: WorkMessage, calls: list[Call], redelivered: bool) -> None:
        """Return calls whose activity this host lacks to a queue, and mark the instance as stuck with the reason."""
        names = ", ".join(sorted({call.name for call in calls}))
        known = ", ".join(self._registry.activity_names) or "none"
        reason = f"{NO_ACTIVITY}'{names}'; registered on this one: {known}"
        since = message.since or self._stuck_marker.stamp()
        instance = await self._hub.instances.get(message.instance_id)
        if instance is None or instance.execution_id != message.execution_id or instance.is_terminal:
            return
        await self._stuck_marker.show(instance, reason)
        queues = {str(options_of(call).get("queue", message.queue)) for call in calls}
        for queue in sorted(queues):  # a queue that exists by now, or the one that the message came from
            group = [call for call in calls if options_of(call).get("queue", message.queue) == queue]
            back = replace(message.only(group), redelivered=redelivered, since=since, queue=queue)
            await self._hub.send(back, self._stuck_marker.delay(self._stuck_marker.age(since)))


def called_by_void_commits(message: WorkMessage, instance: Instance, history: Sequence[Segment]) -> set[int]:
    """Calls of a message that only commits have decided which a rewind has made void."""
    if message.rewinds >= instance.rewinds:
        return set()
    called = {event.task_id for segment in history for event in segment.events if isinstance(event, TaskScheduled)}
    return {call.task_id for call in message.calls} - called


def _is_open(call: Call, instance: Instance, recorded: dict[int, int]) -> bool:
    if call.generation != instance.generation or call.task_id in recorded:
        return False
    state = instance.retries.get(call.task_id)
    return state is None or call.attempt >= state.attempt
