"""Live orchestrations: stepping, replaying, ending; and what is said when code and history disagree."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from durable_core import FailureDetails, Orchestration, OrchestrationContext
from durable_core.engine.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    PatchMarked,
    Segment,
    StepCompleted,
    SubOrchestrationCompleted,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCanceled,
    TimerCreated,
    TimerFired,
)
from durable_core.errors import ActivityFailedError, DurableError, NonDeterminismError

from .engine_driver import Driver

Code = Callable[..., Orchestration[Any]]


def one_activity(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield ctx.call_activity("a"))


def a_then_b(ctx: OrchestrationContext) -> Orchestration[Any]:
    yield ctx.call_activity("a")
    return (yield ctx.call_activity("b"))


# ---------------------------------------------------------------- what is applied, and what is not


def test_a_turn_holds_what_was_told_and_what_was_decided() -> None:
    driver = Driver(one_activity, start=False)
    assert not driver.live.started
    turn = driver.tell(ExecutionStarted("one_activity", "1"))
    assert driver.live.started
    (scheduled,) = turn.outgoing
    assert turn.events == (ExecutionStarted("one_activity", "1"), scheduled)
    assert driver.live.pending[1].event == scheduled


def test_no_news_no_decisions() -> None:
    driver = Driver(one_activity)
    turn = driver.tell()
    assert turn.events == ()


def test_a_late_or_repeated_or_foreign_result_is_not_recorded() -> None:
    driver = Driver(a_then_b)
    assert [driver.live.knows(n) for n in (0, 1, 2)] == ["unknown", "pending", "unknown"]
    turn = driver.tell(
        TimerFired(1),
        SubOrchestrationCompleted(1),
        TaskCompleted(9),
        ExecutionStarted("a_then_b", "1"),
        StepCompleted(1, "step"),
        TaskCompleted(1),
        TaskCompleted(1),
        TaskFailed(1, FailureDetails("E", "m")),
    )
    assert turn.recorded == (TaskCompleted(1),)
    assert [driver.live.knows(n) for n in (0, 1, 2, 3)] == ["unknown", "done", "pending", "unknown"]


def test_events_after_the_end_are_not_recorded() -> None:
    driver = Driver(one_activity)
    turn = driver.tell(TaskCompleted(1, 5), EventRaised("go", 1, "r1"), TaskCompleted(1))
    assert turn.recorded == (TaskCompleted(1, 5),)
    assert turn.unapplied == (EventRaised("go", 1, "r1"),)
    assert driver.live.completion == ExecutionCompleted("Completed", 5)


def test_an_input_comes_as_it_is_annotated() -> None:
    @dataclass
    class Order:
        id: int

    globals()["Order"] = Order

    def code(ctx: OrchestrationContext, order: Order) -> Orchestration[Any]:
        yield ctx.call_activity("a")
        return [order.id, ctx.get_input() == order]

    driver = Driver(code, {"id": 5})
    driver.tell(TaskCompleted(1))
    assert driver.result == [5, True]
    assert "id: Input should be a valid integer" in Driver(code, {"id": "x"}).failure.message
    del globals()["Order"]


# ---------------------------------------------------------------- suspend, terminate, close


def test_what_comes_while_suspended_is_recorded_and_applied_on_resume_in_order() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        a, b = ctx.call_activity("a"), ctx.call_activity("b")
        first = yield ctx.task_any([a, b])
        return [first is b, (yield ctx.task_all([a, b]))]

    driver = Driver(code)
    turn = driver.tell(ExecutionSuspended("lunch", "r1"), TaskCompleted(2, "b"), TaskCompleted(2, "b"))
    assert driver.live.suspended
    assert turn.recorded == (ExecutionSuspended("lunch", "r1"), TaskCompleted(2, "b"))
    assert list(driver.live.pending) == [1]
    driver.tell(ExecutionSuspended("again", "r2"))
    driver.tell(TaskCompleted(1, "a"))
    assert driver.live.completion is None
    driver.live = driver.replayed()
    assert driver.live.suspended
    driver.tell(ExecutionResumed("", "r3"))
    assert not driver.live.suspended
    assert driver.result == [True, ["a", "b"]]
    assert driver.replayed().completion == driver.live.completion


def test_one_that_is_not_started_can_be_suspended() -> None:
    driver = Driver(one_activity, start=False)
    driver.tell(ExecutionSuspended())
    assert driver.tell(ExecutionStarted("one_activity", "1")).outgoing == ()
    assert len(driver.tell(ExecutionResumed()).outgoing) == 1


def test_a_timer_that_fired_while_suspended_and_is_then_cancelled_stays_cancelled() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        timer = ctx.create_timer(timedelta(1))
        yield ctx.call_activity("a")
        timer.cancel()
        yield ctx.call_activity("b")
        return timer.is_cancelled

    driver = Driver(code)
    driver.tell(ExecutionSuspended(), TaskCompleted(2), TimerFired(1))
    driver.tell(ExecutionResumed(), TaskCompleted(3))
    assert driver.result is True
    assert TimerCanceled(1) not in driver.all_outgoing  # history holds its firing: there is nothing to cancel
    assert driver.replayed().completion == driver.live.completion


def test_termination_ends_it_at_once_and_runs_finally_blocks() -> None:
    done: list[str] = []

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        try:
            yield ctx.call_activity("a")
        finally:
            done.append("finally")

    driver = Driver(code)
    driver.tell(ExecutionSuspended(), ExecutionTerminated("enough", "r1"), TaskCompleted(1))
    assert driver.live.completion == ExecutionTerminated("enough", "r1")
    assert done == ["finally"]
    assert driver.replayed().completion == driver.live.completion
    before = Driver(code, start=False)
    before.tell(ExecutionTerminated())
    assert before.live.completion is not None


@pytest.mark.parametrize("wrong", ["waits", "raises"])
def test_a_generator_that_resists_its_closing_is_logged_and_dropped(
    wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        try:
            yield ctx.call_activity("a")
        finally:
            if wrong == "raises":
                raise ValueError("no")
            yield ctx.call_activity("cleanup")

    Driver(code).live.close()
    assert "must not wait for tasks" in caplog.text


def test_every_run_of_one_orchestration_sees_its_own_context_variables() -> None:
    variable = contextvars.ContextVar("variable", default="fresh")
    seen: list[str] = []

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        try:
            seen.append(variable.get())
            variable.set("set")
            yield ctx.call_activity("a")
            seen.append(variable.get())
            yield ctx.call_activity("b")
        finally:
            seen.append(variable.get())

    variable.set("outside")
    driver = Driver(code)
    driver.tell(TaskCompleted(1))
    driver.live.close()
    assert seen == ["fresh", "set", "set"]
    assert variable.get() == "outside"


# ---------------------------------------------------------------- endings


class _Awaitable:
    def __await__(self) -> Any:
        raise NotImplementedError


def test_an_exception_fails_the_instance_and_says_where() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_activity("a")
        raise KeyError("missing")

    driver = Driver(code)
    driver.tell(TaskCompleted(1))
    assert driver.failure.type == "KeyError"
    assert 'raise KeyError("missing")' in driver.failure.stack_trace


def test_an_exit_of_the_users_code_fails_the_instance_and_not_the_host() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_activity("a")
        raise SystemExit(3)

    driver = Driver(code)
    driver.tell(TaskCompleted(1))
    assert driver.failure.type == "SystemExit"


def test_an_interrupt_that_the_code_itself_raises_is_its_failure() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        raise KeyboardInterrupt
        yield ctx.call_activity("a")

    assert Driver(code).failure.type == "KeyboardInterrupt"


def test_an_exception_that_cannot_be_shown_still_fails_the_instance() -> None:
    class Shy(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        raise Shy
        yield ctx.call_activity("a")

    assert "str() raised RuntimeError" in Driver(code).failure.message


def test_a_result_that_is_not_json_fails_the_instance_clearly() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.call_activity("a")
        return object()

    driver = Driver(code)
    driver.tell(TaskCompleted(1))
    assert "the result of orchestrator 'code'" in driver.failure.message
    assert "a value of type object cannot be written as JSON" in driver.failure.message


def test_continue_as_new_counts_when_the_orchestrator_returns() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.continue_as_new([1])
        yield ctx.call_activity("a")

    driver = Driver(code)
    assert driver.live.completion is None
    driver.tell(TaskCompleted(1))
    assert driver.live.completion == driver.outgoing[0] == ContinueAsNew([1], True)
    assert driver.replayed().completion == ContinueAsNew([1], True)


@pytest.mark.parametrize(
    ("yielded", "hint"),
    [
        (None, "a call that returns no task, such as ctx.set_custom_status(...), is written without 'yield'"),
        ([1, 2], "ctx.task_all"),
        ((n for n in range(1)), "write 'yield from'"),
        (_Awaitable(), "cannot await"),
    ],
)
def test_yielding_what_is_no_task_fails_the_instance_and_names_the_line(yielded: Any, hint: str) -> None:
    def inner(ctx: OrchestrationContext) -> Orchestration[None]:
        try:
            yield yielded
        except DurableError:
            raise AssertionError("nobody may swallow it") from None

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from inner(ctx)

    failure = Driver(code).failure
    assert failure.type == "durable_core.errors.OrchestratorCodeError"
    line = inner.__code__.co_firstlineno + 2
    assert f"unit/test_engine_replay.py:{line})" in failure.message
    assert hint in failure.message


def test_a_forgotten_yield_is_told_with_its_line_and_once(caplog: pytest.LogCaptureFixture) -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.call_activity("forgotten")
        ctx.call_activity("overlooked")
        ctx.wait_for_external_event("ignored")
        looked_at = ctx.call_activity("asked")
        assert not looked_at.is_completed
        yield ctx.call_activity("a")

    driver = Driver(code)
    driver.tell(TaskCompleted(2), TaskCompleted(4))
    driver.replayed()
    first = code.__code__.co_firstlineno
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3
    for offset, what in ((1, "activity 'forgotten'"), (2, "activity 'overlooked'"), (3, "external event 'ignored'")):
        assert any(
            what in message and f"test_engine_replay.py:{first + offset}:" in message for message in caplog.messages
        )


# ---------------------------------------------------------------- code and history disagree


def disagree(old: Code, new: Code, *incoming: Any) -> NonDeterminismError:
    driver = Driver(old)
    if incoming:
        driver.tell(*incoming)
    with pytest.raises(NonDeterminismError) as raised:
        driver.replayed(new)
    assert raised.value.instance_id == "order-7"
    return raised.value


def test_code_that_calls_b_where_history_holds_a_does_not_get_as_result() -> None:
    def calls_b(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield ctx.call_activity("b"))

    error = disagree(one_activity, calls_b)
    assert error.task_id == 1
    assert error.expected == "TaskScheduled(task_id=1, name='a')"
    assert error.actual == "TaskScheduled(task_id=1, name='b')"
    assert error.expected_at == f"unit/test_engine_replay.py:{one_activity.__code__.co_firstlineno + 1}"
    assert error.actual_at == f"unit/test_engine_replay.py:{calls_b.__code__.co_firstlineno + 1}"
    assert "renamed or replaced" in error.cause
    assert "> TaskScheduled(task_id=1, name='a')" in str(error)
    assert "  ExecutionStarted(name='one_activity')" in str(error)


def test_swapped_calls_are_recognised() -> None:
    def both(first: str, second: str) -> Code:
        def code(ctx: OrchestrationContext) -> Orchestration[Any]:
            yield ctx.task_all([ctx.call_activity(first), ctx.call_activity(second)])

        return code

    assert "another order" in disagree(both("a", "b"), both("b", "a")).cause
    assert "another order" in disagree(both("a", "b"), both("c", "a")).cause
    assert "another order" in disagree(both("a", "b"), both("b", "c")).cause


def test_another_kind_of_task_is_a_mismatch() -> None:
    def waits(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.create_timer(timedelta(1))

    error = disagree(one_activity, waits)
    assert "added or removed" in error.cause
    assert error.actual.startswith("TimerCreated(task_id=1")


def test_a_call_that_is_new_is_a_mismatch() -> None:
    def more(ctx: OrchestrationContext) -> Orchestration[Any]:
        ctx.call_activity("a")
        yield ctx.call_activity("b")

    error = disagree(one_activity, more)
    assert (error.expected, error.task_id) == ("", 2)
    assert "a call was added" in error.cause


def test_a_call_that_is_gone_is_a_mismatch_which_says_where_the_code_waits() -> None:
    def waits(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.wait_for_external_event("go")

    error = disagree(one_activity, waits)
    assert (error.actual, error.task_id) == ("", 1)
    assert error.actual_at == f"unit/test_engine_replay.py:{waits.__code__.co_firstlineno + 1}"
    assert "a call was removed" in error.cause


def test_code_that_ends_early_or_late_is_a_mismatch() -> None:
    error = disagree(a_then_b, one_activity, TaskCompleted(1))
    assert error.actual == "ExecutionCompleted(status='Completed')"
    assert "ends earlier" in error.cause
    error = disagree(one_activity, a_then_b, TaskCompleted(1))
    assert error.expected == "ExecutionCompleted(status='Completed')"


def test_code_that_ends_before_it_was_told_all_that_history_tells_is_a_mismatch() -> None:
    def for_two(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.task_all([ctx.call_activity("a"), ctx.call_activity("b")])

    def for_one(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.task_any([ctx.call_activity("a"), ctx.call_activity("b")])

    error = disagree(for_two, for_one, TaskCompleted(1), TaskCompleted(2))
    assert error.expected == "it continues with TaskCompleted(task_id=2)"
    assert error.task_id == 2
    assert "earlier than before" in error.cause


def test_code_that_fails_where_it_succeeded_is_a_mismatch() -> None:
    def fails(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.call_activity("a")
        raise ValueError

    assert "ends earlier, later or in another way" in disagree(one_activity, fails, TaskCompleted(1)).cause


def test_a_mismatch_before_the_code_runs_at_all_is_told_too() -> None:
    driver = Driver(one_activity, start=False)
    segment = Segment(0, "c", driver.now, (PatchMarked("p"),))
    with pytest.raises(NonDeterminismError) as raised:
        driver.live.replay([segment])
    assert raised.value.actual_at == ""


def test_other_inputs_times_and_results_are_no_mismatch_and_history_is_what_counts() -> None:
    def code(amount: int) -> Code:
        def orchestrate(ctx: OrchestrationContext) -> Orchestration[int]:
            ctx.call_sub_orchestrator("child", amount)
            timer = ctx.create_timer(timedelta(seconds=amount))
            yield ctx.call_activity("a", amount)
            yield timer
            return amount

        return orchestrate

    driver = Driver(code(1))
    cold = driver.replayed(code(2))
    assert cold.pending == driver.live.pending
    driver.tell(TaskCompleted(3), TimerFired(2))
    cold = driver.replayed(code(2))
    assert cold.completion == ExecutionCompleted("Completed", 2)


def test_a_replayed_call_is_historys_own_event_where_history_holds_it_next_and_nowhere_else() -> None:
    def before(ctx: OrchestrationContext) -> Orchestration[Any]:
        first = yield from ctx.task_all([ctx.call_activity("a", 1), ctx.call_activity("b", 2)])
        second = yield from ctx.call_activity("a", 3)
        return [first, second]

    def after(ctx: OrchestrationContext) -> Orchestration[Any]:
        first = yield from ctx.task_all([ctx.call_activity("a", "other"), ctx.call_activity("b", 2)])
        second = yield from ctx.call_activity("a", "new")
        return [first, second]

    driver = Driver(before)
    cold = driver.replayed(after)
    scheduled = [event for event in driver.live.history[0].events if isinstance(event, TaskScheduled)]
    assert [pending.event for pending in cold.pending.values()] == scheduled
    assert all(pending.event is event for pending, event in zip(cold.pending.values(), scheduled, strict=True))
    turn = cold.step(driver.now, [TaskCompleted(1, 1), TaskCompleted(2, 2)])
    assert [(type(event), getattr(event, "input", None)) for event in turn.outgoing] == [(TaskScheduled, "new")]


def test_a_history_can_be_replayed_piece_by_piece() -> None:
    driver = Driver(a_then_b)
    driver.tell(TaskCompleted(1))
    driver.tell(TaskCompleted(2, 5))
    cold = driver.fresh()
    for segment in driver.live.history:
        cold.replay([segment])
    assert cold.completion == driver.live.completion
    assert cold.history == driver.live.history


def test_pending_calls_are_in_order_of_their_numbers() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.task_all([ctx.call_activity(str(n)) for n in range(5)])

    driver = Driver(code)
    driver.tell(TaskCompleted(3))
    assert list(driver.live.pending) == list(driver.replayed().pending) == [1, 2, 4, 5]
    assert isinstance(driver.live.pending[1].event, TaskScheduled | TimerCreated)


def test_a_failure_can_be_handled_and_the_code_goes_on() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            yield ctx.call_activity("a")
        except ActivityFailedError:
            yield ctx.call_activity("compensate")
        return "compensated"

    driver = Driver(code)
    driver.tell(TaskFailed(1, FailureDetails("E", "m")))
    driver.live = driver.replayed()
    driver.tell(TaskCompleted(2))
    assert driver.result == "compensated"
