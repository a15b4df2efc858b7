"""A delivery: the content of a message, its lease, and the futures of its callers, as an actor receives it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from typing import NamedTuple

from ...errors import StorageUnavailableError
from ...hub.messages import ControlMessage
from ...lazy_dataclass import dataclass
from ...models import NO_OPERATIONS, Operations

BUDGET_SHARE = 0.3  # of the lease, or the function timeout: after that, unfinished work goes back to a queue
LEAVE_SHARE = 0.6  # of the same: after that, work that can go on elsewhere does
DEADLINE_SHARE = 0.6  # of the lease: after that, another host may have received the message


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of a message, as times of the event loop. ``budget``: until then a turn may begin further work.
    ``leave``: from then on what can go on in another invocation leaves this one. ``deadline``: until then no other host
    can have the message, even if the host does not renew it (rule R16)."""

    budget: float
    leave: float
    deadline: float

    @classmethod
    def begin(cls, seconds: float, function_timeout: float | None) -> Lease:
        """A lease of so many seconds that begins now, in an invocation that the host ends after so many seconds; None:
        that it does not end."""
        now = asyncio.get_running_loop().time()
        shorter = seconds if function_timeout is None else min(seconds, function_timeout)
        return cls(now + shorter * BUDGET_SHARE, now + shorter * LEAVE_SHARE, now + seconds * DEADLINE_SHARE)

    @classmethod
    def longest(cls, leases: Sequence[Lease]) -> Lease:
        """That of several messages together: one live message is enough to be redelivered. Each of them is handled by
        an invocation of its own, and the first that the host ends may end the others with it."""
        first = leases[0]
        if len(leases) == 1:
            return first
        return cls(
            max(each.budget for each in leases),
            min(each.leave for each in leases),
            max(each.deadline for each in leases),
        )


class AtWork(NamedTuple):
    """A host that has received a lone call from a work queue, and runs the turn of its result (``is_lone``).

    left: so many lone calls of this queue may follow, one after another, in place of messages of their own.
    """

    queue: str
    left: int


@dataclass(eq=False, slots=True, kw_only=True)
class Delivery:
    """One message on its way into a commit.

    message: its whole content; it is sent on as it is when this turn cannot end it (rule R6). seen: tasks of results in
    the message that are recorded already (rule R18).
    operations: storage operations for the instance that no row says yet: those on the message, and what its sender has
    done.
    inline_key: the (execution, generation, task) that ran inline and whose result this is.
    at_work: if it is the result of a lone call, and this host may run the one that follows.
    callers: resolved when the commit that holds the content is durable and dispatched.
    """

    message: ControlMessage
    lease: Lease
    redelivered: bool = False
    seen: frozenset[tuple[int, int]] = frozenset()
    operations: Operations = NO_OPERATIONS
    inline_key: tuple[str, int, int] | None = None
    at_work: AtWork | None = None
    callers: list[asyncio.Future[None]] = field(default_factory=lambda: [])

    @property
    def tasks(self) -> frozenset[tuple[int, int]]:
        """(generation, task id) of everything that the message is about."""
        message = self.message
        named = set(self.seen)
        for each in message.outcomes:
            named.add((each.generation, each.task_id))
        for each in message.reminders:
            named.add((each.generation, each.task_id))
        return frozenset(named)

    @property
    def is_bare(self) -> bool:
        """Whether it is a bare wake-up: a message without content."""
        return not self.message.outcomes and not self.message.reminders and not self.seen

    def release(self) -> None:
        for caller in self.callers:
            if not caller.done():
                caller.set_result(None)
        self.callers = []

    def fail(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):  # the Functions host never ends an invocation that raises it
            error = StorageUnavailableError("this process stopped before the message was dealt with")
        for caller in self.callers:
            if not caller.done():
                caller.set_exception(error)
        self.callers = []


def longest(batch: Sequence[Delivery]) -> Lease:
    """The lease of several deliveries together: one live message is enough to be redelivered."""
    return Lease.longest([delivery.lease for delivery in batch])


def may_be_lost(lease: Lease) -> bool:
    """Whether another host may have the messages of this lease by now, so that nothing may be committed for them (rule
    R16)."""
    return asyncio.get_running_loop().time() > lease.deadline


def handed_over(delivery: Delivery, since: float | None, *, is_owed: bool) -> ControlMessage:
    """The message that replaces this one: all of its content, with the redelivery mark (rule R6).

    since: since when it waits, if it has not waited before. is_owed: a commit of this turn may not be dispatched.
    """
    message = delivery.message
    return replace(message, redelivered=delivery.redelivered or is_owed, since=message.since or since)


def take_callers(batch: Iterable[Delivery]) -> list[asyncio.Future[None]]:
    """Remove the callers from these deliveries, to make them wait for something else."""
    callers: list[asyncio.Future[None]] = []
    for delivery in batch:
        callers.extend(delivery.callers)
        delivery.callers = []
    return callers


def share_callers(callers: list[asyncio.Future[None]], parts: int) -> list[list[asyncio.Future[None]]]:
    """Make these callers wait for several parts: a future for each part. They are released when all are resolved."""
    if parts == 1 or not callers:
        return [callers, *([] for _ in range(parts - 1))]
    loop = asyncio.get_running_loop()
    shares = [loop.create_future() for _ in range(parts)]
    open_shares = set(shares)

    def ended(share: asyncio.Future[None]) -> None:
        open_shares.discard(share)
        error = asyncio.CancelledError() if share.cancelled() else share.exception()
        for caller in callers:
            if caller.done():
                continue
            if error is not None:
                caller.set_exception(error)
            elif not open_shares:
                caller.set_result(None)

    for share in shares:
        share.add_done_callback(ended)
    return [[share] for share in shares]


def split_callers(batch: Sequence[Delivery]) -> list[asyncio.Future[None]]:
    """Make the callers of these deliveries wait for one more thing: the futures that are returned."""
    mine, other = share_callers(take_callers(batch), 2)
    batch[0].callers = mine
    return other


def release(batch: Iterable[Delivery]) -> None:
    for delivery in batch:
        delivery.release()
