"""The time for which the host lets a function run: a warning before it is over, and words about it.

When it is over, Azure kills the worker process with all that runs in it, and no code hears of it. The message is
delivered again when its lease ends, and what ran begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from ..log_context import durable_logger

WARN_SHARE = 0.8  # of the time

logger = durable_logger("durable_core.runtime")


@contextmanager
def warning_before(seconds: float | None, instance_id: str, running: Callable[[str], list[str]]) -> Generator[None]:
    """While a message of an instance is handled: warn when the time is almost over.

    seconds: the time; None: there is no limit. running: the activities that run for an instance in this process.
    """
    if seconds is None:
        yield
        return
    timer = asyncio.get_running_loop().call_later(seconds * WARN_SHARE, _warn, seconds, instance_id, running)
    try:
        yield
    finally:
        timer.cancel()


def _warn(seconds: float, instance_id: str, running: Callable[[str], list[str]]) -> None:
    names = ", ".join(f"'{name}'" for name in running(instance_id))
    logger.warning(
        "a message of instance '%s' has been handled for %g s%s. After %g s (functionTimeout of host.json) the host "
        "ends the function, in Azure with the process and all that runs in it, and what has not ended begins anew. %s",
        instance_id,
        seconds * WARN_SHARE,
        f" and runs {names}" if names else "",
        seconds,
        REMEDY,
    )


REMEDY = (
    "Raise functionTimeout, give the activity a timeout= below it, or divide its work: a journaled activity goes on in "
    "another invocation"
)


def cut_off(seconds: float | None) -> str:
    """For the reason of a message that was delivered repeatedly, and of which no error is known; "" without a limit."""
    if seconds is None:
        return ""
    return f"; no error is known: perhaps it takes longer than functionTimeout lets it ({seconds:g} s)"
