"""A replay that compares values: what tests ask for, as their code has not changed since."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import NonDeterminismError, Orchestration, OrchestrationContext
from durable_core.engine.events import EventRaised, TaskCompleted

from .engine_driver import Driver

Value = Callable[[], Any]
Code = Callable[[OrchestrationContext], Orchestration[Any]]


def calls_with(call: Callable[[OrchestrationContext, Any], Any], values: list[Any]) -> Code:
    """Code that hands on another value each time it runs."""
    following = iter(values)

    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        call(ctx, next(following))
        if call is not CALLS["ContinueAsNew"]:
            yield ctx.wait_for_external_event("Never")

    return code


def replay(driver: Driver) -> None:
    cold = driver.fresh()
    cold.compares_values = True
    cold.replay(driver.live.history)


CALLS: dict[str, Callable[[OrchestrationContext, Any], Any]] = {
    "TaskScheduled": lambda ctx, value: ctx.call_activity("a", value),
    "SubOrchestrationCreated": lambda ctx, value: ctx.call_sub_orchestrator("child", value),
    "TimerCreated": lambda ctx, value: ctx.create_timer(timedelta(seconds=value)),
    "ContinueAsNew": lambda ctx, value: ctx.continue_as_new(value),
}


@pytest.mark.parametrize("event", CALLS)
def test_the_same_decision_with_another_value_is_a_mismatch(event: str) -> None:
    driver = Driver(calls_with(CALLS[event], [1, 2]))
    with pytest.raises(NonDeterminismError) as raised:
        replay(driver)
    error = raised.value
    assert error.expected.startswith(event)
    assert error.expected != error.actual
    assert "the value differs at each run" in error.cause


@pytest.mark.parametrize("event", CALLS)
def test_the_same_value_is_none(event: str) -> None:
    replay(Driver(calls_with(CALLS[event], [1, 1])))


def test_what_is_sent_counts_too() -> None:
    def send(ctx: OrchestrationContext, value: Any) -> None:
        ctx.send_event("other", "Hello", value)

    replay(Driver(calls_with(send, [1, 1])))
    with pytest.raises(NonDeterminismError, match="Hello"):
        replay(Driver(calls_with(send, [1, 2])))


def test_a_long_value_is_cut() -> None:
    driver = Driver(calls_with(CALLS["TaskScheduled"], ["x" * 10_000, "y" * 10_000]))
    with pytest.raises(NonDeterminismError) as raised:
        replay(driver)
    assert raised.value.expected.endswith("xxx...")
    assert len(str(raised.value)) < 3000


def test_decisions_without_a_value_are_compared_as_ever() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        timer = ctx.create_timer(timedelta(days=1))
        yield ctx.call_activity("a")
        timer.cancel()
        return 1

    driver = Driver(code)
    driver.tell(TaskCompleted(2, None))
    assert driver.result == 1
    replay(driver)


def test_it_is_known_what_the_code_waits_for_and_where() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.task_any([ctx.wait_for_external_event("A"), ctx.wait_for_external_event("B")])
        yield ctx.wait_for_external_event("C")

    driver = Driver(code)
    line = code.__code__.co_firstlineno
    assert driver.live.awaited_events == [(name, f"unit/{_file()}:{line + 1}") for name in "AB"]
    assert driver.live.waits_at == f"unit/{_file()}:{line + 1}"
    driver.tell(EventRaised("A"))
    assert ("C", f"unit/{_file()}:{line + 2}") in driver.live.awaited_events
    assert driver.live.waits_at == f"unit/{_file()}:{line + 2}"


def _file() -> str:
    return __name__.rsplit(".", 1)[1] + ".py"
