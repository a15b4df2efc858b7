"""An event loop whose clock jumps: when nothing is ready to run, time passes at once to the next timer.

The idea is Trio's autojump clock. Everything on the loop must wait through the loop; threads are not waited for. Where
sockets are open, both ends of which must be on this loop, what is on its way through the kernel gets a moment first.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

ON_THE_WAY = 0.002  # real seconds that bytes between two sockets of this loop may take

CLOCK_RESOLUTION = 1e-6  # seconds

START = datetime(2030, 1, 1, tzinfo=UTC)


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: what it was asked to wait is added to the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        has_sockets = len(self.get_map()) > 1  # besides the loop's own
        ready = super().select(ON_THE_WAY if has_sockets and timeout != 0 else 0)
        if not ready and timeout is None:
            raise RuntimeError("nothing is left to happen: every task waits for something that no timer will bring")
        if not ready and timeout:
            self.elapsed += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its ``time()`` is seconds since its start; ``now()`` the same as a date, from 2030 on."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # What is due within this time is due now. With the real clock's nanosecond, which is less than a float of half
        # a year can tell, a timer would be due for ever and never run.
        self._clock_resolution = CLOCK_RESOLUTION

    def time(self) -> float:
        return self._jumping.elapsed

    def now(self) -> datetime:
        """The virtual time of day, UTC. With this method the loop is a ``Clock`` for the runtime."""
        return START + timedelta(seconds=self.time())


def run_virtual(main: Coroutine[Any, Any, T], loop: VirtualTimeLoop) -> T:
    """Run to the end on this loop and close it, cancelling what is left."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)
