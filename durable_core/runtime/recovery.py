"""Recovery: run by a timer every few minutes, and on demand by ``recover``: no progress depends on a message alone.

It arms long timers that come due soon, saves the content of poisoned messages, and wakes up instances that were started
but never ran and instances that are stuck; on demand it also redispatches every open instance.

Its cost is bounded. A round of the timer reads the open rows of the catalogue, a page of a thousand per operation, and
keeps none of them; a waiting instance costs nothing more. A run on demand costs one more message per open instance. An
instance whose messages were poisoned is checked ever more rarely: each check may crash a host.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from ..errors import (
    CodecError,
    LeaseLostError,
    NewerFormatError,
    RowNotFoundError,
    SerializationError,
    StorageUnavailableError,
)
from ..hub.catalog import OPEN, Entry
from ..hub.instance_row import Instance
from ..hub.messages import REDISPATCH_ALL, ControlMessage, EntityWakeUp, Reminder, WorkMessage
from ..hub.payloads import PayloadGoneError
from ..hub.stuck_reasons import SET_ASIDE
from ..hub.taskhub import TaskHub
from ..lazy_dataclass import dataclass
from ..models import RuntimeStatus
from ..storage.ports import Queue, QueueMessage
from .at_once import run_some_at_once
from .clock import Clock
from .entities.sweep import Sweep
from .function_timeout import cut_off
from .listing import UNREADABLE
from .stuck import StuckMarker
from .turn.decision import entry_of
from .turn.dispatch import Dispatcher
from .turn.terminate import termination_in

PENDING_PATIENCE = timedelta(minutes=2)
ORPHAN_PATIENCE = timedelta(minutes=15)  # longer than a start may take, with a clock that differs from this host's
SECOND_CHANCE = 120.0  # seconds over which poisoned messages are spread when they are delivered once more
PAGE = 1000  # rows that one range read returns at most
FIRST_CHECK = timedelta(minutes=10)  # after an instance's messages were poisoned; doubled each time
LONGEST_CHECK = timedelta(hours=6)
KEEP_GARBAGE = 24 * 3600.0  # seconds for which an unreadable message is kept in its poison queue

logger = logging.getLogger("durable_core.recovery")


@dataclass(slots=True)
class RecoveryReport:
    """The numbers of what one run of recovery has done."""

    timers_armed: int = 0
    poisoned: int = 0
    unreadable: int = 0
    woken_up: int = 0
    orphans: int = 0
    open_instances: int = 0
    entities: int = 0
    locks_released: int = 0


class Recovery:
    def __init__(
        self,
        hub: TaskHub,
        clock: Clock,
        dispatcher: Dispatcher,
        stuck_marker: StuckMarker,
        sweep: Sweep,
        function_timeout: float | None = None,
    ) -> None:
        """``function_timeout``: of the settings."""
        self._hub = hub
        self._clock = clock
        self._dispatcher = dispatcher
        self._stuck_marker = stuck_marker
        self._sweep = sweep
        self._function_timeout = function_timeout

    async def run(self, *, full: bool = False) -> RecoveryReport:
        """One round. ``full``: redispatch every open instance, as if all queues were lost."""
        report = RecoveryReport()
        report.timers_armed = await self.arm_timers()
        await self._drain_poison(report)
        await self._wake_up_open(report, full)
        if full:
            await self._wake_up_entities(report)
            report.locks_released = await self._sweep.release_lost()
        return report

    async def arm_timers(self) -> int:
        """Send the reminders of long timers that come due soon, and return their number.

        "Soon" is the limit from which a timer is a row: armed earlier, it would be a delayed message after all. A host
        that dies in between leaves the row, and the reminder is sent again.
        """
        armed = 0
        horizon = self._clock.now() + self._hub.timers.rows_from
        while timers := await self._hub.timers.due_before(horizon):
            for timer in timers:
                wait = (timer.due - self._clock.now()).total_seconds()
                reminder = ControlMessage(
                    instance_id=timer.instance_id,
                    execution_id=timer.execution_id,
                    reminders=(
                        Reminder(timer.generation, timer.task_id, timer.due.timestamp() if timer.is_deadline else None),
                    ),
                    rewinds=timer.rewinds,
                )
                await self._hub.send(reminder, wait)
                await self._hub.timers.delete(timer)
                armed += 1
        while due := await self._hub.entity_timers.due_before(horizon):
            for each in due:
                wait = (each.due - self._clock.now()).total_seconds()
                await self._hub.wake_up(EntityWakeUp(entity=each.entity, due=each.due.timestamp()), wait)
                await self._hub.entity_timers.delete(each)
                armed += 1
        return armed

    async def _drain_poison(self, report: RecoveryReport) -> None:
        while found := await self._hub.poisoned():
            for queue, message in found:
                try:
                    await self._save(queue, message, report)
                except LeaseLostError:
                    continue  # another host empties the queue, too
                except StorageUnavailableError:
                    raise
                except UNREADABLE as error:  # hidden for a while, then another host may read it
                    logger.warning("a message is left in %s: %s", queue.name, error)
                except Exception:
                    # Anyone with access to the queue can send any text: it must not stop the rest of recovery.
                    logger.exception("a message in %s cannot be saved and is left there", queue.name)
                    report.unreadable += 1
                    with suppress(LeaseLostError):
                        await queue.extend(message, KEEP_GARBAGE)

    async def _save(self, queue: Queue, message: QueueMessage, report: RecoveryReport) -> None:
        """Put the results of a poisoned message into the inbox, and mark its instance as stuck."""
        try:
            content = await self._hub.read_message(message.body)
        except CodecError as error:
            await self._put_off(queue, message, error)
            return
        except (SerializationError, NewerFormatError) as error:
            logger.error("an unreadable message is left in %s: %s", queue.name, error)
            report.unreadable += 1
            await queue.extend(message, KEEP_GARBAGE)
            return
        except PayloadGoneError as error:
            logger.info("a message in %s belongs to an execution that no longer exists: %s", queue.name, error)
            await queue.delete(message)
            return
        if isinstance(content, EntityWakeUp):
            await self._save_wake_up(content, message)
            await queue.delete(message)
            report.poisoned += 1
            return
        instance, is_set_aside = await self._hub.instances.get(content.instance_id), False
        if instance is not None and instance.execution_id == content.execution_id:
            is_first = content.since is None and (isinstance(content, WorkMessage) or not instance.stuck)
            if is_first and not (isinstance(content, ControlMessage) and instance.is_terminal):
                # Perhaps another message has crashed the hosts that handled this one.
                again = replace(content, redelivered=True, since=self._stuck_marker.stamp())
                await self._hub.send(again, self._hub.ids.unit() * SECOND_CHANCE)
            elif not instance.is_terminal:
                if isinstance(content, ControlMessage):
                    await self._stuck_marker.save(instance, replace(content, redelivered=True))
                await self._stuck_marker.show(instance, instance.stuck or self._reason(content, message))
                if await self._hub.catalog.next_check(entry_of(instance)) is None:
                    await self._hub.catalog.postpone_check(entry_of(instance), self._clock.now() + FIRST_CHECK)
                is_set_aside = True
            elif isinstance(content, ControlMessage):  # what it owes at its end
                await self._hub.send(replace(content, redelivered=True))
        report.poisoned += 1
        await queue.delete(message)
        if instance is not None and is_set_aside:
            await self._end_if_asked(instance)

    def _reason(self, content: ControlMessage | WorkMessage, message: QueueMessage) -> str:
        """Why an instance of which no error is known is stuck."""
        is_work = isinstance(content, WorkMessage)
        what = f"work for activity '{content.calls[0].name}'" if is_work else "a control message"
        return (
            f"{what} {SET_ASIDE} (message {message.id}){cut_off(self._function_timeout)}; "
            "fix the cause and run recover (python -m durable_core recover, or POST to the API's /recover)"
        )

    async def _save_wake_up(self, content: EntityWakeUp, message: QueueMessage) -> None:
        """Wake the entity up once more, and later if that was done before: its code may crash hosts. Its mailbox and
        its row hold everything."""
        delay = self._hub.ids.unit() * SECOND_CHANCE
        if content.since is not None:
            reason = f"a message to the entity {SET_ASIDE} (message {message.id})"
            with suppress(RowNotFoundError):
                await self._hub.entities.mark_stuck(content.entity, reason)
            waited = timedelta(seconds=self._stuck_marker.age(content.since))
            delay = _until_next_check(waited).total_seconds()
        since = content.since or self._stuck_marker.stamp()
        await self._hub.wake_up(replace(content, redelivered=True, since=since), delay)

    async def _end_if_asked(self, instance: Instance) -> None:
        """Terminate a stuck instance if that was requested: this needs no code. If it fails, the next check does it."""
        try:
            inbox = (await self._hub.instances.peek(instance.instance_id)).inbox
            if termination_in(inbox, instance) is not None:
                await self._send_wake_up(entry_of(instance), full=False)
        except Exception:  # the cause of its failing messages may fail here, too, and must not stop recovery
            logger.exception(
                "recovery cannot check whether the stuck instance '%s' is to be terminated", instance.instance_id
            )

    async def _put_off(self, queue: Queue, message: QueueMessage, error: CodecError) -> None:
        """Return a poisoned message that this host cannot decode to its queue, for another host."""
        instance = await self._hub.instances.get(error.instance_id)
        if instance is not None and instance.execution_id == error.execution_id:
            if not instance.is_terminal:
                await self._stuck_marker.show(instance, str(error))
            work = self._hub.names.work_queue_of(queue.name.removesuffix("-poison"))
            await self._stuck_marker.put_off(message.body, work=work)
        await queue.delete(message)

    async def _wake_up_open(self, report: RecoveryReport, full: bool) -> None:
        for shard in self._hub.catalog.shards:
            after = ""
            while entries := await self._hub.catalog.read(shard, OPEN, after, PAGE):
                after = entries[-1].key
                report.open_instances += len(entries)
                if full:
                    await run_some_at_once(self._handle(entry, report, full) for entry in entries)
                else:
                    for entry in filter(self._is_due, entries):
                        await self._handle(entry, report, full)
                if len(entries) < PAGE:
                    break

    async def _wake_up_entities(self, report: RecoveryReport) -> None:
        """Have every entity read its mailbox, and send again what its last batch has sent."""
        for shard in self._hub.entity_catalog.shards:
            after = ""
            while entries := await self._hub.entity_catalog.page(shard, after, PAGE):
                after = entries[-1].key
                await run_some_at_once(
                    self._hub.wake_up(EntityWakeUp(entity=entry.entity, redelivered=True, after=REDISPATCH_ALL))
                    for entry in entries
                )
                report.entities += len(entries)
                if len(entries) < PAGE:
                    break

    def _is_due(self, entry: Entry) -> bool:
        """Whether recovery must check an open instance because it may not go on by itself. A suspended one is checked
        only at first: after it has moved on, a redelivered message updates the catalogue."""
        now = self._clock.now()
        if not entry.is_readable:
            return False
        if entry.stuck:
            return entry.next_check is None or entry.next_check <= now
        if entry.status is RuntimeStatus.PENDING:
            return (entry.start_at or entry.created) < now - PENDING_PATIENCE
        return entry.status is RuntimeStatus.SUSPENDED and entry.updated > now - ORPHAN_PATIENCE

    async def _handle(self, entry: Entry, report: RecoveryReport, full: bool) -> None:
        if not entry.is_readable:
            logger.warning("recovery skips instance '%s': this host cannot read its catalogue row", entry.instance_id)
            return
        if entry.status is not RuntimeStatus.RUNNING or entry.stuck:
            try:
                if await self._check(entry, report, full):
                    return
            except UNREADABLE as error:  # recovery goes on with the other instances
                logger.warning(
                    "recovery skips instance '%s', which this host cannot read: %s", entry.instance_id, error
                )
        if full or entry.stuck or entry.status is RuntimeStatus.PENDING:
            if entry.next_check is not None and entry.stuck:
                now = self._clock.now()
                await self._hub.catalog.postpone_check(entry, now + _until_next_check(now - entry.updated))
            await self._send_wake_up(entry, full)
            report.woken_up += 1

    async def _check(self, entry: Entry, report: RecoveryReport, full: bool) -> bool:
        """Correct the catalogue row of an instance that seems to stand still. True if no wake-up is needed, because
        there is no open instance."""
        try:
            instance = await self._hub.instances.get(entry.instance_id)
        except NewerFormatError:
            return False  # a host that can read the row wakes it up
        if instance is None or instance.execution_id != entry.execution_id:
            is_old = entry.created < self._clock.now() - ORPHAN_PATIENCE
            if not is_old and not (full and instance is not None):  # the start may be about to write the instance row
                return instance is not None
            report.orphans += 1
            await self._forget(entry)
            return True
        if instance.rewinds != entry.rewinds:
            return await self._of_another_run(entry, instance, report)
        if not self._hub.catalog.is_at_its_place(entry, entry_of(instance)):
            # Of an earlier try at a fork, which has another time of creation, and died before it wrote the instance.
            report.orphans += 1
            await self._hub.catalog.forget_open(entry)
            return True
        await self._hub.catalog.forget_last_run(entry)
        if instance.is_terminal:
            await self._dispatcher.end_stored(instance)
        elif (instance.status, instance.stuck[:2000]) != (entry.status, entry.stuck):
            await self._hub.catalog.note(entry_of(instance))
        return False

    async def _of_another_run(self, entry: Entry, instance: Instance, report: RecoveryReport) -> bool:
        """An open row of another run than the instance is in. Of an earlier one: it is forgotten. Of the next one: a
        rewind has begun, and may be about to write the instance (rule R20); it is forgotten when it is old."""
        if entry.rewinds > instance.rewinds and entry.updated > self._clock.now() - ORPHAN_PATIENCE:
            return True
        report.orphans += 1
        await self._hub.catalog.forget_open(entry)
        present = await self._hub.instances.get(entry.instance_id)
        if present is not None and present.execution_id == entry.execution_id and present.rewinds == entry.rewinds:
            await self._hub.catalog.open(entry_of(present))  # it was written at this moment
        return True

    async def _forget(self, orphan: Entry) -> None:
        """Delete the open row of a start that was refused because its id was in use, and whose host crashed before it
        could delete the row."""
        await self._hub.catalog.forget_open(orphan)
        instance = await self._hub.instances.get(orphan.instance_id)
        if instance is None:
            return
        if instance.execution_id == orphan.execution_id:  # its start has succeeded meanwhile
            await self._hub.catalog.open(entry_of(instance))
        elif instance.is_terminal:  # a restart takes the closed row of what it replaces away first, and may end there
            await self._hub.catalog.show_ended(await self._dispatcher.entry_of_ended(instance))
            again = await self._hub.instances.get(orphan.instance_id)
            if again is None or again.execution_id != instance.execution_id:  # purged, or restarted, at this moment
                await self._hub.catalog.forget_closed(entry_of(instance))

    async def _send_wake_up(self, entry: Entry, full: bool) -> None:
        await self._hub.send(
            ControlMessage(
                instance_id=entry.instance_id,
                execution_id=entry.execution_id,
                redelivered=full,
                after=REDISPATCH_ALL if full else None,
                rewinds=entry.rewinds,
            )
        )


def _until_next_check(stuck_for: timedelta) -> timedelta:
    return min(max(stuck_for, FIRST_CHECK), LONGEST_CHECK)
