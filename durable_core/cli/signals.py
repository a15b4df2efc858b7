"""The signals that end a process, on every system: Windows has no ``loop.add_signal_handler``."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last one is Ctrl-Break, on Windows alone


def on_end_signals(loop: asyncio.AbstractEventLoop, handle: Callable[[int], None]) -> None:
    """Call ``handle`` on the loop with the number of each signal that asks the process to end, such as Ctrl-C."""
    for name in _NAMES:
        number: int | None = getattr(signal, name, None)
        if number is None:
            continue
        try:
            loop.add_signal_handler(number, handle, number)
        except NotImplementedError:
            signal.signal(number, _handler(loop, handle))


def _handler(loop: asyncio.AbstractEventLoop, handle: Callable[[int], None]) -> Callable[[int, FrameType | None], None]:
    def on_signal(number: int, _: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(handle, number)

    return on_signal
