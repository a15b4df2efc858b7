"""The work function: runs the activity calls of one work message and delivers their results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..engine.events import Segment, TaskScheduled
from ..hub.instance_row import Instance
from ..hub.instances import while_it_moves
from ..hub.messages import Call, ControlMessage, TaskOutcome, WorkMessage
from ..hub.stuck_reasons import NO_ACTIVITY
from ..hub.taskhub import TaskHub
from ..log_context import durable_logger
from ..models import NO_OPERATIONS, Operations
from ..registry import Registry
from ..storage.accounts import Account, charged_to
from .activities.attempt import Attempt
from .activities.call_options import definition_here, options_of, to_watch, without_watch
from .activities.results import Reports, portions
from .activities.runner import ActivityRunner
from .instance_cache import InstanceCache
from .observer import NOBODY, Observer
from .stuck import StuckMarker
from .turn.delivery import AtWork, Lease
from .turn.inline_activity import AT_WORK
from .turn.inline_steps import ended_together
from .turn.redispatch import recorded_in

if TYPE_CHECKING:
    from .activities.journal import GoesOn

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
        build: str = "",
    ) -> None:
        """``build``: of this host, if it runs the turn after a lone call; else ""."""
        self._hub = hub
        self._registry = registry
        self._runner = runner
        self._instance_cache = instance_cache
        self._stuck_marker = stuck_marker
        self._observer = observer
        self._build = build
        self._reports = Reports(hub, instance_cache.tasks.spawn)

    async def work(
        self, message: WorkMessage, lease: Lease, *, redelivered: bool, operations: Operations = NO_OPERATIONS
    ) -> None:
        """Run the message's calls; returns when their results are durable somewhere.

        operations: those on the message. What this process does for the instance is told with the results.
        """
        account = Account(*operations)
        with charged_to(account):
            await self._work(message, lease, account, redelivered=redelivered)

    async def _work(self, message: WorkMessage, lease: Lease, account: Account, *, redelivered: bool) -> None:
        redelivered = redelivered or message.redelivered
        calls, seen = list(message.calls), frozenset[tuple[int, int]]()
        if redelivered:
            if len(calls) > 1:  # one bad activity must not fail the other calls
                for call in calls:
                    await self._hub.send(replace(message.only([call]), redelivered=True))
                return
            calls, seen = await self._not_done(message)
            if not calls:
                await self._deliver(message, (), lease, account.take(), redelivered=True, seen=seen)
                return
        if not self._observer.knows(message.execution_id):  # one read for each execution, and none without tracing
            instance = await self._hub.instances.get(message.instance_id)
            if instance is not None and instance.execution_id == message.execution_id:
                self._observer.met(instance)
        running: dict[asyncio.Task[tuple[TaskOutcome, Attempt] | GoesOn | None], Call] = {
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
                ended = [result for _, result in results if isinstance(result, tuple)]
                for call, result in results:
                    if result is not None and not isinstance(result, tuple):
                        await self._send_on(message, call, result, redelivered)
                dropped = sum(outcome.failure is None and attempt.has_row for outcome, attempt in ended)
                done = account.take(Operations(writes=dropped))
                for outcomes in portions([outcome for outcome, _ in ended]):
                    await self._report(message, outcomes, lease, redelivered, seen, done)
                    done = NO_OPERATIONS
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
    ) -> tuple[TaskOutcome, Attempt] | GoesOn | None:
        again = redelivered or message.after is not None
        owner, leave_at = (message.instance_id, message.execution_id), lease.leave
        return await self._runner.run(
            *owner, call, lease.budget, again=again, leave_at=leave_at, headers=message.headers
        )

    async def _send_on(self, message: WorkMessage, call: Call, left: GoesOn, redelivered: bool) -> None:
        """Send the call of a journaled activity on before its message is released: to go on elsewhere, or to look after
        the run that leads (rule J5)."""
        if left.seen is None:
            await self._hub.send(replace(message.only([without_watch(call)]), redelivered=redelivered, lone=""))
        else:
            watching, delay = to_watch(call, left.seen)
            await self._hub.send(replace(message.only([watching]), redelivered=True, lone=""), delay)

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
        done: Operations,
    ) -> None:
        """Deliver to the orchestrator if it is warm in this process, or waits for nothing else; else send a control
        message."""
        runs_turn = self._runs_turn(message, lease)
        if redelivered or runs_turn or self._is_warm(message):
            at_work = AtWork(message.queue, AT_WORK - 1) if runs_turn and not redelivered else None
            await self._deliver(message, outcomes, lease, done, redelivered=redelivered, seen=seen, at_work=at_work)
        else:
            await self._reports.send(replace(self._control(message, outcomes, redelivered), operations=done))

    def _is_warm(self, message: WorkMessage) -> bool:
        """Whether this process has the orchestrator in memory. One that does not know the calls is old, where hosts of
        work run turns: then a host of the control queue is more likely to have the present one."""
        if not self._build:
            return self._instance_cache.is_warm(message.instance_id)
        calls = [(call.generation, call.task_id) for call in message.calls]
        return self._instance_cache.knows(message.instance_id, message.execution_id, calls)

    def _runs_turn(self, message: WorkMessage, lease: Lease) -> bool:
        """Whether this host runs the turn of a result: it has the code, the instance waits for nothing else, and enough
        of the lease is left. A redelivery of the message does what is left undone if this host dies of it (R5, R18)."""
        is_lone = bool(message.lone) and message.lone == self._build
        return is_lone and asyncio.get_running_loop().time() <= lease.budget

    async def _deliver(
        self,
        message: WorkMessage,
        outcomes: tuple[TaskOutcome, ...],
        lease: Lease,
        done: Operations,
        *,
        redelivered: bool,
        seen: frozenset[tuple[int, int]],
        at_work: AtWork | None = None,
    ) -> None:
        control = self._control(message, outcomes, redelivered)
        await self._instance_cache.deliver(
            control, lease, redelivered=redelivered, seen=seen, operations=done, at_work=at_work
        )

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

        async def read() -> tuple[list[Call], frozenset[tuple[int, int]]]:
            instance = (await self._hub.instances.load(message.instance_id)).instance
            if instance is None or instance.execution_id != message.execution_id or instance.is_terminal:
                return [], frozenset((call.generation, call.task_id) for call in message.calls)
            history = await self._hub.instances.history(instance)
            recorded = recorded_in(history)
            void = called_by_void_commits(message, instance, history)
            todo = [call for call in message.calls if _is_open(call, instance, recorded) and call.task_id not in void]
            return todo, frozenset((call.generation, call.task_id) for call in message.calls if call not in todo)

        return await while_it_moves(read)

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
