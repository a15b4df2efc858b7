"""Sagas: what was done is undone in reverse, each step by the usual calls."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from durable_core import (
    CompensationError,
    FailureDetails,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    Saga,
    Task,
    activity,
    orchestrator,
)
from durable_core.engine.events import SubOrchestrationCreated, TaskCompleted, TaskFailed, TaskScheduled
from durable_core.errors import ActivityFailedError

from .engine_driver import Driver

NO_MONEY = FailureDetails("ValueError", "no money")
OUT = FailureDetails("LookupError", "nobody there")


@activity
def refund(receipt: str) -> None: ...


@orchestrator
def recall(ctx: OrchestrationContext, parcel: str) -> Orchestration[None]:
    yield ctx.call_activity("stop", parcel)


def by_hand(ctx: OrchestrationContext) -> Orchestration[str]:
    saga = ctx.saga()
    try:
        for step in ("a", "b", "c"):
            yield from ctx.call_activity("do", step)
            saga.add_compensation("undo", step)
        yield from ctx.call_activity("last")
    except ActivityFailedError:
        yield from saga.compensate()
        raise
    return "done"


def called(driver: Driver) -> list[tuple[str, Any]]:
    return [
        (event.name, event.input)
        for event in driver.outgoing
        if isinstance(event, TaskScheduled | SubOrchestrationCreated)
    ]


def test_without_a_failure_nothing_is_undone() -> None:
    driver = Driver(by_hand)
    for task_id in (1, 2, 3, 4):
        driver.tell(TaskCompleted(task_id))
    assert driver.result == "done"
    assert all(event.name != "undo" for event in driver.all_outgoing if isinstance(event, TaskScheduled))


def test_compensations_run_in_reverse_one_after_the_other_and_the_failure_is_raised_on() -> None:
    driver = Driver(by_hand)
    for task_id in (1, 2, 3):
        driver.tell(TaskCompleted(task_id))
    driver.tell(TaskFailed(4, NO_MONEY))
    undone = [*called(driver)]
    for task_id in (5, 6, 7):
        driver.tell(TaskCompleted(task_id))
        undone += called(driver)
    assert undone == [("undo", "c"), ("undo", "b"), ("undo", "a")]
    assert driver.failure.is_caused_by(ValueError)
    assert driver.replayed().completion == driver.live.completion


def test_only_what_was_done_is_undone() -> None:
    driver = Driver(by_hand)
    driver.tell(TaskCompleted(1))
    driver.tell(TaskFailed(2, NO_MONEY))
    assert called(driver) == [("undo", "a")]
    driver.tell(TaskCompleted(3))
    assert driver.failure.is_caused_by(ValueError)


def test_a_compensation_that_fails_does_not_stop_the_others_and_all_failures_are_told() -> None:
    driver = Driver(by_hand)
    for task_id in (1, 2, 3):
        driver.tell(TaskCompleted(task_id))
    driver.tell(TaskFailed(4, NO_MONEY))
    driver.tell(TaskFailed(5, OUT))
    driver.tell(TaskCompleted(6))
    driver.tell(TaskFailed(7, OUT))
    failure = driver.failure
    assert failure.is_caused_by(CompensationError)
    assert failure.message.startswith("2 compensations of a saga failed and must be done by hand: 'undo': ")
    assert failure.message.count("nobody there") == 2
    assert failure.cause is not None
    assert failure.is_caused_by(ValueError), "what made the saga compensate is its cause"


def with_a_body(ctx: OrchestrationContext, fails: bool) -> Orchestration[str]:
    def undo_by_hand(name: str) -> Generator[Task[Any], Any, None]:
        yield from ctx.call_activity("look", name)
        yield from ctx.call_activity("clean", name)

    def body(saga: Saga) -> Generator[Task[Any], Any, str]:
        saga.add_compensation(refund, "r1", retry=RetryPolicy(max_attempts=7))
        saga.add_compensation(recall, "p1")
        saga.add_compensation(undo_by_hand, "table")
        yield from ctx.call_activity("ship")
        if fails:
            raise ArithmeticError("the sum is wrong")
        return "shipped"

    return (yield from ctx.run_saga(body))


def test_run_saga_gives_what_its_body_returns() -> None:
    driver = Driver(with_a_body, False)
    driver.tell(TaskCompleted(1))
    assert driver.result == "shipped"


def test_run_saga_compensates_by_activities_orchestrators_and_generators_and_raises_on() -> None:
    driver = Driver(with_a_body, True)
    driver.tell(TaskCompleted(1))
    undone = [*called(driver)]
    for task_id in (2, 3):
        driver.tell(TaskCompleted(task_id))
        undone += called(driver)
    assert undone == [("look", "table"), ("clean", "table"), ("recall", "p1")]
    assert isinstance(driver.outgoing[0], SubOrchestrationCreated)
    driver = Driver(with_a_body, True)
    driver.tell(TaskCompleted(1))
    driver.tell(TaskFailed(2, OUT))
    assert called(driver) == [("recall", "p1")]


def test_a_compensation_has_the_retry_given_to_it() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        saga = ctx.saga()
        saga.add_compensation(refund, "r1", retry=RetryPolicy(max_attempts=7))
        yield from saga.compensate()

    driver = Driver(code)
    retry = driver.live.pending[1].retry
    assert retry is not None
    assert retry.max_attempts == 7


def test_the_failed_compensations_and_their_errors_can_be_asked_for() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        saga = ctx.saga()
        saga.add_compensation(refund, "r1")
        try:
            yield from saga.compensate()
        except CompensationError as error:
            return [(name, isinstance(failed, ActivityFailedError)) for name, failed in error.failures]

    driver = Driver(code)
    driver.tell(TaskFailed(1, OUT))
    assert driver.result == [["refund", True]]


def test_what_was_undone_is_not_undone_again() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        saga = ctx.saga()
        saga.add_compensation(refund, "r1")
        yield from saga.compensate()
        yield from saga.compensate()

    driver = Driver(code)
    driver.tell(TaskCompleted(1))
    assert driver.result is None
    assert len(driver.all_outgoing) == 2


@pytest.mark.parametrize("ended", [True, False])
def test_an_orchestrator_that_is_dropped_or_terminated_compensates_nothing(ended: bool) -> None:
    from durable_core.engine.events import ExecutionTerminated

    driver = Driver(with_a_body, False)
    if ended:
        driver.tell(ExecutionTerminated("enough", "r1"))
    else:
        driver.live.close()
    assert [event for event in driver.all_outgoing if isinstance(event, TaskScheduled)][1:] == []
