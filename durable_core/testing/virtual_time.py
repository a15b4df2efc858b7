"""An event loop whose clock jumps: when nothing is ready to run, time passes at once to the next timer.

The idea is Trio's autojump clock. Everything on the loop must wait through the loop, or in a thread that the loop began
(``asyncio.to_thread``). If sockets are open, whose ends must both be on this loop, the loop first waits a moment for
data that is still in the kernel.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

ON_THE_WAY = 0.002  # real seconds to wait for bytes between two sockets of this loop

THREADS_MAY_TAKE = 5.0  # real seconds to wait for threads; then virtual time passes without them

RESOLUTION = 1e-6  # seconds: timers within this distance fire together

START = datetime(2030, 1, 1, tzinfo=UTC)


class _JumpingSelector(selectors.SelectSelector):
    """A selector that never waits: the timeout is added to the clock, up to ``limit``, where ``at_limit`` is called.

    due: the time of the loop's next timer when the limit stopped it; None: it had none.
    threads: running calls in other threads; the selector waits for them, up to ``THREADS_MAY_TAKE``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self.limit: float | None = None
        self.at_limit: Callable[[], None] = lambda: None
        self.due: float | None = None
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        has_sockets = len(self.get_map()) > 1  # besides the loop's own
        ready = super().select(ON_THE_WAY if has_sockets and timeout != 0 else 0)
        if not ready and self.threads and timeout != 0:
            ready = super().select(THREADS_MAY_TAKE)
        if ready or timeout == 0:
            return ready
        self.due = None if timeout is None else self.elapsed + timeout
        if self.limit is not None and (self.due is None or self.due > self.limit):
            self.elapsed = self.limit
            self.at_limit()
        elif self.due is None:
            raise RuntimeError("nothing is left to happen: every task waits for something that no timer will bring")
        else:
            self.elapsed = self.due
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its ``time()`` is seconds since its start; ``now()`` the same as a date, from 2030 on."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._jumping.at_limit = self.stop
        # With asyncio's own resolution, timers hang after a virtual year, due to rounding.
        self._clock_resolution = RESOLUTION

    def time(self) -> float:
        return self._jumping.elapsed

    def now(self) -> datetime:
        """The virtual time of day, UTC. With this method the loop is a ``Clock`` for the runtime."""
        return START + timedelta(seconds=self.time())

    def run_to(self, moment: float) -> float | None:
        """Run everything that is due up to this ``time()``, which the clock shows when it returns.

        Returns the time of the next timer; None: there is none.
        """
        self._jumping.limit = max(moment, self.time())
        try:
            self.run_forever()
        finally:
            self._jumping.limit = None
        return self._jumping.due

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As usual; the clock stands still while the thread runs."""
        future = super().run_in_executor(executor, func, *args)
        self._jumping.threads += 1
        future.add_done_callback(self._left)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """As usual: it waits for a thread, which notifies the loop when it is done."""
        self._jumping.threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._jumping.threads -= 1

    def _left(self, _: object) -> None:
        self._jumping.threads -= 1


def run_virtual(main: Coroutine[Any, Any, T], loop: VirtualTimeLoop) -> T:
    """Run a coroutine to its end on this loop, cancel all other tasks, and close the loop."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)
