"""A storage account as Azure limits it: every operation takes its time, and is refused where a limit is reached.

Wraps any storage. Keeps a ledger of what each operation took of the account, of its queue and of its table partition;
with limits it refuses, as Azure does (503, server busy), with the error by which the runtime knows such an answer.
How much an operation takes: a request of the account; of a queue one message for each that it sends, receives, hides or
deletes; of a table partition one entity for each that it reads or writes, or more where one is larger than 1 KiB.
(Azure says how many entities and messages of 1 KiB, and no more. This is the reading that promises least.)
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from durable_core.errors import StorageUnavailableError
from durable_core.storage.limits import check_props
from durable_core.storage.ports import Delete, Props, Queue, QueueMessage, Row, RowRange, Storage, Table, Write
from durable_core.storage.wrapper import AroundQueue, AroundStorage, AroundTable, Call, QueueCall, TableCall

T = TypeVar("T")

KIB = 1024
BURST = 1.0  # seconds of its rate that a limit lets through at once, after a rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one operation took. partition: of a table; '' for a queue. units: entities or messages of up to 1 KiB.

    polls: it looked into an empty queue.
    """

    name: str
    partition: str = ""
    is_table: bool = False
    requests: int = 1
    units: int = 1
    polls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Per second. ``scaled`` divides all of them alike."""

    account_requests: float
    account_table: float
    account_queue: float
    table_partition: float
    queue: float

    def scaled(self, divisor: float) -> Rates:
        return Rates(
            account_requests=self.account_requests / divisor,
            account_table=self.account_table / divisor,
            account_queue=self.account_queue / divisor,
            table_partition=self.table_partition / divisor,
            queue=self.queue / divisor,
        )


class Bucket:
    """Tokens that come at a rate, up to ``BURST`` seconds of it. What is taken may leave a debt: how much an operation
    takes is known when it is done."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._tokens, self._at = rate, rate * BURST, now

    def has_any(self, now: float) -> bool:
        self._tokens = min(self._tokens + (now - self._at) * self._rate, self._rate * BURST)
        self._at = now
        return self._tokens > 0

    def take(self, tokens: float) -> None:
        self._tokens -= tokens


@dataclass(slots=True)
class Account:
    """What all clients of one storage account share.

    latency: seconds that an operation takes in the mean; each takes between half of it and half as much again, for in
    step with each other all would arrive at once. rates: None limits nothing.
    """

    latency: float
    rates: Rates | None = None
    source: random.Random = field(default_factory=lambda: random.Random(0))
    ledger: list[Charge] = field(default_factory=list[Charge])
    refused: int = 0
    _buckets: dict[str, Bucket] = field(default_factory=dict[str, Bucket])

    async def serve(self, place: Charge, operation: Callable[[], Awaitable[T]], took: Callable[[T], Charge]) -> T:
        """Do the operation if nothing that it needs is used up; ``place`` says what it needs.

        StorageUnavailableError, after the same time, if something is.
        """
        await asyncio.sleep(self.latency * self.source.uniform(0.5, 1.5))
        buckets = self._needed(place)
        now = asyncio.get_running_loop().time()
        if not all(bucket.has_any(now) for bucket, _ in buckets):
            self.refused += 1
            raise StorageUnavailableError(f"server busy: {place.name} {place.partition}")
        charge = place  # an operation that fails was asked for all the same
        try:
            result = await operation()
            charge = took(result)
        finally:
            self.ledger.append(charge)
            # Polls of empty queues do not become fewer when limits are scaled down: they would drown the rest.
            for bucket, unit in buckets if not charge.polls else ():
                bucket.take(charge.units if unit else charge.requests)
        return result

    def _needed(self, place: Charge) -> list[tuple[Bucket, bool]]:
        """The limits that an operation comes under, and whether each counts entities or messages."""
        rates = self.rates
        if rates is None:
            return []
        if place.is_table:
            own = (f"{place.name}/{place.partition}", rates.table_partition, True)
            service = ("tables", rates.account_table, False)
        else:
            own = (place.name, rates.queue, True)
            service = ("queues", rates.account_queue, True)
        return [
            (self._bucket(name, rate), unit)
            for name, rate, unit in (("account", rates.account_requests, False), service, own)
        ]

    def _bucket(self, name: str, rate: float) -> Bucket:
        found = self._buckets.get(name)
        if found is None:
            found = self._buckets[name] = Bucket(rate, asyncio.get_running_loop().time())
        return found


class MeteredStorage(AroundStorage):
    """A storage behind an account's limits. Closing it leaves the wrapped one open: other hosts use it."""

    def __init__(self, inner: Storage, account: Account) -> None:
        super().__init__(inner)
        self._account = account

    def table(self, name: str) -> Table:
        return _MeteredTable(self._inner.table(name), self._account)

    def queue(self, name: str) -> Queue:
        return _MeteredQueue(self._inner.queue(name), self._account)

    async def in_order(self, *writes: Write) -> None:
        for write in writes:  # as in Azure, each is waited for
            await write()

    async def close(self) -> None:
        return


def _units(props: Props) -> int:
    return max(1, math.ceil(check_props(props) / KIB))


class _MeteredTable(AroundTable):
    def __init__(self, inner: Table, account: Account) -> None:
        super().__init__(inner)
        self._account = account

    async def _around(self, call: Call[T]) -> T:
        what = TableCall.of(call)

        def took(result: T) -> Charge:
            match result:
                case Row():
                    return replace(place, units=_units(result.props))
                case RowRange():
                    units = max(1, sum(_units(row.props) for row in result.rows))
                    return replace(place, units=units, requests=result.pages)
                case _:
                    return place

        written = sum(1 if isinstance(each, Delete) else _units(each.props) for each in what.operations)
        units = 1 if what.is_read else written  # of a read it is known when it is done
        place = Charge(name=self.name, partition=what.partition, is_table=True, units=units)
        return await self._account.serve(place, call, took)


class _MeteredQueue(AroundQueue):
    def __init__(self, inner: Queue, account: Account) -> None:
        super().__init__(inner)
        self._account = account

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        def took(found: list[QueueMessage]) -> Charge:
            return Charge(name=self.name, units=len(found), polls=not found)

        return await self._account.serve(Charge(name=self.name), lambda: self._inner.receive(max_messages, lease), took)

    async def _around(self, call: Call[T]) -> T:
        what = QueueCall.of(call)
        units = math.ceil(len(what.body.encode()) * 4 / 3 / KIB) if what.verb == "send" else 1
        charge = Charge(name=self.name, units=units)
        return await self._account.serve(charge, call, lambda _: charge)
