"""Counts storage operations: the unit of money and of speed in Azure.

``CountingStorage`` wraps any storage and records each request that Azure would bill. A transaction counts as one
operation, a range read as its number of pages, a receive as one per message; an empty receive is an idle poll, which is
not part of the total. A request that the service refuses counts; a request that our own limits refuse was not sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..errors import LimitExceededError, StorageError
from ..lazy_dataclass import dataclass
from .limits import check_props
from .ports import Delete, Queue, QueueMessage, RowRange, Storage, Table
from .wrapper import AroundQueue, AroundStorage, AroundTable, Call, QueueCall, TableCall

T = TypeVar("T")

IDLE_POLL = "queue.idle_poll"


@dataclass(frozen=True, slots=True)
class Request:
    """One recorded call. ``cost`` is in operations; ``written`` in bytes of properties or of message body."""

    kind: str  # such as "table.merge" or "queue.send"
    name: str  # of the table or queue
    partition: str  # empty for a queue
    cost: int
    written: int
    failed: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """The recorded requests. ``later - earlier`` are the requests in between."""

    requests: tuple[Request, ...]

    @property
    def total(self) -> int:
        """Operations, idle polls left out."""
        return sum(each.cost for each in self.requests if each.kind != IDLE_POLL)

    @property
    def idle_polls(self) -> int:
        return self[IDLE_POLL]

    @property
    def failed(self) -> int:
        return sum(each.cost for each in self.requests if each.failed)

    @property
    def bytes_written(self) -> int:
        return sum(each.written for each in self.requests)

    @property
    def largest(self) -> Request | None:
        """The request that wrote most."""
        return max(self.requests, key=lambda each: each.written, default=None)

    @property
    def by_kind(self) -> Counter[str]:
        return self._by(lambda each: each.kind)

    @property
    def by_name(self) -> Counter[str]:
        """Operations by table or queue."""
        return self._by(lambda each: each.name)

    def __getitem__(self, kind: str) -> int:
        """Operations of one kind, such as ``counts["table.merge"]``; 0 if there were none."""
        return sum(each.cost for each in self.requests if each.kind == kind)

    def __sub__(self, earlier: Counts) -> Counts:
        return Counts(self.requests[len(earlier.requests) :])

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.by_kind.items()))
        return f"{self.total} operations ({kinds or 'none'}), {self.bytes_written:,} bytes written"

    def _by(self, key: Callable[[Request], T]) -> Counter[T]:
        found: Counter[T] = Counter()
        for each in self.requests:
            found[key(each)] += each.cost
        return found


class _Recorder:
    """Collects requests; shared by every table and queue of one ``CountingStorage``."""

    __slots__ = ("requests",)

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def add(self, kind: str, name: str, partition: str = "", *, cost: int = 1, written: int = 0) -> None:
        self.requests.append(Request(kind, name, partition, cost, written, failed=False))

    async def watch(self, call: Awaitable[T], kind: str, name: str, partition: str = "") -> T:
        """Await a call and record it if it fails; the caller records a success."""
        try:
            return await call
        except LimitExceededError:
            raise
        except StorageError:
            self.requests.append(Request(kind, name, partition, 1, 0, failed=True))
            raise


class CountingStorage(AroundStorage):
    """Wraps a storage. ``counts`` is a snapshot."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self._recorder = _Recorder()

    @property
    def counts(self) -> Counts:
        return Counts(tuple(self._recorder.requests))

    def reset(self) -> None:
        """Forget everything counted so far."""
        self._recorder.requests.clear()

    def table(self, name: str) -> Table:
        return _CountingTable(self._inner.table(name), self._recorder)

    def queue(self, name: str) -> Queue:
        return _CountingQueue(self._inner.queue(name), self._recorder)


class _CountingTable(AroundTable):
    def __init__(self, inner: Table, recorder: _Recorder) -> None:
        super().__init__(inner)
        self._recorder = recorder

    async def _around(self, call: Call[T]) -> T:
        what = TableCall.of(call)
        kind = f"table.{what.verb}"
        result = await self._recorder.watch(call(), kind, self.name, what.partition)
        cost = result.pages if isinstance(result, RowRange) else 1
        written = sum(check_props(each.props) for each in what.operations if not isinstance(each, Delete))
        self._recorder.add(kind, self.name, what.partition, cost=cost, written=written)
        return result


class _CountingQueue(AroundQueue):
    def __init__(self, inner: Queue, recorder: _Recorder) -> None:
        super().__init__(inner)
        self._recorder = recorder

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        found = await self._recorder.watch(self._inner.receive(max_messages, lease), "queue.receive", self.name)
        if found:
            self._recorder.add("queue.receive", self.name, cost=len(found))
        else:
            self._recorder.add(IDLE_POLL, self.name)
        return found

    async def _around(self, call: Call[T]) -> T:
        what = QueueCall.of(call)
        kind = f"queue.{what.verb}"
        result = await self._recorder.watch(call(), kind, self.name)
        self._recorder.add(kind, self.name, written=len(what.body.encode(errors="replace")))
        return result
