"""The two storage ports, and the limits that every adapter enforces.

The ports offer only the operations of Azure Table and Queue Storage, so that code that works on the embedded store
works in Azure. Knows nothing of orchestrations. Adapters raise only the ``StorageError`` tree of ``errors.py``.

Semantics that every adapter keeps (tests/contract holds them to it):

* A row's ETag changes with every write of the row and is never used again for the same key.
* ``timestamp`` is set by the service at each write of the row; along one partition it never runs backwards.
* A range read returns rows in ordinal order of their row key.
* A transaction is all or nothing.
* A queue delivers at least once; ``receive`` hides a message for the lease and counts the receipt; ``extend`` and
  ``delete`` need the receipt that ``receive`` or ``extend`` gave last.
* Messages never expire.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from ..lazy_dataclass import dataclass

Value: TypeAlias = str | int | float | bool | bytes | datetime
"""A property: text, 64-bit integer, float, bool, binary, or an aware datetime. ``None`` is not stored in Azure."""

Props: TypeAlias = Mapping[str, Value]

MAX_KEY_CHARS = 512  # 1 KiB of UTF-16
MAX_PROPERTY_BYTES = 64 * 1024  # text counts as UTF-16
MAX_ENTITY_BYTES = 1024 * 1024
MAX_PROPERTIES = 252
MAX_TRANSACTION_ROWS = 100
MAX_TRANSACTION_BYTES = 4 * 1024 * 1024
MAX_MESSAGE_BYTES = 48 * 1024  # before base64, which makes 64 KiB of it
MAX_RECEIVE = 32
MAX_DELAY_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Row:
    """One entity, as read."""

    partition: str
    key: str
    props: Props
    etag: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class RowRange:
    """The answer to a range read. ``pages`` counts the service's round trips: more than one is no snapshot."""

    rows: list[Row]
    pages: int


@dataclass(frozen=True, slots=True)
class Insert:
    key: str
    props: Props


@dataclass(frozen=True, slots=True)
class Merge:
    key: str
    props: Props
    etag: str | None = None  # None: any ETag, but the row must exist


@dataclass(frozen=True, slots=True)
class Replace:
    key: str
    props: Props
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    key: str
    etag: str | None = None


Operation: TypeAlias = Insert | Merge | Replace | Delete


class Table(Protocol):
    """One table. Keys refuse ``/ \\ # ?``, U+0000-001F and U+007F-009F (LimitExceededError)."""

    @property
    def name(self) -> str: ...

    async def insert(self, partition: str, key: str, props: Props) -> str:
        """Write a new row and return its ETag. RowExistsError if the key is taken."""
        ...

    async def merge(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        """Set these properties and keep the other ones. RowNotFoundError, PreconditionFailedError."""
        ...

    async def replace(self, partition: str, key: str, props: Props, etag: str | None = None) -> str:
        """Make these the row's only properties. RowNotFoundError, PreconditionFailedError."""
        ...

    async def delete(self, partition: str, key: str, etag: str | None = None) -> None:
        """RowNotFoundError, PreconditionFailedError."""
        ...

    async def get(self, partition: str, key: str, select: Sequence[str] | None = None) -> Row | None:
        """One row, with all its properties or only those selected (those it lacks are left out)."""
        ...

    async def read_range(
        self,
        partition: str,
        low: str = "",
        high: str | None = None,
        *,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> RowRange:
        """Rows with ``low <= key < high`` (no upper bound if None), at most ``limit`` of them."""
        ...

    async def transact(self, partition: str, operations: Sequence[Operation]) -> list[str | None]:
        """All of these on one partition, or none; returns the ETags (None for deletes).

        A key may occur once. Raises what the first failing operation would raise alone.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """A message as received. ``extend`` and ``delete`` need its ``receipt``."""

    id: str
    body: str
    receipt: str
    dequeue_count: int
    inserted_at: datetime


@dataclass(frozen=True, slots=True)
class OldestMessage:
    """The message at the head of a queue. dequeue_count: how often it was received; 0: never."""

    inserted_at: datetime
    dequeue_count: int


class Queue(Protocol):
    """One queue of text messages."""

    @property
    def name(self) -> str: ...

    async def send(self, body: str, delay: float = 0.0) -> None:
        """Put a message, visible after ``delay`` seconds. LimitExceededError over 48 KiB or 7 days."""
        ...

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        """Up to 32 visible messages, hidden from other receivers for ``lease`` seconds."""
        ...

    async def extend(self, message: QueueMessage, lease: float) -> QueueMessage:
        """Hide it for ``lease`` seconds from now (0: visible at once). LeaseLostError."""
        ...

    async def delete(self, message: QueueMessage) -> None:
        """LeaseLostError if the receipt is stale or the message gone."""
        ...

    async def count(self) -> int:
        """About how many messages there are, hidden ones included."""
        ...

    async def oldest(self) -> OldestMessage | None:
        """The visible message that is delivered next, which stays visible; None if no message is visible."""
        ...

    async def clear(self) -> None: ...


Write: TypeAlias = Callable[[], Coroutine[Any, Any, object]]
"""Makes the coroutine of one write; ``in_order`` starts it."""


class Storage(Protocol):
    """A storage account, or the embedded file that stands in for one."""

    def table(self, name: str) -> Table:
        """A table by name (3-63 letters and digits); ``create`` makes it."""
        ...

    def queue(self, name: str) -> Queue:
        """A queue by name (3-63 lower-case letters, digits and single hyphens); ``create`` makes it."""
        ...

    async def create(self, tables: Sequence[str], queues: Sequence[str]) -> None:
        """Create the tables and queues that do not exist."""
        ...

    async def in_order(self, *writes: Write) -> None:
        """Do these writes one after another: no write is durable without those before it. The first error is raised,
        and the writes after it are not done.

        In Azure each write is awaited before the next. The embedded store makes all durable with one flush.
        """
        ...

    def on_send(self, queue: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` on the event loop when a message that this object sends to the queue becomes visible.
        Returns the function that removes the callback. Messages with a delay of over a minute cause no callback.

        Messages of other processes cause one on the embedded store, and none in Azure: listeners poll for them.
        """
        ...

    def tell(self, topic: str, text: str) -> None:
        """Tell the other processes of this store a short text, as far as that is possible: nothing may depend on it.
        Neither topic nor text may contain a control character. Azure tells nothing."""
        ...

    def hear(self, topic: str, callback: Callable[[str], None]) -> Callable[[], None] | None:
        """Call ``callback`` on the running event loop with each text that others tell about ``topic``. Returns the
        function that removes the callback; None where nothing can be told, as in Azure."""
        ...

    async def free_leases(self, queues: Sequence[str]) -> None:
        """Make every leased message of these queues visible, because its receiver has crashed.

        Only the embedded store does so; Azure does nothing.
        """
        ...

    async def close(self) -> None: ...


async def one_by_one(*writes: Write) -> None:
    """``in_order`` for a store without group commits."""
    for write in writes:
        await write()
