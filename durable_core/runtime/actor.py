"""One instance in one process: deliveries come in, turns go out, one at a time.

A turn: take what is pooled, load what is needed, run the orchestrator, commit with one conditional write, dispatch
what was decided, release the callers. The rules named R1-R18 are those of docs/architecture.md; each closes a way to
lose or repeat something that an exhaustive model of the protocol found.

Knows the hub and the engine; not where deliveries come from.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from ..converter import Converter
from ..engine.events import (
    ContinueAsNew,
    EventRaised,
    EventSent,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    Incoming,
    Segment,
    TaskScheduled,
)
from ..engine.replay import InstanceInfo, LiveOrchestration, Turn
from ..errors import (
    NewerFormatError,
    NonDeterminismError,
    PreconditionFailedError,
    RowExistsError,
    RowNotFoundError,
    StorageUnavailableError,
    UnknownActivityError,
    UnknownOrchestratorError,
)
from ..hub.inbox import InboxKind, InboxRow
from ..hub.instances import Carry, Commit, HistoryMovedError, Instance
from ..hub.messages import Call, ControlMessage, TaskOutcome
from ..hub.taskhub import TaskHub
from ..models import JSON, FailureDetails, RuntimeStatus
from ..registry import Registry
from ..settings import Settings
from .activities import ActivityRunner
from .clock import Clock
from .delivery import Delivery, Lease, longest
from .outbox import Decision, Dispatch, Outbox, entry_of, without_payload
from .parking import Parking
from .turn import Judge, Nudged, Results, brings_unknown, nudged, redispatch_floor, undone_of_ended

INBOX_BATCH = 90  # a transaction holds a hundred rows
MAX_CONFLICTS = 2  # after that, somebody else is at work here: hand over
MAX_INLINE = 8
SLOW_TURN_SECONDS = 0.1

_UNKNOWN_OUTCOME = (PreconditionFailedError, RowNotFoundError, RowExistsError, StorageUnavailableError)

logger = logging.getLogger("durable_core.runtime")


@dataclass(slots=True)
class Warm:
    """A live orchestrator and the row it stands on.

    settled: all commits up to here are dispatched. listed: the status that the catalogue shows.
    """

    instance: Instance
    live: LiveOrchestration
    settled: int
    listed: RuntimeStatus


@dataclass(frozen=True, slots=True)
class Services:
    """What actors share."""

    hub: TaskHub
    registry: Registry
    settings: Settings
    converter: Converter
    runner: ActivityRunner
    clock: Clock
    outbox: Outbox
    judge: Judge
    parking: Parking
    build: str


class Home(Protocol):
    """What an actor asks of the dispatcher that keeps it."""

    inline_running: int
    conflicts: int

    def warmed(self, actor: Actor, weight: int) -> None: ...

    def cooled(self, actor: Actor) -> None: ...

    def ended(self, instance: Instance) -> None: ...

    def idle(self, actor: Actor) -> None: ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...


@dataclass(slots=True)
class _Attempt:
    """What a turn has learned so far; kept over its conflicts."""

    batch: list[Delivery]
    conflicts: int = 0
    outage: bool = False
    owes: bool = False  # a commit of ours was found whose dispatch may not have begun
    wrote: tuple[int, str] | None = None  # seq and id of a commit of which nobody knows whether it was written


class _HandOver(Exception):
    """This turn must not commit: somebody else is at work, or may have its messages by now (rule R16)."""


class Actor:
    def __init__(self, instance_id: str, services: Services, home: Home) -> None:
        self.instance_id = instance_id
        self._services = services
        self._home = home
        self._pool: list[Delivery] = []
        self._running = False
        self._warm: Warm | None = None
        self._inline: dict[tuple[str, int, int], int] = {}  # (execution, generation, task) → its commit

    @property
    def is_warm(self) -> bool:
        return self._warm is not None

    @property
    def is_busy(self) -> bool:
        return self._running or bool(self._inline)

    def deliver(self, delivery: Delivery) -> None:
        """Pool a delivery; its callers are released when it is dealt with."""
        self._pool.append(delivery)
        if not self._running:
            self._running = True
            self._home.spawn(self._run())

    def cool(self) -> None:
        """Drop the live orchestrator; the next turn loads."""
        warm, self._warm = self._warm, None
        if warm is not None:
            self._home.cooled(self)
            warm.live.close()

    async def _run(self) -> None:
        try:
            while self._pool:
                attempt = _Attempt(self._pool)
                self._pool = []
                try:
                    await self._turn(attempt)
                except BaseException as error:
                    self.cool()
                    for delivery in attempt.batch:
                        delivery.fail(error)
                    if not isinstance(error, Exception):
                        raise
                finally:
                    for delivery in attempt.batch:
                        if delivery.inline_key is not None:
                            self._inline.pop(delivery.inline_key, None)
        finally:
            self._running = False
            self._home.idle(self)

    async def _turn(self, attempt: _Attempt) -> None:
        """Try until done. After an unknown outcome the state is loaded anew and our commit is looked for in it."""
        while True:
            try:
                await self._attempt(attempt)
                return
            except HistoryMovedError:
                self.cool()
            except _HandOver:
                self.cool()
                await self._hand_over(attempt)
                return
            except _UNKNOWN_OUTCOME as error:
                if attempt.wrote is None or attempt.outage:
                    raise  # not from the commit: the callers' messages come back as redeliveries
                self.cool()
                attempt.conflicts += 1
                attempt.outage = isinstance(error, StorageUnavailableError)
                self._home.conflicts += 1
                logger.debug("conflict %d on instance '%s': %s", attempt.conflicts, self.instance_id, error)

    async def _hand_over(self, attempt: _Attempt, delay: float = 0.0, since: float | None = None) -> None:
        """Send what is in hand back as control messages, whole (rule R6), before anything is released."""
        for delivery in attempt.batch:
            message = replace(
                delivery.message,
                redelivered=delivery.redelivered or attempt.owes,
                since=delivery.message.since or since,
            )
            await self._services.hub.send(message, delay)
            delivery.release()

    # ------------------------------------------------------------------ one attempt

    async def _attempt(self, attempt: _Attempt) -> None:
        batch = attempt.batch
        inbox = await self._load(attempt)
        if inbox is None:
            return
        warm = self._warm
        assert warm is not None
        instance, live = warm.instance, warm.live
        floor = redispatch_floor(instance, live.history, batch)
        if attempt.wrote is not None:
            lost = _floor_of_lost_commit(attempt.wrote, instance, live)
            attempt.owes = attempt.owes or lost is not None
            floor = _lower(floor, lost)
            attempt.wrote, attempt.outage = None, False
        now = max(self._services.clock.now(), instance.updated)
        rows, stale, more = _sorted(inbox, instance)
        results, incoming, origin = await self._gather(warm, batch, rows, now)
        nudges = nudged(live, instance, batch, now)
        started = asyncio.get_running_loop().time()
        turn = live.step(now, incoming) if incoming else Turn((), ())
        if (took := asyncio.get_running_loop().time() - started) > SLOW_TURN_SECONDS:
            logger.warning(
                "a turn of orchestrator '%s' (instance '%s') took %.0f ms of CPU: move the work to an activity",
                instance.name,
                instance.instance_id,
                took * 1000,
            )
        consumed = [row.key for row in rows if origin.get(row.key) is None or origin[row.key] in turn.recorded]
        committed = bool(turn.events) or results.changed
        if committed:
            late = asyncio.get_running_loop().time() > longest(d.lease for d in batch).deadline
            if late or attempt.conflicts > MAX_CONFLICTS:
                raise _HandOver
            await self._commit(attempt, warm, turn, results, consumed, now)
        elif consumed:
            await self._services.hub.inbox.discard(self.instance_id, [row for row in rows if row.key in consumed])
        await self._act(attempt, instance, turn, results, nudges, floor, now, committed)
        if stale:
            await self._services.hub.inbox.discard(self.instance_id, stale)
        if more:
            self._ring_self(warm.instance, [])

    async def _load(self, attempt: _Attempt) -> list[InboxRow] | None:
        """Make the instance warm and return its inbox, or None if the turn is over already."""
        batch, hub = attempt.batch, self._services.hub
        if self._warm is not None and (attempt.wrote or any(d.redelivered for d in batch)):
            self.cool()  # rule R5: always cold
        inbox: list[InboxRow] = []
        if self._warm is not None and any(d.is_door for d in batch):  # rules R2, R3
            peeked = await hub.instances.peek(self.instance_id)
            if peeked.etag != self._warm.instance.etag:
                self.cool()
            else:
                inbox = peeked.inbox
        warm = self._warm
        if warm is not None and brings_unknown(warm.live, warm.instance, batch):
            self.cool()
        if self._warm is not None:
            return inbox
        try:
            loaded = await hub.instances.load(self.instance_id)
        except NewerFormatError as error:
            await self._wait(attempt, str(error), None)
            return None
        instance = loaded.instance
        if instance is None:
            logger.debug("no instance '%s': the message is of a life that was purged", self.instance_id)
            _release(batch)
            return None
        if instance.is_terminal:
            await self._after_the_end(attempt, instance, loaded.inbox)
            return None
        try:
            await self._revive(instance)
        except UnknownOrchestratorError as error:
            await self._services.parking.show(instance, f"waiting for a host that has it: {error}")
            await self._wait(attempt, str(error), instance)
            return None
        except NewerFormatError as error:
            await self._wait(attempt, str(error), instance)
            return None
        except NonDeterminismError as error:
            if instance.build != self._services.build:  # rule 11: perhaps the other build knows better
                await self._wait(attempt, str(error), instance)
            else:
                await self._park(attempt, instance, str(error))
            return None
        return loaded.inbox

    async def _revive(self, instance: Instance) -> None:
        """Replay the stored history into a new generator."""
        services = self._services
        definition = services.registry.orchestrator(instance.name, instance.version)
        segments = await services.hub.instances.history(instance)
        info = InstanceInfo(
            instance_id=instance.instance_id,
            execution_id=instance.execution_id,
            generation=instance.generation,
            name=instance.name,
            version=instance.version,
            parent=instance.parent,
        )
        live = LiveOrchestration(definition, info, services.converter)
        try:
            live.replay(segments)
        except BaseException:
            live.close()
            raise
        self._warm = Warm(instance, live, instance.dispatched, instance.status)

    async def _gather(
        self, warm: Warm, batch: Sequence[Delivery], rows: Sequence[InboxRow], now: datetime
    ) -> tuple[Results, list[Incoming], dict[str, EventRaised | None]]:
        """Everything that this turn tells the orchestrator, in order; which inbox row each external event is."""
        instance, live, hub = warm.instance, warm.live, self._services.hub
        incoming: list[Incoming] = []
        origin: dict[str, EventRaised | None] = {}
        outcomes: list[tuple[TaskOutcome, bool]] = []
        if instance.is_unstarted:
            data = await hub.payloads.load(self.instance_id, instance.input)
            incoming.append(ExecutionStarted(instance.name, instance.version, data))
            incoming.extend((await hub.instances.carry(instance)).events)
        for row in rows:
            match row.kind:
                case InboxKind.EVENT:
                    event = EventRaised(row.name, await hub.payloads.load(self.instance_id, row.data), row.key)
                    origin[row.key] = event
                    incoming.append(event)
                case InboxKind.TERMINATE:
                    incoming.append(ExecutionTerminated(row.name))
                case InboxKind.SUSPEND:
                    incoming.append(ExecutionSuspended(row.name, row.key))
                case InboxKind.RESUME:
                    incoming.append(ExecutionResumed(row.name, row.key))
                case InboxKind.RESULTS:
                    message = await hub.read_message(await hub.payloads.load(self.instance_id, row.data))
                    if isinstance(message, ControlMessage):
                        outcomes.extend((outcome, True) for outcome in message.outcomes)
        for delivery in batch:
            if delivery.message.execution_id == instance.execution_id:
                outcomes.extend((outcome, delivery.redelivered) for outcome in delivery.message.outcomes)
        results = self._services.judge.judge(outcomes, instance, live, now, hub.ids.unit())
        incoming.extend(results.events)
        incoming.extend(live.due_timers(now))
        return results, incoming, origin

    async def _commit(
        self,
        attempt: _Attempt,
        warm: Warm,
        turn: Turn,
        results: Results,
        consumed: Sequence[str],
        now: datetime,
    ) -> None:
        """One conditional write; on success the warm state stands on it."""
        instance, live, hub = warm.instance, warm.live, self._services.hub
        in_hand = {delivery.inline_key for delivery in attempt.batch}
        running = [first for key, first in self._inline.items() if key not in in_hand]
        commit = Commit(
            commit_id=hub.ids.commit_id(),
            timestamp=now,
            events=(*turn.recorded, *(without_payload(event) for event in turn.outgoing)),
            status=_status(live),
            retries=results.retries if results.changed else None,
            consumed=consumed,
            dispatched=min([warm.settled, *(first - 1 for first in running)]),
            build=self._services.build,
        )
        commit = await self._with_values(commit, instance, live, turn)
        attempt.wrote = (instance.seq, commit.commit_id)
        if isinstance(live.completion, ContinueAsNew):
            kept = tuple(live.unconsumed_events()) if live.completion.keep_events else ()
            left = tuple(event for event in turn.outgoing if not isinstance(event, ContinueAsNew))
            warm.instance = await hub.instances.next_generation(instance, commit, live.completion, Carry(kept, left))
        else:
            warm.instance = await hub.instances.commit(instance, commit)
        attempt.wrote = None
        if commit.events:
            live.record(Segment(instance.seq, commit.commit_id, now, commit.events))

    async def _with_values(self, commit: Commit, instance: Instance, live: LiveOrchestration, turn: Turn) -> Commit:
        """The commit with output, failure and custom status as stored values."""
        payloads, life = self._services.hub.payloads, (instance.instance_id, instance.execution_id)
        ending = live.completion
        if isinstance(ending, ExecutionCompleted):
            commit = replace(commit, output=await payloads.store(*life, ending.result))
            if ending.failure is not None:
                commit = replace(commit, failure=await payloads.store(*life, ending.failure.to_json()))
        elif isinstance(ending, ExecutionTerminated):
            commit = replace(commit, output=await payloads.store(*life, ending.reason))
        custom = await payloads.store(*life, live.custom_status)
        if custom != (instance.custom or "null"):
            commit = replace(commit, custom=custom)
        return commit

    # ------------------------------------------------------------------ after the commit

    async def _act(
        self,
        attempt: _Attempt,
        before: Instance,
        turn: Turn,
        results: Results,
        nudges: Nudged,
        floor: int | None,
        now: datetime,
        committed: bool,
    ) -> None:
        """Dispatch what was decided, now or by a commit that somebody may have left undispatched; release callers."""
        warm, batch, outbox = self._warm, attempt.batch, self._services.outbox
        assert warm is not None
        instance, live = warm.instance, warm.live
        after = None if floor is None else before.seq
        inline = self._inline_candidate(before, turn, live, batch) if committed else None
        fresh = [Decision(event, now) for event in turn.outgoing if event is not inline]
        again = [] if floor is None else await self._undone(before, live, floor)
        retrying = results.send | nudges.due_retries
        again_ids = {getattr(d.event, "task_id", -1) for d in again}
        for task_id in retrying - again_ids:
            if (pending := live.pending.get(task_id)) is not None:
                fresh.append(Decision(pending.event, now))
        if fresh or again:
            dispatch = Dispatch(
                decisions=[*fresh, *again], retries=results.retries, generation=before.generation, after=after
            )
            await outbox.dispatch(instance, dispatch)
        for task_id, due in nudges.early.items():
            await outbox.arm(instance, before.generation, task_id, due)
        everything = committed and warm.settled == before.seq - 1
        if everything or (floor is not None and floor <= warm.settled):
            warm.settled = instance.seq - 1
        if live.completion is None:
            if inline is not None:
                self._start_inline(instance, inline, before.seq, batch)
            else:
                await self._list(warm, before)
                _release(batch)
            self._home.warmed(self, instance.log_bytes + 4096)
        elif isinstance(live.completion, ContinueAsNew):
            if before.base > before.first:
                await self._services.hub.instances.drop_generation(before)
            self.cool()
            self._ring_self(instance, batch)  # the callers wait until the next generation has started
        else:
            result, failure = _ending(live)
            await outbox.end(instance, result, failure)
            self.cool()
            self._home.ended(instance)
            _release(batch)

    async def _undone(self, before: Instance, live: LiveOrchestration, floor: int) -> list[Decision]:
        """Decisions of commits later than ``floor`` that are not known to be done (those of this turn included)."""
        decisions: list[Decision] = []
        if floor < before.first - 1:
            carried = await self._services.hub.instances.carry(before)
            if carried.decisions:
                await self._services.outbox.dispatch(
                    before,
                    Dispatch(
                        decisions=[Decision(event, before.updated) for event in carried.decisions],
                        retries={},
                        generation=before.generation - 1,
                        after=before.seq,
                    ),
                )
        for segment in live.history:
            if segment.seq <= floor or segment.seq >= before.seq:
                continue
            for event in segment.events:
                task_id = getattr(event, "task_id", None)
                pending = None if task_id is None else live.pending.get(task_id)
                if pending is not None and type(pending.event) is type(event):
                    decisions.append(Decision(pending.event, segment.timestamp))
                elif isinstance(event, EventSent):
                    decisions.append(Decision(event, segment.timestamp))
        return decisions

    def _inline_candidate(
        self, before: Instance, turn: Turn, live: LiveOrchestration, batch: Sequence[Delivery]
    ) -> TaskScheduled | None:
        """The activity that may run here and now: rule R4 and the limits of the inline step."""
        scheduled = [event for event in turn.outgoing if isinstance(event, TaskScheduled)]
        if len(scheduled) != 1 or len(live.pending) != 1 or live.completion is not None or live.suspended:
            return None
        event = scheduled[0]
        services = self._services
        try:
            definition = services.registry.activity(event.name)
        except UnknownActivityError:
            return None
        options: dict[str, JSON] = event.options or {}
        asked = options.get("inline", definition.inline)
        if not (services.settings.inline_default if asked is None else asked):
            return None
        if services.runner.is_slow(event.name) or self._home.inline_running >= MAX_INLINE:
            return None
        if any(delivery.redelivered for delivery in batch):
            return None
        if asyncio.get_running_loop().time() > longest(d.lease for d in batch).budget:
            return None
        return event

    def _start_inline(self, instance: Instance, event: TaskScheduled, seq: int, batch: Sequence[Delivery]) -> None:
        """Run the activity outside of the actor, which goes on; its callers stay until its result is committed."""
        held = [caller for delivery in batch for caller in delivery.callers]
        lease = longest(delivery.lease for delivery in batch)
        for delivery in batch:
            delivery.callers = []
        key = (instance.execution_id, instance.generation, event.task_id)
        self._inline[key] = seq
        self._home.inline_running += 1
        call = Call(instance.generation, event.task_id, 1, event.name, event.input)
        self._home.spawn(self._run_inline(instance, call, key, held, lease))

    async def _run_inline(
        self,
        instance: Instance,
        call: Call,
        key: tuple[str, int, int],
        held: list[asyncio.Future[None]],
        lease: Lease,
    ) -> None:
        message = ControlMessage(instance_id=self.instance_id, execution_id=instance.execution_id)
        delivery = Delivery(message=message, lease=lease, callers=held, inline_key=key)
        try:
            outcome = await self._services.runner.run(self.instance_id, instance.execution_id, call)
        except BaseException as error:
            del self._inline[key]
            delivery.fail(error)
            raise
        finally:
            self._home.inline_running -= 1
        delivery.message = replace(message, outcomes=(outcome,))
        self.deliver(delivery)

    def _ring_self(self, instance: Instance, batch: Sequence[Delivery]) -> None:
        """Pool a doorbell of our own; the callers of ``batch`` wait for it."""
        held = [caller for delivery in batch for caller in delivery.callers]
        for delivery in batch:
            delivery.callers = []
        lease = longest(d.lease for d in batch) if batch else Lease.begin(self._services.settings.message_lease)
        message = ControlMessage(instance_id=self.instance_id, execution_id=instance.execution_id)
        self._pool.append(Delivery(message=message, lease=lease, callers=held))

    async def _list(self, warm: Warm, before: Instance) -> None:
        """Let the catalogue show a status that lasts: the instance now waits for something."""
        if warm.listed is not warm.instance.status or (before.stuck and not warm.instance.stuck):
            await self._services.hub.catalog.note(entry_of(warm.instance))
            warm.listed = warm.instance.status

    # ------------------------------------------------------------------ when it cannot go on

    async def _after_the_end(self, attempt: _Attempt, instance: Instance, inbox: Sequence[InboxRow]) -> None:
        """A message to an instance that has ended: rule R7, what is owed at the end is done again."""
        hub = self._services.hub
        if inbox:
            await hub.inbox.discard(self.instance_id, inbox)
        lost = attempt.wrote is not None
        asked = any(d.message.execution_id == instance.execution_id for d in attempt.batch if d.redelivered)
        flagged = any(d.message.after is not None for d in attempt.batch)
        if lost or asked or flagged:
            result: JSON = None
            failure = None
            if instance.parent is not None and instance.output is not None:
                result = await hub.payloads.load(self.instance_id, instance.output)
            if instance.failure is not None:
                failure = FailureDetails.from_json(await hub.payloads.load(self.instance_id, instance.failure))
            undone = undone_of_ended(await hub.instances.history(instance), instance.dispatched)
            if undone:
                await self._services.outbox.dispatch(
                    instance,
                    Dispatch(decisions=undone, retries={}, generation=instance.generation, after=instance.seq),
                )
            await self._services.outbox.end(instance, result, failure)
            self._home.ended(instance)
        _release(attempt.batch)

    async def _wait(self, attempt: _Attempt, reason: str, instance: Instance | None) -> None:
        """Give everything back with a delay: another host, or a later build, may be able to go on."""
        parking = self._services.parking
        since = min((d.message.since for d in attempt.batch if d.message.since), default=None)
        waited = 0.0 if since is None else parking.age(since)
        if instance is not None and waited > parking.PATIENCE:
            await self._park(attempt, instance, reason)
            return
        await self._hand_over(attempt, parking.delay(waited), parking.stamp() if since is None else since)

    async def _park(self, attempt: _Attempt, instance: Instance, reason: str) -> None:
        """Leave the instance alone, shown as stuck; what is in hand goes to its inbox, so that nothing is lost."""
        parking = self._services.parking
        for delivery in attempt.batch:
            if delivery.message.outcomes:
                await parking.save(instance, delivery.message)
        await parking.show(instance, reason)
        _release(attempt.batch)


def _release(batch: Sequence[Delivery]) -> None:
    for delivery in batch:
        delivery.release()


def _lower(first: int | None, second: int | None) -> int | None:
    return second if first is None else first if second is None else min(first, second)


def _floor_of_lost_commit(wrote: tuple[int, str], instance: Instance, live: LiveOrchestration) -> int | None:
    """A commit whose answer was lost: if it is there it is ours, and ours to dispatch."""
    seq, commit_id = wrote
    if instance.last_commit == commit_id or any(s.commit_id == commit_id for s in live.history):
        return seq - 1
    if seq < instance.first:  # a generation has ended meanwhile; by us, or after us
        return seq - 1
    return None


def _sorted(inbox: Sequence[InboxRow], instance: Instance) -> tuple[list[InboxRow], list[InboxRow], bool]:
    """Rows to consume now, in order; rows of another execution; whether there are more."""
    ours = sorted((row for row in inbox if row.execution_id == instance.execution_id), key=lambda row: row.order)
    stale = [row for row in inbox if row.execution_id != instance.execution_id]
    return ours[:INBOX_BATCH], stale, len(ours) > INBOX_BATCH


def _status(live: LiveOrchestration) -> RuntimeStatus:
    match live.completion:
        case ExecutionCompleted(status=status):
            return RuntimeStatus(status)
        case ExecutionTerminated():
            return RuntimeStatus.TERMINATED
        case ContinueAsNew():
            return RuntimeStatus.RUNNING
        case None:
            return RuntimeStatus.SUSPENDED if live.suspended else RuntimeStatus.RUNNING


def _ending(live: LiveOrchestration) -> tuple[JSON, FailureDetails | None]:
    match live.completion:
        case ExecutionCompleted(result=result, failure=failure):
            return result, failure
        case ExecutionTerminated(reason=reason):
            return reason, None
        case _:
            return None, None
