"""Code that does not give its thread back is interrupted, whatever it catches, and nothing else is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from durable_core.errors import CodeHangsError
from durable_core.hang_watch import Code, HangWatch, in_stretches, sign_of_life, stretch

LIMIT = 0.2  # seconds
PROJECT = Path(__file__).resolve().parents[2]
CODE = Code("the code")


@pytest.fixture
def watch() -> Iterator[HangWatch]:
    watch = HangWatch.start(LIMIT)
    assert watch is not None
    yield watch
    watch.stop()


def spins() -> None:
    while True:
        pass


def catches_everything() -> None:
    for _ in range(3):
        try:
            spins()
        except BaseException:  # noqa: BLE001
            continue
    spins()


def cleans_up_for_ever() -> None:
    try:
        spins()
    finally:
        spins()


def returns_after_all() -> str:
    with suppress(BaseException):
        spins()
    return "as if nothing had been"


def waits_in_c() -> None:
    time.sleep(3 * LIMIT)
    spins()


@pytest.mark.parametrize("code", [spins, catches_everything, cleans_up_for_ever, returns_after_all, waits_in_c])
def test_it_is_interrupted_with_its_line(watch: HangWatch, code: Callable[[], Any]) -> None:
    told: list[CodeHangsError] = []
    with pytest.raises(CodeHangsError) as caught:
        stretch(Code("the code", told.append), code)
    assert told == [caught.value], "it is written down once"
    assert caught.value.what == "the code"
    assert caught.value.line.startswith("unit/test_hang_watch.py:")
    assert watch.code is None
    assert stretch(CODE, lambda: 7) == 7


def test_what_ends_in_time_is_left_alone(watch: HangWatch) -> None:
    give_up_at = time.monotonic() + 3 * LIMIT
    while time.monotonic() < give_up_at:
        assert stretch(CODE, sum, range(1000)) == 499_500
    with pytest.raises(ZeroDivisionError):
        stretch(CODE, lambda: 1 // 0)


def test_code_that_shows_signs_of_life_may_take_longer(watch: HangWatch) -> None:
    def goes_on() -> str:
        alive = sign_of_life()
        assert alive is not None
        give_up_at = time.monotonic() + 4 * LIMIT
        while time.monotonic() < give_up_at:
            alive(None)
        return "done"

    assert stretch(CODE, goes_on) == "done"


def test_nothing_strikes_who_comes_after_code_that_ends_at_the_very_limit(watch: HangWatch) -> None:
    """Whether it is interrupted or not is a matter of chance; what follows is not."""

    def takes(seconds: float) -> None:
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            pass

    for number in range(30):
        try:
            stretch(CODE, takes, LIMIT * (1 + number / 200))
        except CodeHangsError as error:
            assert error.seconds == LIMIT
        takes(0.001)
        assert (watch.code, watch.error) == (None, None)
    takes(2 * LIMIT)


def test_a_profiler_may_look_at_what_comes_after_code_that_was_interrupted() -> None:
    """In a process of its own: what Python still has to raise would hold it up for ever."""
    program = """
import cProfile
from durable_core.errors import CodeHangsError
from durable_core.hang_watch import Code, HangWatch, stretch
HangWatch.start(0.1)
def spins():
    while True: pass
try:
    stretch(Code("the code"), spins)
except CodeHangsError:
    cProfile.run("sum(map(abs, range(1000)))")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, timeout=120, capture_output=True, check=True)
    assert b"function calls" in done.stdout


def test_an_inner_stretch_belongs_to_the_outer_one(watch: HangWatch) -> None:
    with pytest.raises(CodeHangsError) as caught:
        stretch(Code("outer"), stretch, Code("inner"), spins)
    assert caught.value.what == "outer"


async def test_each_step_of_a_coroutine_is_a_stretch(watch: HangWatch) -> None:
    seen: list[str] = []

    async def waits_and_spins() -> None:
        for _ in range(4):
            await asyncio.sleep(LIMIT / 2)
        seen.append("waited for longer than the limit")
        try:
            await asyncio.wait_for(asyncio.sleep(60), 0.01)
        except TimeoutError:
            seen.append("was told of a timeout")
        spins()

    with pytest.raises(CodeHangsError):
        await in_stretches(waits_and_spins(), CODE)
    assert seen == ["waited for longer than the limit", "was told of a timeout"]


async def test_a_coroutine_in_stretches_is_cancelled_and_returns_like_any_other(watch: HangWatch) -> None:
    seen: list[str] = []

    async def waits() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return "never"

    async def returns() -> int:
        await asyncio.sleep(0)
        return 7

    async def main(coroutine: Any) -> Any:
        return await in_stretches(coroutine, CODE)

    task = asyncio.create_task(main(waits()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]
    assert await main(returns()) == 7


def test_a_thread_that_is_not_watched_just_calls(watch: HangWatch) -> None:
    got: list[object] = []

    def elsewhere() -> None:
        got.append(sign_of_life())
        got.append(stretch(CODE, lambda: time.sleep(2 * LIMIT) or 7))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert got == [None, 7]


def test_a_limit_of_zero_is_none() -> None:
    assert HangWatch.start(0) is None


def test_two_apps_of_one_thread_share_a_watch(watch: HangWatch) -> None:
    other = HangWatch.start(LIMIT)
    assert other is not None
    assert other is watch
    other.stop()
    with pytest.raises(CodeHangsError):
        stretch(CODE, spins)
