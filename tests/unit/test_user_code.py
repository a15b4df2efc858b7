"""What of all that code may raise is its own failure, and what is an interrupt of it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext
from durable_core.errors import DeterminismError
from durable_core.user_code import Interruption, Raised, called, is_interrupt, raise_unless_failure

from .engine_driver import Driver


@pytest.fixture(autouse=True)
def ctrl_c_is_obeyed() -> Iterator[None]:
    """A process that a shell has put into the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def raises_it() -> None:
    raise KeyboardInterrupt("a library's way to give up")


def cleans_up_after(fn: Callable[[], None]) -> None:
    try:
        fn()
    except KeyboardInterrupt:
        raise


def test_ctrl_c_is_an_interrupt_wherever_it_strikes() -> None:
    for code in (ctrl_c, lambda: cleans_up_after(ctrl_c)):
        with pytest.raises(KeyboardInterrupt):
            called(code)


def test_ctrl_c_in_an_orchestrator_is_no_failure_of_its_instance() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        ctrl_c()
        yield ctx.call_activity("a")

    with pytest.raises(KeyboardInterrupt):
        Driver(code)


def test_ctrl_c_under_asyncios_own_handler_is_one_too() -> None:
    async def main() -> object:
        task = asyncio.current_task()
        assert task is not None
        ctrl_c()  # the first cancels the task, the second interrupts it
        with pytest.raises(KeyboardInterrupt):
            called(ctrl_c)
        task.uncancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return "cancelled"
        return "not cancelled"

    assert asyncio.run(main()) == "cancelled"


def test_one_that_the_code_raises_is_its_failure() -> None:
    for code in (raises_it, lambda: cleans_up_after(raises_it)):
        assert isinstance(called(code), Raised)


def test_it_stays_a_failure_when_it_is_raised_again_without_its_traceback() -> None:
    raised = called(raises_it)
    assert isinstance(raised, Raised)

    def waits() -> Any:
        yield

    generator = waits()
    next(generator)
    assert called(generator.throw, raised.error.with_traceback(None)) == raised


def test_in_another_thread_than_the_main_one_there_is_no_ctrl_c() -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(is_interrupt(KeyboardInterrupt())))
    thread.start()
    thread.join()
    assert found == [False]


@pytest.mark.parametrize("error", [ValueError("v"), SystemExit(3), GeneratorExit(), asyncio.CancelledError()], ids=repr)
def test_everything_else_is_a_failure(error: BaseException) -> None:
    def fails() -> None:
        raise error

    assert called(fails) == Raised(error)
    raise_unless_failure(error)


@pytest.mark.parametrize("error", [Interruption("end"), DeterminismError(used="u", location="l", replacement="r")])
def test_what_the_framework_raises_through_the_code_is_none(error: BaseException) -> None:
    with pytest.raises(type(error)):
        raise_unless_failure(error)
