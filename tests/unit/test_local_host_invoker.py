"""One run of a function of the app: what becomes of it when it overruns its time, or does not let itself be ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable_core.hosting.local.functions_index import IndexedFunction, TimerTrigger
from durable_core.hosting.local.invoker import InvocationFailedError, Invoker
from durable_core.hosting.local.worker_restart import TimeoutWatch

AT_ONCE = 0.01  # seconds


def function(call: Callable[..., Any], *, is_async: bool = True) -> IndexedFunction:
    trigger = TimerTrigger(schedule="* * * * * *", run_on_startup=False)
    return IndexedFunction(
        name="f", call=call, trigger=trigger, parameter="value", wants_context=False, is_async=is_async
    )


class Stubborn:
    """A function that catches its cancellation and goes on until it is let go."""

    def __init__(self) -> None:
        self.begun, self.let_go, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, value: object) -> None:
        self.begun.set()
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
        self.ended.set()


async def test_a_function_that_ignores_its_cancellation_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = Stubborn()
    invoker = Invoker(tmp_path, AT_ONCE, patience=AT_ONCE)
    with pytest.raises(InvocationFailedError, match="functionTimeout"):
        await asyncio.wait_for(invoker.invoke(function(stubborn), None), 60)
    assert "must not suppress CancelledError" in caplog.text
    stubborn.let_go.set()
    await asyncio.wait_for(stubborn.ended.wait(), 60)


async def test_so_is_one_whose_caller_stops(tmp_path: Path) -> None:
    stubborn = Stubborn()
    invoker = Invoker(tmp_path, 600.0, patience=AT_ONCE)
    running = asyncio.create_task(invoker.invoke(function(stubborn), None))
    await stubborn.begun.wait()
    running.cancel()
    _, left = await asyncio.wait({running}, timeout=60)
    assert not left
    assert running.cancelled()
    stubborn.let_go.set()
    await asyncio.wait_for(stubborn.ended.wait(), 60)


async def test_one_that_is_cancelled_has_time_to_clean_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cleaned: list[str] = []

    async def careful(value: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(AT_ONCE)
            cleaned.append("up")

    with pytest.raises(InvocationFailedError, match="functionTimeout"):
        await Invoker(tmp_path, AT_ONCE, patience=60.0).invoke(function(careful), None)
    assert cleaned == ["up"]
    assert "must not suppress CancelledError" not in caplog.text


@pytest.mark.parametrize("error", [SystemExit(3), BaseExceptionGroup("g", [SystemExit()]), ValueError("v")])
async def test_whatever_a_function_raises_is_its_failure_and_ends_no_loop(tmp_path: Path, error: BaseException) -> None:
    async def fails(value: object) -> None:
        raise error

    def fails_in_a_thread(value: object) -> None:
        raise error

    invoker = Invoker(tmp_path, 60.0)
    for failing in (function(fails), function(fails_in_a_thread, is_async=False)):
        with pytest.raises(InvocationFailedError, match=f"raised {type(error).__name__}") as raised:
            await invoker.invoke(failing, None)
        assert raised.value.__cause__ is error


async def test_as_in_azure_the_first_function_that_overruns_ends_everything_even_if_it_holds_the_loop(
    tmp_path: Path,
) -> None:
    expired: list[str] = []
    is_over = threading.Event()

    def on_timeout(name: str) -> None:
        expired.append(name)
        is_over.set()

    async def holds_the_loop(value: object) -> str:
        assert is_over.wait(60)
        return "ended by itself, as nothing ends it here"

    invoker = Invoker(tmp_path, AT_ONCE, on_timeout=on_timeout)
    assert await invoker.invoke(function(holds_the_loop), None) == "ended by itself, as nothing ends it here"
    assert expired == ["f"]


async def test_what_ends_in_time_is_not_told_of() -> None:
    expired: list[str] = []
    is_over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_timeout(name: str) -> None:
        expired.append(name)
        loop.call_soon_threadsafe(is_over.set)

    watch = TimeoutWatch(AT_ONCE, on_timeout)
    for _ in range(100):
        watch.end(watch.begin("quick"))
    watch.begin("slow")
    await asyncio.wait_for(is_over.wait(), 60)
    assert expired == ["slow"]
