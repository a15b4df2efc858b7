"""One task hub: all its tables and queues behind one object. The layers above use no table or queue directly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import CoroutineType
from typing import Any, Literal, TypeAlias

from ..codec import PayloadCodec
from ..errors import CodecError, ConfigurationError, QueueNotFoundError, SerializationError
from ..lazy_dataclass import dataclass
from ..settings import Settings
from ..storage.accounts import AccountedTable
from ..storage.ports import MAX_DELAY_SECONDS, MAX_MESSAGE_BYTES, Queue, QueueMessage, Storage, Write
from .catalog import Catalog
from .encoding import Encoding
from .entities.catalog import EntityCatalog
from .entities.store import Entities
from .entities.timers import EntityTimers
from .heartbeats import Heartbeats
from .hosts import Hosts
from .hub_row import HubRow
from .ids import Ids
from .inbox import Inbox
from .instances import Instances
from .journals import Journals
from .messages import (
    ControlMessage,
    EntityWakeUp,
    Message,
    Referenced,
    WorkMessage,
    decode,
    encode,
    reference_body,
)
from .names import HubNames, shard_of
from .payloads import Payloads, execution_of
from .start_keys import StartKeys
from .streams import Streams
from .timers import LongTimers
from .updates import UpdateRows

QueueKind: TypeAlias = Literal["control", "work", "poison"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue at one moment.

    name: of the storage queue. own: of a work queue, and of its poison queue, the name that activities give with
        ``queue=``; '' for the common one.
    depth: about how many messages it holds, delayed and received ones included.
    oldest: when the visible message that is delivered next was sent, in UTC; None if no message is visible.
    dequeue_count: how often that message was received already.
    """

    name: str
    kind: QueueKind
    own: str
    depth: int
    oldest: datetime | None
    dequeue_count: int


class TaskHub:
    """The parts of a task hub over one storage. Caches no state of instances.

    own_queues: the queue names that activities give with ``queue=``. ConfigurationError if a name is too long.
    """

    def __init__(
        self,
        storage: Storage,
        settings: Settings,
        source: random.Random | None = None,
        codec: PayloadCodec | None = None,
        *,
        own_queues: Sequence[str] = (),
    ) -> None:
        self.names = HubNames.of(settings, own_queues)
        self.is_embedded = settings.is_embedded
        self.ids = Ids(source)
        self._storage = storage
        instances = AccountedTable(storage.table(self.names.instances))
        self._encoding = Encoding(codec)
        self.payloads = Payloads(instances, settings.max_payload, self._encoding)
        self.instances = Instances(instances, self.payloads)
        self.inbox = Inbox(instances, self._encoding)
        self.updates = UpdateRows(instances, self.payloads)
        self.heartbeats = Heartbeats(instances, self.payloads)
        self.streams = Streams(instances, self._encoding)
        self.journals = Journals(instances, self.payloads)
        catalog = AccountedTable(storage.table(self.names.catalog))
        self.catalog = Catalog(catalog, settings.partitions, self._encoding)
        self._row = HubRow(catalog, settings.hub, settings.partitions)
        self.hosts = Hosts(catalog)
        self.start_keys = StartKeys(catalog)
        timers = storage.table(self.names.timers)
        self.timers = LongTimers(timers, settings.partitions, timedelta(seconds=settings.timer_rows_from))
        entities = storage.table(self.names.entities)
        self.entities = Entities(entities, Payloads(entities, settings.max_payload, self._encoding))
        self.entity_catalog = EntityCatalog(catalog, settings.partitions)
        self.entity_timers = EntityTimers(timers, settings.partitions)
        self._control = [storage.queue(name) for name in self.names.control]
        self._work = {queue: [storage.queue(name) for name in names] for queue, names in self.names.all_work.items()}
        self._poison = [storage.queue(name) for name in self.names.poison_queues]

    async def create(self) -> None:
        """Make the tables and queues that are missing. ConfigurationError if the hub was made with other partitions, or
        if the storage has a hub of Durable Functions with this name."""
        await self._storage.create([self.names.catalog], [])
        # First: no queues are created for a wrong number of partitions.
        await self._row.settle(self._refuse_hub_of_durable_functions)
        await self._storage.create(self.names.tables, [*self.names.queues, *self.names.poison_queues])

    async def _refuse_hub_of_durable_functions(self) -> None:
        """ConfigurationError if Durable Functions has a hub of this name: both would write the table of instances."""
        try:
            await self._storage.queue(self.names.queue_of_durable_functions).count()
        except QueueNotFoundError:
            return
        raise ConfigurationError(
            f"the storage account holds a task hub '{self.names.hub}' of Durable Functions, whose table of instances "
            "has the same name: give this app another hub name (DURABLE_HUB, or hubName in host.json)"
        )

    async def check(self) -> bool:
        """Whether a host has created this hub. ConfigurationError if it has other partitions. Writes nothing."""
        return await self._row.check()

    @property
    def declared_schedules(self) -> str:
        """The mark of the declared schedules that a host has last brought into the hub, as it was when this hub was
        created or opened; '' if no host has."""
        return self._row.schedules

    async def note_declared_schedules(self, mark: str) -> None:
        """Write that mark into the row of the hub."""
        await self._row.note_schedules(mark)

    async def ends_known_since(self) -> datetime:
        """See ``HubRow.ends_known_since``."""
        return await self._row.ends_known_since()

    async def send(self, message: ControlMessage | WorkMessage, delay: float = 0.0) -> None:
        """Put a message on the queue of its instance; ``delay`` in seconds, limited to the maximum of a queue.

        Work for a queue that does not exist yet goes to the common work queue: the host that receives it sends it on.
        """
        body = encode(message, self._encoding)
        if len(body) > MAX_MESSAGE_BYTES:
            packed = self._encoding.pack(encode(message))
            reference = await self.payloads.put(message.instance_id, message.execution_id, packed)
            body = reference_body(message, reference)
        delay = min(max(delay, 0.0), MAX_DELAY_SECONDS - 60.0)
        shard = shard_of(message.instance_id, self.names.partitions)
        if isinstance(message, ControlMessage):
            await self._control[shard].send(body, delay)
            return
        try:
            await self._work_of(message.queue)[shard].send(body, delay)
        except QueueNotFoundError:
            if not message.queue:
                raise
            await self._work[""][shard].send(body, delay)

    async def wake_up(self, message: EntityWakeUp, delay: float = 0.0) -> None:
        """Send a message to an entity; ``delay`` in seconds, limited to the maximum of a queue."""
        queue = self.control_queue(message.entity.partition)
        await queue.send(encode(message), min(max(delay, 0.0), MAX_DELAY_SECONDS - 60.0))

    def in_order(self, *writes: Write) -> CoroutineType[Any, Any, None]:
        """Do these writes one after another, none durable without those before it. The first that fails ends it."""
        return self._storage.in_order(*writes)

    def _work_of(self, queue: str) -> list[Queue]:
        """The work queues of this name, also if this host has no activity for it."""
        return self._work.get(queue) or [self._storage.queue(name) for name in self.names.work_of(queue)]

    def control_queue(self, instance_id: str) -> Queue:
        """The queue of the instance's control messages."""
        return self._control[shard_of(instance_id, self.names.partitions)]

    def work_queue(self, queue: str, instance_id: str) -> Queue:
        """The queue of the instance's work messages for activities with ``queue=`` so; it may not exist."""
        return self._work_of(queue)[shard_of(instance_id, self.names.partitions)]

    async def give_back(self, body: str, delay: float, *, work: str | None) -> None:
        """Return an unchanged body that this version cannot read to its queue, visible after ``delay`` seconds.

        work: the work queue that the message is from; None for a control queue.
        """
        queues = self._control if work is None else self._work_of(work)
        await queues[0].send(body, delay)

    async def read_message(self, body: str) -> Message:
        """SerializationError, NewerFormatError, CodecError; PayloadGoneError if a large body's rows are gone
        (the execution has ended)."""
        message = decode(body, self._encoding)
        if not isinstance(message, Referenced):
            return message
        packed = await self.payloads.get(message.instance_id, message.reference)
        try:
            text = self._encoding.unpack(packed)
        except CodecError as error:
            execution_id = execution_of(message.reference)
            raise CodecError(
                f"a queue message cannot be decoded: {error}", message.instance_id, execution_id
            ) from error
        whole = decode(text)
        if isinstance(whole, Referenced | EntityWakeUp) or whole.instance_id != message.instance_id:
            raise SerializationError("a queue message refers to a payload that is not a message for its instance")
        redelivered = whole.redelivered or message.redelivered
        return replace(whole, redelivered=redelivered, since=whole.since or message.since)

    async def queue_states(self) -> list[QueueState]:
        """The state of every queue of this app in this hub. Two operations for each queue with messages, one for each
        other."""
        names = self.names
        kinds: list[tuple[QueueKind, str, str]] = []
        kinds.extend(("control", "", name) for name in names.control)
        kinds.extend(("work", own, name) for own, several in names.all_work.items() for name in several)
        kinds.extend(("poison", names.work_queue_of(queue) or "", f"{queue}-poison") for queue in names.queues)
        return list(await asyncio.gather(*(self._queue_state(*each) for each in kinds)))

    async def _queue_state(self, kind: QueueKind, own: str, name: str) -> QueueState:
        queue = self._storage.queue(name)
        try:
            depth = await queue.count()
            oldest = await queue.oldest() if depth else None
        except QueueNotFoundError:  # of activities that no host has served yet
            depth, oldest = 0, None
        return QueueState(
            name=name,
            kind=kind,
            own=own,
            depth=depth,
            oldest=None if oldest is None else oldest.inserted_at,
            dequeue_count=0 if oldest is None else oldest.dequeue_count,
        )

    async def poisoned(self, limit: int = 32) -> list[tuple[Queue, QueueMessage]]:
        """Messages that failed too often, hidden from other readers for a few minutes."""
        found: list[tuple[Queue, QueueMessage]] = []
        for queue in self._poison:
            found.extend((queue, message) for message in await queue.receive(limit, 300.0))
        return found
