"""Sends results of activities to an orchestrator in another process, where control and work hosts are separate.

Results that arrive while a message to the same instance is being sent are sent together in the next message: no result
waits for a timer, and a wide fan-out needs far fewer messages, turns and conflicts than activities.

Owns the order of these sends; uses no activities, leases or turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import field, replace
from typing import Any, TypeAlias

from ...hub.messages import ControlMessage, TaskOutcome
from ...hub.payloads import dumps
from ...hub.taskhub import TaskHub
from ...lazy_dataclass import dataclass
from ...models import NO_OPERATIONS, Operations

REPORT_CHARS = 1024 * 1024  # of results in one message

_Key: TypeAlias = tuple[str, str, int | None, int]


@dataclass(slots=True)
class _Pool:
    """Reports that wait for the current send to end. ``senders``: a future for the caller of each report."""

    outcomes: list[TaskOutcome] = field(default_factory=list[TaskOutcome])
    operations: Operations = NO_OPERATIONS
    senders: list[asyncio.Future[None]] = field(default_factory=list[asyncio.Future[None]])


class Reports:
    """One per process and task hub. ``spawn`` runs a coroutine that outlives its caller."""

    def __init__(self, hub: TaskHub, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._hub = hub
        self._spawn = spawn
        self._pools: dict[_Key, _Pool] = {}  # of every instance of which a message is being sent

    async def send(self, report: ControlMessage) -> None:
        """Send results, perhaps in one message with others; returns when they are in the queue.

        Only for results of a first delivery: those of a redelivered message have a message of their own. An error of
        the send is raised to every caller whose results the message held.
        """
        assert not report.redelivered, "a redelivery goes to the instance itself"
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        key = (report.instance_id, report.execution_id, report.after, report.rewinds)
        pool = self._pools.get(key)
        if is_first := pool is None:
            pool = self._pools[key] = _Pool()
        pool.outcomes.extend(report.outcomes)
        pool.operations = pool.operations.plus(report.operations)
        pool.senders.append(sent)
        if is_first:
            self._spawn(self._send_all(key, replace(report, outcomes=(), operations=NO_OPERATIONS)))
        await sent

    async def _send_all(self, key: _Key, like: ControlMessage) -> None:
        try:
            while (pool := self._pools[key]).senders:
                self._pools[key] = _Pool()
                await self._send(pool, like)
        finally:
            left = self._pools.pop(key)
            for sender in left.senders:
                sender.cancel()

    async def _send(self, pool: _Pool, like: ControlMessage) -> None:
        try:
            operations = pool.operations
            for outcomes in portions(pool.outcomes):
                await self._hub.send(replace(like, outcomes=outcomes, operations=operations))
                operations = NO_OPERATIONS
        except BaseException as error:
            for sender in pool.senders:
                if not sender.done():
                    sender.set_exception(error) if isinstance(error, Exception) else sender.cancel()
            if not isinstance(error, Exception):
                raise
        else:
            for sender in pool.senders:
                if not sender.done():  # whose caller was cancelled meanwhile
                    sender.set_result(None)


def portions(outcomes: Sequence[TaskOutcome]) -> Iterator[tuple[TaskOutcome, ...]]:
    """Outcomes in portions of limited size, each for one message."""
    portion: list[TaskOutcome] = []
    size = 0
    for outcome in outcomes:
        weight = len(dumps(outcome.result)) if len(outcomes) > 1 else 0
        if portion and size + weight > REPORT_CHARS:
            yield tuple(portion)
            portion, size = [], 0
        portion.append(outcome)
        size += weight
    if portion:
        yield tuple(portion)
