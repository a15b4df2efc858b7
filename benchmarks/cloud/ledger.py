"""A ledger of what operations take of a storage account, of its queues and of its table partitions.

Wraps any storage; every operation takes its time. How much an operation takes: a request of the account; of a queue one
message for each that it sends, receives, hides or deletes; of a table partition one entity for each that it reads or
writes, or more where one is larger than 1 KiB. (Azure says how many entities and messages of 1 KiB, and no more. This
is the reading that promises least.)
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from durable_core.storage.limits import check_props
from durable_core.storage.ports import Delete, Props, Queue, QueueMessage, Row, RowRange, Storage, Table, Write
from durable_core.storage.wrapper import AroundQueue, AroundStorage, AroundTable, Call, QueueCall, TableCall

T = TypeVar("T")

KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one operation took. units: entities or messages of up to 1 KiB. polls: it looked into an empty queue."""

    name: str
    requests: int = 1
    units: int = 1
    polls: bool = False


@dataclass(slots=True)
class Ledger:
    """latency: seconds that an operation takes in the mean; each takes between half of it and half as much again, for
    in step with each other all would arrive at once."""

    latency: float
    source: random.Random
    charges: list[Charge] = field(default_factory=list[Charge])

    async def note(self, asked: Charge, operation: Callable[[], Awaitable[T]], took: Callable[[T], Charge]) -> T:
        """Do the operation, and note what it took; if it fails, what it asked for."""
        await asyncio.sleep(self.latency * self.source.uniform(0.5, 1.5))
        charge = asked
        try:
            result = await operation()
            charge = took(result)
        finally:
            self.charges.append(charge)
        return result


class LedgerStorage(AroundStorage):
    """A storage with a ledger. Closing it leaves the wrapped one open: other hosts use it."""

    def __init__(self, inner: Storage, ledger: Ledger) -> None:
        super().__init__(inner)
        self._ledger = ledger

    def table(self, name: str) -> Table:
        return _LedgerTable(self._inner.table(name), self._ledger)

    def queue(self, name: str) -> Queue:
        return _LedgerQueue(self._inner.queue(name), self._ledger)

    async def in_order(self, *writes: Write) -> None:
        for write in writes:  # as in Azure, each is waited for
            await write()

    async def close(self) -> None:
        return


def _units(props: Props) -> int:
    return max(1, math.ceil(check_props(props) / KIB))


class _LedgerTable(AroundTable):
    def __init__(self, inner: Table, ledger: Ledger) -> None:
        super().__init__(inner)
        self._ledger = ledger

    async def _around(self, call: Call[T]) -> T:
        what = TableCall.of(call)

        def took(result: T) -> Charge:
            match result:
                case Row():
                    return replace(asked, units=_units(result.props))
                case RowRange():
                    units = max(1, sum(_units(row.props) for row in result.rows))
                    return replace(asked, units=units, requests=result.pages)
                case _:
                    return asked

        written = sum(1 if isinstance(each, Delete) else _units(each.props) for each in what.operations)
        asked = Charge(name=self.name, units=1 if what.is_read else written)  # of a read it is known when it is done
        return await self._ledger.note(asked, call, took)


class _LedgerQueue(AroundQueue):
    def __init__(self, inner: Queue, ledger: Ledger) -> None:
        super().__init__(inner)
        self._ledger = ledger

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        def took(found: list[QueueMessage]) -> Charge:
            return Charge(name=self.name, units=len(found), polls=not found)

        return await self._ledger.note(Charge(name=self.name), lambda: self._inner.receive(max_messages, lease), took)

    async def _around(self, call: Call[T]) -> T:
        what = QueueCall.of(call)
        units = math.ceil(len(what.body.encode()) * 4 / 3 / KIB) if what.verb == "send" else 1
        charge = Charge(name=self.name, units=units)
        return await self._ledger.note(charge, call, lambda _: charge)
