"""Virtual time: it stands still until it is moved, stops where it is told, and waits for threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from datetime import timedelta

import pytest

from durable_core.testing.virtual_time import START, VirtualTimeLoop

YEAR = 365 * 86400.0


@pytest.fixture
def loop() -> Generator[VirtualTimeLoop]:
    loop = VirtualTimeLoop()
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_what_is_due_now_runs_and_time_stands_still(loop: VirtualTimeLoop) -> None:
    done: list[float] = []
    loop.call_soon(lambda: done.append(loop.time()))
    loop.call_later(5, lambda: done.append(loop.time()))
    assert loop.run_to(0.0) == 5.0
    assert done == [0.0]
    assert loop.time() == 0.0


def test_time_moves_to_the_moment_asked_for_and_no_further(loop: VirtualTimeLoop) -> None:
    done: list[float] = []
    for moment in (1, 2, 3, 4):
        loop.call_at(moment, lambda: done.append(loop.time()))
    assert loop.run_to(3.0) == 4.0
    assert done == [1.0, 2.0, 3.0]
    assert loop.now() - START == timedelta(seconds=3)
    assert loop.run_to(100.0) is None
    assert loop.time() == 100.0


def test_timers_fire_in_a_hundred_years_as_well(loop: VirtualTimeLoop) -> None:
    """Where the rounding of a float is coarser than the resolution that asyncio counts with."""
    done: list[str] = []
    loop.run_to(100 * YEAR)
    loop.call_later(0.0, done.append, "now")
    loop.call_later(1e-7, done.append, "soon")
    loop.call_later(60, done.append, "later")
    loop.run_to(100 * YEAR)
    assert done == ["now", "soon"]
    loop.run_to(100 * YEAR + 60)
    assert done == ["now", "soon", "later"]


def test_time_stands_still_while_a_thread_is_at_work(loop: VirtualTimeLoop) -> None:
    async def work() -> float:
        await asyncio.to_thread(time.sleep, 0.02)
        return loop.time()

    task = loop.create_task(work())
    loop.call_later(60, lambda: None)
    assert loop.run_to(0.0) == 60.0
    assert task.result() == 0.0


def test_nothing_left_to_happen_is_an_error_where_nobody_says_up_to_when(loop: VirtualTimeLoop) -> None:
    with pytest.raises(RuntimeError, match="nothing is left to happen"):
        loop.run_until_complete(asyncio.Event().wait())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_to(loop.time())
