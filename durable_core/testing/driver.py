"""Runs a simulation step by step: all work that is due now, then a jump to the next moment with work.

It also takes the place of the timer that runs recovery in a deployed app: at the same times, but only if recovery has
work to do.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from ..codec import PayloadCodec
from ..errors import ConfigurationError
from ..hub.catalog import OPEN, Entry
from ..hub.timers import arming_interval
from ..lazy_dataclass import dataclass
from ..models import RuntimeStatus
from ..registry import Registry
from ..settings import Settings
from .faults import FaultPlan
from .simulation import LEASE, RECOVERY_INTERVAL, World
from .virtual_time import START

T = TypeVar("T")

MOST_JUMPS = 20_000  # jumps of time in one call: more than that means an endless loop of timers
LOOKED_AT = 200  # newest open instances of each shard that are checked between two jumps
_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


class NothingLeftError(Exception):
    """No work is left for any later time. Never leaves the package."""


class TooLongError(Exception):
    """The virtual time limit of a call was exceeded. Never leaves the package."""


@dataclass(frozen=True, slots=True)
class _Outlook:
    """recovery: the time of the loop at which recovery will have work to do; None: never, at present."""

    recovery: float | None
    stuck: list[Entry]


class Driver:
    """Creates a quiet ``World`` and opens it. ``plan``: faults for its first host; None: no faults.

    ConfigurationError if an event loop runs already.
    """

    def __init__(
        self, registry: Registry, settings: Settings, codec: PayloadCodec | None, plan: FaultPlan | None
    ) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise ConfigurationError(
                "a test environment runs an event loop of its own: use it in a plain function, not in 'async def'"
            )
        self.world = world = World(registry, settings=settings, codec=codec, quiet=True)
        self._loop = world.loop
        self._runner = asyncio.Runner(loop_factory=lambda: world.loop)
        self._runner.get_loop()
        self._has_faults = plan is not None
        self._struck = 0
        self._recovered = -RECOVERY_INTERVAL
        try:
            self.now_do(world.open(*([] if plan is None else [plan])))
        except BaseException:
            self._runner.close()
            raise

    def close(self) -> None:
        """Stop the hosts and cancel everything that still runs."""
        try:
            self._loop.run_until_complete(self.world.close())
        finally:
            self._runner.close()

    # ------------------------------------------------------------------ moving

    def now_do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that needs no time to pass, and everything else that is due now. Returns its result."""
        task = self._loop.create_task(coroutine)
        self._loop.run_to(self._loop.time())
        if not task.done():
            task.cancel()
            self._loop.run_to(self._loop.time())
            raise AssertionError("it needs time to pass")
        return task.result()

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run it in the background, while time passes. An error in it is reported like a bug of a host."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self.world.errors.append(error)

        self._loop.create_task(coroutine).add_done_callback(ended)

    @property
    def is_running(self) -> bool:
        """Whether the caller itself runs on the loop."""
        return self._loop.is_running()

    def settle(self) -> None:
        """Run everything that is due now. After an injected fault also the redelivery, which takes the time of a
        lease."""
        self._loop.run_to(self._loop.time())
        self.raise_bugs()
        if (struck := self.strikes) > self._struck:
            self._struck = struck
            self.go_on(lambda: False, until=self._loop.time() + LEASE + 5.0)

    def go_on(
        self,
        is_done: Callable[[], bool],
        *,
        until: float | None = None,
        within: float = math.inf,
        stuck: Callable[[list[Entry]], None] = lambda _entries: None,
    ) -> None:
        """Let time pass until it is done, from one event to the next.

        until: a time of the loop at which it returns in any case, after everything that is due by then has run.
        within: a time of the loop by which it must be done, else TooLongError. stuck: called with stuck instances.
        NothingLeftError if it is not done, no further work will ever be due, and no ``until`` is given.
        """
        jumps = 0
        while True:
            due = self._loop.run_to(self._loop.time())
            self.raise_bugs()
            if is_done():
                return
            outlook = self.now_do(self._look())
            if outlook.stuck:
                stuck(outlook.stuck)
            due = min((moment for moment in (due, outlook.recovery) if moment is not None), default=None)
            if until is not None and (due is None or due > until):
                self._loop.run_to(until)
                return
            if due is None:
                raise NothingLeftError
            jumps += 1
            if until is None and (due > within or jumps > MOST_JUMPS):
                raise TooLongError
            self._loop.run_to(due)
            if outlook.recovery is not None and due >= outlook.recovery:
                self._recovered = due
                for host in self.world.hosts[:1]:
                    host.recover()

    @property
    def strikes(self) -> int:
        """The number of faults injected so far."""
        return sum(len(plan.struck) for plan in self.world.plans)

    def raise_bugs(self) -> None:
        """Raise errors of hosts that no fault explains: bugs of the runtime, or of this simulation."""
        errors = list(self.world.errors)
        if not self._has_faults:
            errors.extend(self.world.failures)
        self.world.errors.clear()
        self.world.failures.clear()
        if errors:
            errors[0].add_note("raised by a host of the test environment")
            raise errors[0]

    # ------------------------------------------------------------------ what comes

    async def _look(self) -> _Outlook:
        hub, now = self.world.outside.hub, self._loop.time()
        wanted: list[float] = []
        for timer in await hub.timers.due_before(_FOREVER, 1):
            wanted.append((timer.due - hub.timers.rows_from - START).total_seconds())
        for due in await hub.entity_timers.due_before(_FOREVER, 1):
            wanted.append((due.due - hub.timers.rows_from - START).total_seconds())
        open_entries: list[Entry] = []
        for shard in hub.catalog.shards:
            open_entries.extend(await hub.catalog.read(shard, OPEN, limit=LOOKED_AT))
        clock = self._loop.now()
        for entry in open_entries:
            begins = entry.start_at or entry.created
            if entry.status is RuntimeStatus.PENDING and begins <= clock and not entry.stuck and self._has_faults:
                wanted.append(now + RECOVERY_INTERVAL)
        if self._has_faults:
            for name in hub.names.poison_queues:
                if await self.world.storage.queue(name).count():
                    wanted.append(now)
        recovery = None
        if wanted:
            interval = arming_interval(hub.timers.rows_from) or RECOVERY_INTERVAL
            ticks = math.ceil(max(min(wanted), now) / interval)
            recovery = max(ticks * interval, self._recovered + interval)
        return _Outlook(recovery, [entry for entry in open_entries if entry.stuck])


def moment_of(loop_time: float) -> datetime:
    """A time of the loop as a datetime, rounded to milliseconds, as finer digits are rounding errors."""
    return START + timedelta(milliseconds=round(loop_time * 1000))
