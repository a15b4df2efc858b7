"""The end of a failed execution names the tasks whose failures have ended it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import pytest

from durable_core import FailureDetails, OrchestrationContext, TaskFailedError
from durable_core.engine.events import ExecutionCompleted, StepCompleted, TaskCompleted, TaskFailed

from .engine_driver import Driver

NO = FailureDetails("ValueError", "no")
Code = Callable[[OrchestrationContext], Generator[Any, Any, Any]]


def lets_it_pass(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    yield ctx.call_activity("fine")
    yield ctx.call_activity("bad")


def raises_another_from_it(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    yield ctx.call_activity("fine")
    try:
        yield ctx.call_activity("bad")
    except TaskFailedError as error:
        raise RuntimeError("no order") from error


def raises_another_in_its_place(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    yield ctx.call_activity("fine")
    try:
        yield ctx.call_activity("bad")
    except TaskFailedError:
        try:
            raise KeyError("deeper")
        except KeyError:
            raise RuntimeError("no order") from None


def raises_it_again_later(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    caught: list[TaskFailedError] = []
    yield ctx.call_activity("fine")
    try:
        yield ctx.call_activity("bad")
    except TaskFailedError as error:
        caught.append(error)
    raise caught[0]


def waits_for_all(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    yield ctx.task_all([ctx.call_activity("fine"), ctx.call_activity("bad")])


def within_a_helper(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    def helper() -> Generator[Any, Any, Any]:
        yield ctx.call_activity("fine")
        yield ctx.call_activity("bad")

    yield from helper()


@pytest.mark.parametrize(
    "code",
    [
        lets_it_pass,
        raises_another_from_it,
        raises_another_in_its_place,
        raises_it_again_later,
        waits_for_all,
        within_a_helper,
    ],
)
def test_the_task_that_has_failed_is_named(code: Code) -> None:
    driver = Driver(code)
    driver.tell(TaskCompleted(1))
    driver.tell(TaskFailed(2, NO))
    assert because(driver) == [2]
    again = driver.replayed().completion
    assert isinstance(again, ExecutionCompleted)
    assert again.because == [2]


def test_each_member_of_a_group_is_named_once() -> None:
    def code(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
        errors: list[Exception] = []
        for task in [ctx.call_activity("a"), ctx.call_activity("b"), ctx.call_activity("c")]:
            try:
                yield task
            except TaskFailedError as error:
                errors.append(error)
        raise ExceptionGroup("both", [*errors, ExceptionGroup("inner", [*errors, KeyError("k")])])

    driver = Driver(code)
    driver.tell(TaskFailed(3, NO), TaskCompleted(2), TaskFailed(1, NO))
    assert because(driver) == [1, 3]


def test_what_fails_while_a_failure_is_handled_is_named_alone() -> None:
    """The handler called it knowingly; run again with success, it would let the code go on."""

    def code(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
        try:
            yield ctx.call_activity("charge")
        except TaskFailedError:
            yield ctx.call_activity("tell")

    driver = Driver(code)
    driver.tell(TaskFailed(1, NO))
    driver.tell(TaskFailed(2, NO))
    assert because(driver) == [2]


def test_a_step_is_named_as_well() -> None:
    def code(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
        yield ctx.run("price", len, "tea")

    driver = Driver(code)
    driver.tell(StepCompleted(1, "price", None, NO))
    assert because(driver) == [1]


def a_fault_of_its_own(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    yield ctx.call_activity("fine")
    raise RuntimeError("no order")


def handled_before(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    with suppress(TaskFailedError):
        yield ctx.call_activity("bad")
    raise RuntimeError("something else")


def in_a_circle(ctx: OrchestrationContext) -> Generator[Any, Any, Any]:
    yield ctx.call_activity("fine")
    one, two = ValueError("1"), ValueError("2")
    one.__context__, two.__context__ = two, one
    raise one


@pytest.mark.parametrize("code", [a_fault_of_its_own, handled_before, in_a_circle])
def test_a_failure_without_a_task_names_none(code: Code) -> None:
    driver = Driver(code)
    driver.tell(TaskFailed(1, NO) if code is handled_before else TaskCompleted(1))
    assert because(driver) is None


def test_a_success_names_none() -> None:
    driver = Driver(lets_it_pass)
    driver.tell(TaskCompleted(1), TaskCompleted(2))
    assert because(driver) is None


def because(driver: Driver) -> Any:
    end = driver.all_outgoing[-1]
    assert isinstance(end, ExecutionCompleted)
    return end.because
