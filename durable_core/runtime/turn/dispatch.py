"""Dispatch: carries out the decisions of a commit. Doing it twice is harmless.

It sends work messages, starts child instances, arms timers, sends events to other instances, and, at the end of an
instance, notifies its parent and closes its catalogue row. A *redispatch* repeats the dispatch of a commit whose host
may have died before it had dispatched; the messages of a redispatch carry ``after``.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, assert_never

from ...engine.events import (
    ContinueAsNew,
    EntityCalled,
    EntitySignaled,
    EventSent,
    ExecutionCompleted,
    LockReleased,
    LockRequested,
    OrchestrationStarted,
    Outgoing,
    PatchMarked,
    RequestSent,
    SubOrchestrationCreated,
    TaskScheduled,
    TimerCanceled,
    TimerCreated,
    UpdateEnded,
)
from ...errors import CodecError, RowExistsError
from ...headers import headers_in
from ...hub.catalog import Entry
from ...hub.inbox import InboxKind
from ...hub.instance_row import Instance
from ...hub.keys import event_key
from ...hub.messages import Call, ControlMessage, Reminder, TaskOutcome, WorkMessage
from ...hub.payloads import PayloadGoneError, dumps
from ...hub.taskhub import TaskHub
from ...hub.timers import LongTimer
from ...log_context import durable_logger
from ...models import JSON, FailureDetails, ParentLink, RuntimeStatus
from ...registry import Registry
from ...storage.accounts import charge, charged_to
from ..activities.call_options import call_of, deadline_of, definition_here, queue_of
from ..at_once import run_some_at_once
from ..clock import Clock
from ..entities.parcels import decisions_for_entities, is_long_ago, needs_carry, parcels_of
from ..entities.post import Post
from ..observer import NOBODY, Observer
from .children import Children, digest_of
from .decision import Dispatch, bare_wake_up, entry_of
from .operations import on_reminder
from .rewinding import Rewinding

SHORTEST_WAIT = 0.01  # seconds; a queue rounds less to none, and a reminder that is too early is sent again
SINGLES = 256  # up to this many calls of a commit: one per message. More: packed into about this many messages
PACK = 32  # calls in one message at most
PACK_BYTES = 32 * 1024  # of inputs in one message

logger = durable_logger("durable_core.runtime")


class Dispatcher:
    def __init__(
        self, hub: TaskHub, registry: Registry, clock: Clock, observer: Observer = NOBODY, build: str = ""
    ) -> None:
        """``build``: of this host, for the hosts that may run the turn after a lone call; "": none may."""
        self._hub = hub
        self._registry = registry
        self._clock = clock
        self._observer = observer
        self._build = build
        self.rewinding = Rewinding(hub, clock, self)
        self.post = Post(hub)
        self.children = Children(hub, registry, self, observer, self.rewinding)

    async def dispatch(self, instance: Instance, dispatch: Dispatch) -> None:
        """Carry out decisions. After a StorageError, a redelivery carries out the rest."""
        calls: list[tuple[str, Call, timedelta]] = []
        deadlines: dict[datetime, int] = {}
        await self._send_events(instance, dispatch)
        await self._send_to_entities(instance, dispatch)
        others: list[Coroutine[Any, Any, None]] = []
        now, rows_from = self._clock.now(), self._hub.timers.rows_from
        for decision in dispatch.decisions:
            match decision.event:
                case TaskScheduled() as event:
                    state = dispatch.retries.get(event.task_id)
                    attempt = 1 if state is None else state.attempt
                    delay = timedelta(0) if state is None else max(state.next_try - now, timedelta(0))
                    since = decision.decided if state is None else state.first_try
                    definition = definition_here(self._registry, event.name)
                    call = call_of(definition, event, dispatch.generation, attempt, since)
                    calls.append((queue_of(definition, event), call, delay))
                    deadline = deadline_of(definition, event, since)
                    # A first attempt that runs inline arms no reminder, so the second one does. One serves many calls.
                    if deadline is not None and (attempt <= 2 or dispatch.after is not None):
                        deadlines.setdefault(deadline, event.task_id)
                case TimerCreated(task_id=task_id, fire_at=fire_at):
                    others.append(self.arm(instance, dispatch.generation, task_id, fire_at, dispatch.after))
                case SubOrchestrationCreated() as event:
                    state = dispatch.retries.get(event.task_id)
                    if state is not None and state.next_try > now:
                        due = state.next_try
                        others.append(self.arm(instance, dispatch.generation, event.task_id, due, dispatch.after))
                    else:
                        attempt, decided = (1, decision.decided) if state is None else (state.attempt, state.next_try)
                        others.append(self.children.start(instance, dispatch, event, decided, attempt))
                case OrchestrationStarted() as event:
                    others.append(self.children.start_detached(instance, dispatch, event, decision.decided))
                case EventSent() | EntityCalled() | EntitySignaled() | LockRequested() | LockReleased():
                    pass  # above
                case RequestSent():
                    pass  # below
                case TimerCanceled() | UpdateEnded() | PatchMarked() | ContinueAsNew() | ExecutionCompleted():
                    pass
                case _ as never:
                    assert_never(never)
        others.extend(
            self.arm(instance, dispatch.generation, call.task_id, now + delay, dispatch.after)
            for _, call, delay in calls
            if delay > rows_from
        )
        others.extend(
            self.arm(instance, dispatch.generation, task_id, deadline, dispatch.after, is_deadline=True)
            for deadline, task_id in deadlines.items()
        )
        for queue in sorted({queue for queue, _, _ in calls}):
            mine = [
                (call, delay) for name, call, delay in calls if name == queue and delay <= self._hub.timers.rows_from
            ]
            for message, delay in self._pack(instance, dispatch, mine):
                others.append(self._hub.send(replace(message, queue=queue), delay.total_seconds()))
        await run_some_at_once(others)
        await run_some_at_once(  # last: a child of this commit is created before the request to end it is sent
            self.children.pass_on(instance, dispatch, decision.event, decision.call)
            for decision in dispatch.decisions
            if isinstance(decision.event, RequestSent)
        )

    async def arm(
        self,
        instance: Instance,
        generation: int,
        task_id: int,
        due: datetime,
        after: int | None = None,
        *,
        is_deadline: bool = False,
    ) -> None:
        """Arm a reminder for this task: a delayed message, or a row if the time is far off.

        is_deadline: the reminder is for all calls that must have ended by then, not for this task alone.
        """
        wait = due - self._clock.now()
        charge(on_reminder(wait, self._hub.timers.rows_from))
        if wait > self._hub.timers.rows_from:
            owner = (instance.instance_id, instance.execution_id, generation)
            await self._hub.timers.put(LongTimer(*owner, task_id, due, is_deadline, instance.rewinds))
            return
        reminder = ControlMessage(
            instance_id=instance.instance_id,
            execution_id=instance.execution_id,
            reminders=(Reminder(generation, task_id, due.timestamp() if is_deadline else None),),
            after=after,
            rewinds=instance.rewinds,
        )
        seconds = wait.total_seconds()
        await self._hub.send(reminder, max(seconds, SHORTEST_WAIT) if seconds > 0 else 0.0)

    async def end(self, instance: Instance, result: JSON, failure: FailureDetails | None) -> None:
        """Dispatch the end of an instance: notify its parent and close its catalogue row."""
        if instance.parent is not None:
            await self.notify_parent(instance, instance.parent, result, failure)
        await self._hub.catalog.close(entry_of(instance, failure))

    async def end_stored(self, instance: Instance) -> None:
        """Dispatch the end of an instance as loaded."""
        await self.notify_parent_of(instance)
        await self._hub.catalog.close(await self.entry_of_ended(instance))

    async def entry_of_ended(self, instance: Instance) -> Entry:
        """An ended instance, as loaded, as the catalogue shows it: with its failure, if this host can read it."""
        failure: FailureDetails | None = None
        if instance.failure is not None:
            with suppress(CodecError, PayloadGoneError):
                stored = await self._hub.payloads.load(instance.instance_id, instance.failure)
                failure = FailureDetails.from_json(stored)
        return entry_of(instance, failure)

    async def notify_parent_of(self, instance: Instance) -> None:
        """Notify the parent, if there is one, of the end of an instance as loaded."""
        if instance.parent is None:
            return
        result: JSON = None
        failure: FailureDetails | None = None
        if instance.output is not None:
            result = await self._hub.payloads.load(instance.instance_id, instance.output)
        if instance.failure is not None:
            failure = FailureDetails.from_json(await self._hub.payloads.load(instance.instance_id, instance.failure))
        await self.notify_parent(instance, instance.parent, result, failure)

    async def notify_parent(
        self, instance: Instance, parent: ParentLink, result: JSON, failure: FailureDetails | None
    ) -> None:
        if instance.status in (RuntimeStatus.TERMINATED, RuntimeStatus.CANCELED):
            how = "terminated" if instance.status is RuntimeStatus.TERMINATED else "cancelled"
            because = f": {result}" if result else ""
            failure = FailureDetails(
                f"SubOrchestration{instance.status.value}",
                f"sub-orchestration '{instance.instance_id}' was {how}{because}",
                retriable=False,
            )
            result = None
        outcome = TaskOutcome(parent.generation, parent.task_id, parent.attempt, result, failure, child=True)
        await self._hub.send(
            ControlMessage(
                instance_id=parent.instance_id,
                execution_id=parent.execution_id,
                outcomes=(outcome,),
                rewinds=instance.parent_rewinds,
            )
        )

    def _pack(
        self, instance: Instance, dispatch: Dispatch, calls: Sequence[tuple[Call, timedelta]]
    ) -> Iterator[tuple[WorkMessage, timedelta]]:
        """Calls in messages: see "Fan-out" in docs/architecture.md."""
        plain = [call for call, delay in calls if not delay and not self._is_short(call)]
        short = [call for call, delay in calls if not delay and self._is_short(call)]
        size = 1 if len(plain) <= SINGLES else min(PACK, -(-len(plain) // SINGLES))
        for group, limit in ((plain, size), (short, PACK)):
            for batch in _batches(group, limit):
                yield self._work(instance, dispatch, batch), timedelta(0)
        for call, delay in calls:
            if delay:
                yield self._work(instance, dispatch, [call]), delay

    def _is_short(self, call: Call) -> bool:
        definition = definition_here(self._registry, call.name)
        return definition is not None and definition.short

    def _work(self, instance: Instance, dispatch: Dispatch, calls: Sequence[Call]) -> WorkMessage:
        return WorkMessage(
            instance_id=instance.instance_id,
            execution_id=instance.execution_id,
            calls=tuple(calls),
            after=dispatch.after,
            rewinds=instance.rewinds,
            lone=self._build if dispatch.is_lone else "",
            headers=self._hub.instances.headers(instance) if instance.headers else "",
        )

    async def _send_events(self, instance: Instance, dispatch: Dispatch) -> None:
        """Send all events, before anything else is sent.

        The other messages lead to later decisions, whose events must arrive after these. Events to one instance are
        sent one after the other: the target reads them in the order in which they are written.
        """
        by_target: dict[str, list[EventSent]] = {}
        for decision in dispatch.decisions:
            if isinstance(event := decision.event, EventSent):
                by_target.setdefault(event.instance_id, []).append(event)

        async def send_in_order(events: Sequence[EventSent]) -> None:
            for event in events:
                await self._send_event(instance, dispatch.generation, event)

        await run_some_at_once(send_in_order(events) for events in by_target.values())

    async def _send_to_entities(self, instance: Instance, dispatch: Dispatch) -> None:
        """Put decisions for entities into their mailboxes, before anything but events is sent."""
        decisions = decisions_for_entities(dispatch.decisions)
        if not decisions:
            return
        ended = instance.is_terminal and is_long_ago(instance.updated, self._clock.now())
        if ended and not await self._hub.catalog.is_open(entry_of(instance)):
            return  # rule N23
        carried = ()
        if needs_carry(instance, decisions):
            carried = (await self._hub.instances.carry(instance)).decisions
        headers = headers_in(self._hub.instances.headers(instance)) if instance.headers else None
        parcels = parcels_of(instance, dispatch, decisions, carried, self._clock.now(), headers)
        await run_some_at_once(self.post.deliver(entity, each) for entity, each in parcels.items())

    async def _send_event(self, instance: Instance, generation: int, event: EventSent) -> None:
        with charged_to(None):  # the target counts it when it reads the event
            await self._put_event(instance, generation, event)

    async def _put_event(self, instance: Instance, generation: int, event: EventSent) -> None:
        target = await self._hub.instances.get(event.instance_id)
        if target is None or target.is_terminal:
            logger.warning("event '%s' to instance '%s' is dropped: not running", event.name, event.instance_id)
            return
        sender = ParentLink(instance.instance_id, instance.execution_id, generation, event.task_id)
        key = event_key(target.execution_id, digest_of(sender))
        data = await self._hub.payloads.store(target.instance_id, target.execution_id, event.data)
        try:
            trace = self._observer.trace_of_call(instance, generation, event.task_id)
            await self._hub.inbox.put(
                target.instance_id, target.execution_id, key, InboxKind.EVENT, event.name, data, trace=trace
            )
        except RowExistsError:
            logger.debug("event '%s' to instance '%s' was sent before", event.name, event.instance_id)
        await self._hub.send(bare_wake_up(target))


def _batches(calls: Sequence[Call], limit: int) -> Iterator[list[Call]]:
    batch: list[Call] = []
    size = 0
    for call in calls:
        weight = len(dumps(call.input)) if limit > 1 else 0
        if batch and (len(batch) >= limit or size + weight > PACK_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(call)
        size += weight
    if batch:
        yield batch


def without_payload(event: Outgoing) -> Outgoing:
    """The end of an execution as stored in a segment: its result is kept once, in the instance row."""
    return replace(event, result=None, failure=None) if isinstance(event, ExecutionCompleted) else event
