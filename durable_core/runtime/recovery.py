"""Recovery: what a timer does every few minutes, and ``recover`` on demand, so that nothing depends on a message alone.

Arms long timers that come due soon, saves the content of poisoned messages, rings instances that were started but
never ran and those that are stuck; on demand it also redispatches every open instance.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from ..errors import CodecError, LeaseLostError, NewerFormatError, SerializationError
from ..hub.catalog import OPEN, Entry
from ..hub.messages import REDISPATCH_ALL, ControlMessage, Nudge, WorkMessage
from ..hub.payloads import PayloadGoneError
from ..hub.taskhub import TaskHub
from ..models import RuntimeStatus
from ..storage.ports import Queue, QueueMessage
from .clock import Clock
from .outbox import Outbox, entry_of
from .parking import Parking

ARM_AHEAD = timedelta(minutes=10)
PENDING_PATIENCE = timedelta(minutes=2)
ORPHAN_PATIENCE = timedelta(minutes=15)  # longer than a starter may take, its clock differing from this one's
SECOND_CHANCE = 120.0  # seconds over which poisoned work is spread for another round, away from what it died with
PAGE = 500
KEEP_GARBAGE = 24 * 3600.0  # seconds for which an unreadable poison message is left where it is

logger = logging.getLogger("durable_core.recovery")


@dataclass(slots=True)
class RecoveryReport:
    """What one run of the recovery has done, counted."""

    timers_armed: int = 0
    poisoned: int = 0
    unreadable: int = 0
    rung: int = 0
    orphans: int = 0
    open_instances: int = 0


class Recovery:
    def __init__(self, hub: TaskHub, clock: Clock, outbox: Outbox, parking: Parking) -> None:
        self._hub = hub
        self._clock = clock
        self._outbox = outbox
        self._parking = parking

    async def run(self, *, full: bool = False) -> RecoveryReport:
        """One round. ``full``: ring every open instance and redispatch all it waits for, as if all queues were lost."""
        report = RecoveryReport()
        await self._arm_timers(report)
        await self._drain_poison(report)
        await self._ring_open(report, full)
        return report

    async def _arm_timers(self, report: RecoveryReport) -> None:
        horizon = self._clock.now() + ARM_AHEAD
        while timers := await self._hub.timers.due_before(horizon):
            for timer in timers:
                wait = (timer.due - self._clock.now()).total_seconds()
                nudge = ControlMessage(
                    instance_id=timer.instance_id,
                    execution_id=timer.execution_id,
                    nudges=(
                        Nudge(timer.generation, timer.task_id, timer.due.timestamp() if timer.is_deadline else None),
                    ),
                )
                await self._hub.send(nudge, wait)
                await self._hub.timers.delete(timer)
                report.timers_armed += 1

    async def _drain_poison(self, report: RecoveryReport) -> None:
        while found := await self._hub.poisoned():
            for queue, message in found:
                try:
                    await self._save(queue, message, report)
                except LeaseLostError:
                    continue  # another host drains too

    async def _save(self, queue: Queue, message: QueueMessage, report: RecoveryReport) -> None:
        """Keep what a poisoned message holds: its results go to the inbox, the instance is shown as stuck."""
        try:
            content = await self._hub.read_message(message.body)
        except CodecError as error:
            await self._put_off(queue, message, error)
            return
        except (SerializationError, NewerFormatError) as error:
            logger.error("an unreadable message stays in %s: %s", queue.name, error)
            report.unreadable += 1
            await queue.extend(message, KEEP_GARBAGE)
            return
        except PayloadGoneError as error:
            logger.info("a message in %s is of an execution that is gone: %s", queue.name, error)
            await queue.delete(message)
            return
        instance = await self._hub.instances.get(content.instance_id)
        if instance is not None and instance.execution_id == content.execution_id:
            if isinstance(content, WorkMessage) and content.since is None:  # perhaps it only shared a host with another
                again = replace(content, redelivered=True, since=self._parking.stamp())
                await self._hub.send(again, self._hub.ids.unit() * SECOND_CHANCE)
            elif not instance.is_terminal:
                if isinstance(content, ControlMessage):
                    await self._parking.save(instance, replace(content, redelivered=True))
                await self._parking.show(instance, instance.stuck or _poison_reason(content, message))
            elif isinstance(content, ControlMessage):  # what it owes at its end
                await self._hub.send(replace(content, redelivered=True))
        report.poisoned += 1
        await queue.delete(message)

    async def _put_off(self, queue: Queue, message: QueueMessage, error: CodecError) -> None:
        """A poisoned message that this host cannot decode goes back to its queue, for one that can."""
        instance = await self._hub.instances.get(error.instance_id)
        if instance is not None and instance.execution_id == error.execution_id:
            if not instance.is_terminal:
                await self._parking.show(instance, str(error))
            work = self._hub.names.work_queue_of(queue.name.removesuffix("-poison"))
            await self._parking.put_off(message.body, work=work)
        await queue.delete(message)

    async def _ring_open(self, report: RecoveryReport, full: bool) -> None:
        old = self._clock.now() - PENDING_PATIENCE
        for shard in self._hub.catalog.shards:
            after = ""
            while entries := await self._hub.catalog.read(shard, OPEN, after, PAGE):
                after = entries[-1].key
                report.open_instances += len(entries)
                for entry in entries:
                    pending = entry.status is RuntimeStatus.PENDING and (entry.start_at or entry.created) < old
                    if full or pending or entry.stuck or entry.status is RuntimeStatus.SUSPENDED:
                        await self._look_at(entry, report)
                    if full or pending or entry.stuck:
                        await self._ring(entry, full)
                        report.rung += 1

    async def _look_at(self, entry: Entry, report: RecoveryReport) -> None:
        """Put right what the catalogue shows of an instance that seems to stand still."""
        try:
            instance = await self._hub.instances.get(entry.instance_id)
        except NewerFormatError:
            return  # a host that can read it looks after it
        if instance is None or instance.execution_id != entry.execution_id:
            if entry.created < self._clock.now() - ORPHAN_PATIENCE:  # else its starter may be about to write the row
                report.orphans += 1
                await self._hub.catalog.forget_open(entry)
        elif instance.is_terminal:
            await self._outbox.end_stored(instance)
        elif (instance.status, instance.stuck[:2000]) != (entry.status, entry.stuck):
            await self._hub.catalog.note(entry_of(instance))

    async def _ring(self, entry: Entry, full: bool) -> None:
        await self._hub.send(
            ControlMessage(
                instance_id=entry.instance_id,
                execution_id=entry.execution_id,
                redelivered=full,
                after=REDISPATCH_ALL if full else None,
            )
        )


def _poison_reason(content: ControlMessage | WorkMessage, message: QueueMessage) -> str:
    what = f"work for activity '{content.calls[0].name}'" if isinstance(content, WorkMessage) else "a control message"
    return (
        f"{what} failed again and again and was set aside (message {message.id}); "
        "put the cause right and run recover (python -m durable_core recover, or POST to the API's /recover)"
    )
