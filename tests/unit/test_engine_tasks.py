"""Tasks: what orchestrator code waits for, alone and together."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from durable_core import FailureDetails, Orchestration, OrchestrationContext, Task, activity, orchestrator
from durable_core.engine.events import (
    EventRaised,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCanceled,
    TimerFired,
)
from durable_core.errors import (
    ActivityFailedError,
    OrchestratorCodeError,
    SubOrchestrationFailedError,
    TaskCancelledError,
    TaskFailedError,
)

from .engine_driver import Driver

NO_MONEY = FailureDetails("ValueError", "no money", bases=("Exception",))


@dataclass
class Receipt:
    total: float


@activity
def charge(amount: float) -> Receipt:
    return Receipt(amount)


def two_at_once(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    return (yield from ctx.task_all([ctx.call_activity("a", 1), ctx.call_activity("b", 2)]))


def test_a_chain_calls_one_activity_after_the_other() -> None:
    def chain(ctx: OrchestrationContext) -> Orchestration[str]:
        first = yield ctx.call_activity("a", "x")
        second = yield from ctx.call_activity("b", first)
        return second

    driver = Driver(chain)
    (first,) = driver.outgoing
    assert isinstance(first, TaskScheduled)
    assert (first.task_id, first.name, first.input, first.options) == (1, "a", "x", None)
    assert first.line.startswith("unit/test_engine_tasks.py:")
    driver.tell(TaskCompleted(1, "y"))
    (second,) = driver.outgoing
    assert isinstance(second, TaskScheduled)
    assert (second.task_id, second.name, second.input) == (2, "b", "y")
    driver.tell(TaskCompleted(2, "z"))
    assert driver.result == "z"


def test_a_fan_out_gives_results_in_the_order_of_the_calls() -> None:
    driver = Driver(two_at_once)
    driver.tell(TaskCompleted(2, "second"))
    assert driver.outgoing == ()
    driver.tell(TaskCompleted(1, "first"))
    assert driver.result == ["first", "second"]


def test_a_fan_out_fails_with_its_first_failure_and_the_others_stay_pending() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        tasks = [ctx.call_activity("a"), ctx.call_activity("b")]
        try:
            yield ctx.task_all(tasks)
        except ActivityFailedError as error:
            late = yield tasks[0]
            return [error.name, late]

    driver = Driver(code)
    driver.tell(TaskFailed(2, NO_MONEY))
    assert list(driver.live.pending) == [1]
    driver.tell(TaskCompleted(1, "late"))
    assert driver.result == ["b", "late"]


def test_a_failure_after_the_fan_out_has_failed_is_harmless() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            yield ctx.task_all([ctx.call_activity("a"), ctx.call_activity("b")])
        except ActivityFailedError:
            yield ctx.call_activity("c")
        return "done"

    driver = Driver(code)
    driver.tell(TaskFailed(1, NO_MONEY), TaskFailed(2, NO_MONEY), TaskCompleted(3))
    assert driver.result == "done"


def test_no_tasks_at_all_succeed_and_cannot_race() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        none: list[Task[int]] = []
        nothing = yield from ctx.task_all(none)
        with pytest.raises(OrchestratorCodeError, match="for ever"):
            ctx.task_any([])
        return nothing

    assert Driver(code).result == []


def test_the_same_task_may_be_given_twice() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        task, other = ctx.call_activity("a"), ctx.call_activity("b")
        both = ctx.task_all([task, task])
        any_of = ctx.task_any([task, task, other, other])
        winner = yield any_of
        return [winner is task, (yield both)]

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 5))
    assert driver.result == [True, [5, 5]]


def test_the_same_task_given_twice_fails_once() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        task = ctx.call_activity("a")
        yield ctx.task_all([task, task])

    driver = Driver(code)
    driver.tell(TaskFailed(1, NO_MONEY))
    assert driver.failure.cause == NO_MONEY


def test_tasks_that_ended_before_they_were_combined_count() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        good, bad, slow = ctx.call_activity("a"), ctx.call_activity("b"), ctx.call_activity("c")
        yield good
        with contextlib.suppress(ActivityFailedError):
            yield bad
        winner = yield ctx.task_any([slow, bad, good])
        with pytest.raises(ActivityFailedError):
            yield ctx.task_all([good, slow, bad])
        return [winner is bad, (yield ctx.task_all([good]))]

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 1), TaskFailed(2, NO_MONEY))
    assert driver.result == [True, [1]]


def test_the_winner_of_a_race_is_the_task_itself_even_if_it_failed() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        first, second = ctx.call_activity("a"), ctx.call_activity("b")
        winner = yield from ctx.when_any([first, second])
        assert winner is second
        assert winner.is_completed
        assert winner.is_faulted
        assert not first.is_completed
        with pytest.raises(OrchestratorCodeError, match="no result yet"):
            _ = first.result
        with pytest.raises(ActivityFailedError):
            winner.get_result()
        return [repr(first), repr(second), repr(ctx.task_all([first, second]))]

    driver = Driver(code)
    driver.tell(TaskFailed(2, NO_MONEY))
    assert driver.result == [
        "<Task activity 'a' (task 1) pending>",
        "<Task activity 'b' (task 2) failed>",
        "<AllTask of several tasks failed>",
    ]


def test_races_and_fan_outs_can_be_nested() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        everything = ctx.task_all([ctx.call_activity("a"), ctx.call_activity("b")])
        timer = ctx.create_timer(timedelta(seconds=60))
        winner = yield ctx.task_any([everything, timer])
        timer.cancel()
        return winner.result

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 1), TaskCompleted(2, 2))
    assert driver.result == [1, 2]
    assert TimerCanceled(3) in driver.outgoing


def test_a_task_that_has_ended_gives_its_result_at_once_and_as_often_as_asked() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        good, bad = ctx.call_activity("a"), ctx.call_activity("b")
        seen = [(yield good), (yield good), good.result]
        for _ in range(2):
            try:
                yield bad
            except ActivityFailedError as error:
                seen.append(str(error))
        return seen

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 1), TaskFailed(2, NO_MONEY))
    text = "activity 'b' (task 2) failed: ValueError: no money"
    assert driver.result == [1, 1, 1, text, text]


def test_a_failure_is_raised_at_the_yield_with_what_is_known_of_it() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        try:
            yield from ctx.call_activity(charge, 3.0)
        except ActivityFailedError as error:
            return [error.task_id, error.name, error.is_caused_by(ValueError), error.failure.message]

    driver = Driver(code)
    driver.tell(TaskFailed(1, NO_MONEY))
    assert driver.result == [1, "charge", True, "no money"]


def test_a_failure_that_nobody_catches_fails_the_instance_with_its_cause_and_the_users_lines_only() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield from ctx.call_activity(charge, 3.0)

    driver = Driver(code)
    driver.tell(TaskFailed(1, NO_MONEY))
    failure = driver.failure
    assert failure.type == "durable_core.errors.ActivityFailedError"
    assert failure.cause == NO_MONEY
    assert failure.is_caused_by(ValueError)
    assert "yield from ctx.call_activity(charge, 3.0)" in failure.stack_trace
    assert "durable_core/engine" not in failure.stack_trace


def test_a_result_comes_as_the_type_that_the_activity_is_annotated_with() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        receipt = yield from ctx.call_activity(charge, 3.0)
        named = yield from ctx.call_activity("charge", 3.0, returns=Receipt)
        alias = yield from ctx.call_activity("charge", 3.0, expected_type=Receipt)
        raw = yield ctx.call_activity("charge", 3.0)
        return [receipt == named == alias == Receipt(3.0), raw]

    driver = Driver(code)
    driver.tell(*(TaskCompleted(n, {"total": 3.0}) for n in (1, 2, 3, 4)))
    assert driver.result == [True, {"total": 3.0}]


def test_a_result_of_another_type_fails_the_task() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        try:
            yield from ctx.call_activity(charge, 3.0)
        except ActivityFailedError as error:
            return str(error)

    driver = Driver(code)
    driver.tell(TaskCompleted(1, {"sum": 3.0}))
    assert "returned a result that does not fit the expected type" in driver.result
    assert "total: Field required" in driver.result


def test_code_that_changes_a_result_changes_no_history() -> None:
    def code(ctx: OrchestrationContext, order: Any) -> Orchestration[Any]:
        order["items"].append("extra")
        result = yield ctx.call_activity("a", order)
        order["items"].clear()
        result["list"].append(2)
        return [ctx.get_input(), result]

    driver = Driver(code, {"items": ["one"]})
    (scheduled,) = driver.outgoing
    answer = TaskCompleted(1, {"list": [1]})
    driver.tell(answer)
    assert driver.result == [{"items": ["one"]}, {"list": [1, 2]}]
    assert answer.result == {"list": [1]}
    assert isinstance(scheduled, TaskScheduled)
    assert scheduled.input == {"items": ["one", "extra"]}


def test_sub_orchestrations_are_called_and_answer() -> None:
    @orchestrator
    def child(ctx: OrchestrationContext, amount: float) -> Orchestration[Receipt]:
        yield ctx.call_activity(charge, amount)
        return Receipt(amount)

    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        receipt = yield from ctx.call_sub_orchestrator(child, 2.0, "the-child", version="3")
        try:
            yield from ctx.call_sub_orchestrator("other")
        except SubOrchestrationFailedError as error:
            return [receipt.total, str(error)]

    driver = Driver(code)
    (created,) = driver.outgoing
    assert isinstance(created, SubOrchestrationCreated)
    assert (created.name, created.version, created.instance_id, created.input) == ("child", "3", "the-child", 2.0)
    driver.tell(SubOrchestrationCompleted(1, {"total": 2.0}), SubOrchestrationFailed(2, NO_MONEY))
    assert driver.result == [2.0, "sub-orchestration 'other' (task 2) failed: ValueError: no money"]


def test_a_cancelled_timer_is_recorded_and_raises_where_it_is_waited_for() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        timer = ctx.create_timer(timedelta(hours=1))
        yield ctx.call_activity("a")
        timer.cancel()
        timer.cancel()
        assert timer.is_cancelled
        try:
            yield timer
        except TaskCancelledError as error:
            return [error.task_id, timer.is_faulted]

    driver = Driver(code)
    driver.tell(TaskCompleted(2), TimerFired(1))
    assert driver.result == [1, True]
    assert TimerCanceled(1) in driver.outgoing
    assert driver.turn.recorded == (TaskCompleted(2),)
    assert driver.live.knows(1) == "done"


def test_a_timer_cancelled_in_the_turn_that_made_it_never_becomes_pending() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        ctx.create_timer(timedelta(hours=1)).cancel()
        yield ctx.call_activity("a")

    driver = Driver(code)
    assert list(driver.live.pending) == list(driver.replayed().pending) == [2]


def test_cancelling_a_timer_that_has_fired_changes_nothing() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        timer = ctx.create_timer(timedelta(hours=1))
        yield timer
        timer.cancel()
        return [timer.is_cancelled, timer.result]

    driver = Driver(code)
    driver.tell(TimerFired(1))
    assert driver.result == [False, None]
    assert len(driver.outgoing) == 1


def test_a_combination_takes_tasks_and_nothing_else() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        with pytest.raises(OrchestratorCodeError, match=r"task_all takes tasks .* not 5 .*test_engine_tasks.py:\d+"):
            ctx.task_all([5])  # pyright: ignore[reportArgumentType]
        yield ctx.call_activity("a")

    assert Driver(code).live.completion is None


def test_a_task_of_another_instance_is_refused() -> None:
    kept: list[Task[Any]] = []

    def first(ctx: OrchestrationContext) -> Orchestration[None]:
        kept.append(ctx.call_activity("a"))
        yield kept[0]

    def second(ctx: OrchestrationContext) -> Orchestration[None]:
        yield kept[0]

    Driver(first)
    assert "belongs to another orchestrator instance" in Driver(second).failure.message


def test_a_failed_event_read_is_a_failed_task() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        try:
            yield from ctx.wait_for_external_event("go", int)
        except TaskFailedError as error:
            return error.name

    driver = Driver(code)
    driver.tell(EventRaised("Go", "not a number", "r1"))
    assert driver.result == "Go"
