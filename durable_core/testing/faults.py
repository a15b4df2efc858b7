"""Faults at the storage ports: the wrapped operation fails before or after it is done, or the host crashes.

A ``FaultPlan`` counts a host's storage operations and injects faults at chosen ones; a ``FaultyStorage`` wraps a
storage and asks the plan. The layers above the ports do not depend on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import field
from enum import StrEnum
from typing import Literal, TypeVar

from ..errors import StorageUnavailableError
from ..lazy_dataclass import dataclass
from ..storage.ports import Queue, QueueMessage, Storage, Table
from ..storage.wrapper import AroundQueue, AroundStorage, AroundTable, Call, TableCall

T = TypeVar("T")

ROUNDING = 2e-6  # seconds by which a store's clock and a loop's may differ: one of them counts from 1970


class Fault(StrEnum):
    """The kind of fault at an operation."""

    CRASH_BEFORE = "crash before"  # the host dies, the operation is not done
    CRASH_AFTER = "crash after"  # done, then the host dies
    FAIL_BEFORE = "fail before"  # not done, a transient error is reported
    LOSE_ANSWER = "lose answer"  # done, a transient error is reported
    RETRY = "retry"  # done, the answer is lost, and the store's SDK repeats it: the repetition finds its own effect
    OUTAGE = "outage"  # no operation of this host reaches the store, for longer than operations are retried (503)
    STALL = "stall"  # the host stops for longer than the lease of a message, and then continues with it


class HostCrashError(BaseException):
    """The simulated host has crashed. A BaseException, so that no handler of an app catches it."""


OUTAGE_SECONDS = 90.0
STALL_SECONDS = 45.0

Moment = Literal["before", "after"]
Slot = Callable[[str, Moment], Awaitable[None]]


@dataclass(slots=True)
class FaultPlan:
    """``strikes``: operation number (from 0) → fault. ``struck``: the operations with a fault; ``operations``: all.

    pause: seconds to wait before and after each operation, so that hosts interleave; drawn anew each time.
    twice: whether this message is sent a second time. late: seconds by which it is delayed, so that messages overtake
    each other.
    gate: awaited before and after each operation; it waits for as long as a test holds the host there.
    """

    strikes: dict[int, Fault] = field(default_factory=dict[int, Fault])
    operations: list[str] = field(default_factory=list[str])
    struck: list[str] = field(default_factory=list[str])
    on_crash: Callable[[], None] = lambda: None
    on_hidden: Callable[[str, float], None] = lambda _queue, _seconds: None  # a message will be visible later
    pause: Callable[[], float] = lambda: 0.0
    twice: Callable[[], bool] = lambda: False
    late: Callable[[], float] = lambda: 0.0
    gate: Slot | None = None
    dead: bool = False
    unreachable_until: float = 0.0
    still_until: float = 0.0

    async def around(self, what: str, operation: Callable[[], Awaitable[T]]) -> T:
        await self._wait()
        if self.gate is not None:
            await self.gate(what, "before")
        result = await self._strike(what, operation)
        if self.gate is not None:
            await self.gate(what, "after")
        await self._wait()
        return result

    async def _wait(self) -> None:
        if (seconds := self.pause()) > 0:
            await asyncio.sleep(seconds)
        if (seconds := self.still_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(seconds)
        if self.dead:
            raise HostCrashError

    def check_reachable(self) -> None:
        """StorageUnavailableError during an outage."""
        if asyncio.get_running_loop().time() < self.unreachable_until:
            raise StorageUnavailableError(f"injected: {Fault.OUTAGE}")

    async def _strike(self, what: str, operation: Callable[[], Awaitable[T]]) -> T:
        if self.dead:
            raise HostCrashError
        self.check_reachable()
        number = len(self.operations)
        self.operations.append(what)
        fault = self.strikes.get(number)
        if fault is not None:
            self.struck.append(f"{fault} operation {number}: {what}")
        match fault:
            case None:
                return await operation()
            case Fault.CRASH_BEFORE:
                self._crash()
            case Fault.CRASH_AFTER:
                await operation()
                self._crash()
            case Fault.FAIL_BEFORE:
                pass
            case Fault.LOSE_ANSWER:
                await operation()
            case Fault.RETRY:
                await operation()
                return await operation()
            case Fault.OUTAGE:
                self.unreachable_until = asyncio.get_running_loop().time() + OUTAGE_SECONDS
            case Fault.STALL:
                self.still_until = asyncio.get_running_loop().time() + STALL_SECONDS
                await self._wait()
                return await operation()
        raise StorageUnavailableError(f"injected: {fault}")

    def crash(self) -> None:
        """The host dies now."""
        self.dead = True
        self.on_crash()

    def _crash(self) -> None:
        self.crash()
        raise HostCrashError


class FaultyTable(AroundTable):
    def __init__(self, inner: Table, plan: FaultPlan) -> None:
        super().__init__(inner)
        self._plan = plan

    async def _around(self, call: Call[T]) -> T:
        what = TableCall.of(call)
        verb = "read" if what.verb == "read_range" else what.verb
        rows = what.key
        if verb == "transact":
            rows = " ".join(f"{type(op).__name__}:{op.key}" for op in what.operations)
        return await self._plan.around(f"{verb} {self.name} {what.partition} {rows}", call)


class FaultyQueue(AroundQueue):
    def __init__(self, inner: Queue, plan: FaultPlan) -> None:
        super().__init__(inner)
        self._plan = plan

    async def send(self, body: str, delay: float = 0.0) -> None:
        delay += self._plan.late()
        if delay:
            self._plan.on_hidden(self.name, delay)
        hidden_for = max(delay - ROUNDING, 0.0)  # so that it is visible at exactly that time
        for _ in range(2 if self._plan.twice() else 1):
            await self._plan.around(f"send {self.name} {body}", lambda: self._inner.send(body, hidden_for))

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        """Receive messages. No fault is injected if the queue is empty. After a fault the message is redelivered when
        its lease has expired."""
        if self._plan.dead:
            raise HostCrashError
        self._plan.check_reachable()
        messages = await self._inner.receive(max_messages, lease)
        if messages:
            self._plan.on_hidden(self.name, lease + ROUNDING)

        async def received() -> list[QueueMessage]:
            return messages

        return await self._plan.around(f"receive {self.name}", received) if messages else messages

    async def extend(self, message: QueueMessage, lease: float) -> QueueMessage:
        if lease:
            self._plan.on_hidden(self.name, lease + ROUNDING)
        return await self._plan.around(f"extend {self.name}", lambda: self._inner.extend(message, lease))

    async def delete(self, message: QueueMessage) -> None:
        await self._plan.around(f"delete {self.name} {message.body}", lambda: self._inner.delete(message))


class FaultyStorage(AroundStorage):
    """A storage as one host sees it. Closing it leaves the wrapped storage open, which other hosts use."""

    def __init__(self, inner: Storage, plan: FaultPlan) -> None:
        super().__init__(inner)
        self._plan = plan

    def table(self, name: str) -> Table:
        return FaultyTable(self._inner.table(name), self._plan)

    def queue(self, name: str) -> Queue:
        return FaultyQueue(self._inner.queue(name), self._plan)

    async def close(self) -> None:
        return
