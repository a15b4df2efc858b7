"""Cancellation, the end of a run's time, and how both reach sub-orchestrations, seen by the engine alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Saga, TaskCancelledError, TaskTimeoutError
from durable_core.engine.events import (
    CancelRequested,
    EventRaised,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    ExecutionTimedOut,
    RequestSent,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskScheduled,
    TimerCanceled,
    TimerFired,
    from_array,
    to_array,
)
from durable_core.models import FailureDetails, RuntimeStatus, type_name

from .engine_driver import START, Driver

CANCEL = CancelRequested("changed my mind", "row1", recursive=True)


def ended_as_canceled(driver: Driver) -> bool:
    end = driver.live.completion
    return isinstance(end, ExecutionCompleted) and end.status == RuntimeStatus.CANCELED and end.failure is None


def test_an_orchestrator_that_lets_the_error_through_ends_as_canceled_with_the_reason() -> None:
    def order(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_activity("pay")

    driver = Driver(order)
    driver.tell(CANCEL)
    assert driver.live.completion == ExecutionCompleted("Canceled", "changed my mind")
    assert driver.replayed().completion == driver.live.completion


def with_clean_up(ctx: OrchestrationContext) -> Orchestration[None]:
    try:
        yield ctx.call_activity("pay")
    finally:
        yield ctx.call_activity("refund")


def test_clean_up_may_wait_for_tasks_before_the_end() -> None:
    driver = Driver(with_clean_up)
    driver.tell(CANCEL)
    assert [event.name for event in driver.outgoing if isinstance(event, TaskScheduled)] == ["refund"]
    assert driver.live.completion is None
    driver.tell(TaskCompleted(1, "paid after all: nobody hears of it"))
    assert driver.live.completion is None
    driver.tell(TaskCompleted(2))
    assert ended_as_canceled(driver)


def test_one_that_catches_the_error_and_returns_is_completed() -> None:
    def order(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            yield ctx.call_activity("pay")
        except TaskCancelledError as error:
            return str(error)
        return "paid"

    driver = Driver(order)
    driver.tell(CANCEL)
    assert driver.result == "the orchestration was cancelled: changed my mind"


def test_another_error_during_clean_up_is_a_failure() -> None:
    def order(ctx: OrchestrationContext) -> Orchestration[None]:
        try:
            yield ctx.call_activity("pay")
        finally:
            raise ValueError("the clean-up is broken")

    driver = Driver(order)
    driver.tell(CANCEL)
    assert driver.failure.type == "ValueError"


def test_a_request_that_comes_with_the_start_is_raised_at_the_first_yield() -> None:
    reached: list[str] = []

    def order(ctx: OrchestrationContext) -> Orchestration[None]:
        reached.append("began")
        yield ctx.call_activity("pay")
        reached.append("paid")

    driver = Driver(order, start=False)
    driver.tell(ExecutionStarted("order", "1"), CANCEL)
    assert ended_as_canceled(driver)
    assert reached == ["began"]


def test_a_request_without_a_start_ends_it_without_a_line_of_its_code() -> None:
    def order(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_activity("pay")

    driver = Driver(order, start=False)
    driver.tell(CANCEL)
    assert ended_as_canceled(driver)
    assert driver.all_outgoing == [driver.live.completion]


def test_a_second_request_does_not_disturb_the_clean_up() -> None:
    driver = Driver(with_clean_up)
    driver.tell(CANCEL)
    turn = driver.tell(CancelRequested("at once!", "row2", recursive=True))
    assert turn.recorded == (CancelRequested("at once!", "row2", recursive=True),)
    assert turn.outgoing == ()
    driver.tell(TaskCompleted(2))
    assert driver.live.completion == ExecutionCompleted("Canceled", "changed my mind")


def test_while_suspended_it_waits_for_the_resume() -> None:
    def order(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_activity("pay")

    driver = Driver(order)
    driver.tell(ExecutionSuspended("", "row0"), CANCEL)
    assert driver.live.completion is None
    driver.tell(ExecutionResumed("", "row2"))
    assert ended_as_canceled(driver)


def test_a_request_held_while_suspended_is_not_lost_when_the_code_continues_as_new() -> None:
    def order(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_activity("pay")
        ctx.continue_as_new()

    driver = Driver(order)
    driver.tell(ExecutionSuspended("", "row0"), TaskCompleted(1), CANCEL, ExecutionResumed("", "row2"))
    assert driver.live.unreceived_requests() == [CANCEL]
    assert driver.replayed().unreceived_requests() == [CANCEL]


def test_the_timer_that_it_waited_for_is_cancelled_and_the_event_goes_to_the_clean_up() -> None:
    def approval(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            yield ctx.task_any([ctx.wait_for_external_event("answer"), ctx.create_timer(timedelta(days=3))])
        except TaskCancelledError:
            answer = yield from ctx.wait_for_external_event("answer", str)
            return answer
        return "in time"

    driver = Driver(approval)
    driver.tell(CANCEL)
    assert driver.outgoing == (TimerCanceled(1),)
    assert not driver.live.pending
    driver.tell(EventRaised("Answer", "too late", "row2"))
    assert driver.result == "too late"


def test_what_it_waited_for_can_be_waited_for_again() -> None:
    def order(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        packing = ctx.task_all([ctx.call_activity("pack", returns=int), ctx.call_activity("pack", returns=int)])
        try:
            packed = yield from packing
        except TaskCancelledError:
            packed = yield from packing
        return packed

    driver = Driver(order)
    driver.tell(TaskCompleted(1, 1), CANCEL, TaskCompleted(2, 2))
    assert driver.result == [1, 2]


def family(ctx: OrchestrationContext) -> Orchestration[Any]:
    done = ctx.call_sub_orchestrator("done")
    yield done
    one = ctx.call_sub_orchestrator("one")
    two = ctx.call_sub_orchestrator("two")
    try:
        yield ctx.task_all([one, two])
    finally:
        yield ctx.call_sub_orchestrator("clean")


def test_open_sub_orchestrations_get_the_same_request_and_new_ones_do_not() -> None:
    driver = Driver(family)
    driver.tell(SubOrchestrationCompleted(1))
    driver.tell(CANCEL)
    sent = [event for event in driver.outgoing if isinstance(event, RequestSent)]
    assert sent == [RequestSent(2, "cancel", "changed my mind"), RequestSent(3, "cancel", "changed my mind")]
    assert isinstance(driver.outgoing[-1], SubOrchestrationCreated)
    assert driver.replayed().pending == driver.live.pending


def test_a_request_for_this_instance_alone_stays_here() -> None:
    driver = Driver(family)
    driver.tell(SubOrchestrationCompleted(1))
    driver.tell(CancelRequested("", "row1"))
    assert not [event for event in driver.all_outgoing if isinstance(event, RequestSent)]


def test_a_termination_goes_on_to_the_children_without_running_the_code() -> None:
    driver = Driver(family)
    driver.tell(SubOrchestrationCompleted(1))
    driver.tell(ExecutionTerminated("enough", "row1", recursive=True))
    assert driver.outgoing == (RequestSent(2, "terminate", "enough"), RequestSent(3, "terminate", "enough"))


def test_a_history_of_before_requests_went_on_is_still_replayed() -> None:
    driver = Driver(family)
    driver.tell(SubOrchestrationCompleted(1))
    old = from_array(["XT", "enough", "row1"])
    assert isinstance(old, ExecutionTerminated)
    driver.tell(old)
    assert driver.outgoing == ()
    assert driver.replayed().completion == old


def test_a_run_out_of_time_fails_with_a_timeout_and_ends_its_children() -> None:
    driver = Driver(family)
    driver.tell(SubOrchestrationCompleted(1))
    driver.tell(ExecutionSuspended("", "row0"), ExecutionTimedOut(START))
    assert driver.failure.type == type_name(TaskTimeoutError)
    assert [event.child for event in driver.outgoing if isinstance(event, RequestSent)] == [2, 3]
    assert driver.replayed().completion == driver.live.completion


def test_the_parent_of_a_run_out_of_time_gets_a_timeout() -> None:
    def parent(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            yield ctx.call_sub_orchestrator("slow", timeout=timedelta(hours=1))
        except TaskTimeoutError as error:
            return error.name
        return "in time"

    driver = Driver(parent)
    created = driver.outgoing[0]
    assert isinstance(created, SubOrchestrationCreated)
    assert created.options == {"timeout": 3600.0}
    driver.tell(SubOrchestrationFailed(1, FailureDetails(type_name(TaskTimeoutError), "too slow")))
    assert driver.result == "slow"


@pytest.mark.parametrize("timeout", [timedelta(0), timedelta(seconds=-1)])
def test_a_timeout_that_leaves_no_time_is_refused_with_the_line(timeout: timedelta) -> None:
    def parent(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_sub_orchestrator("slow", timeout=timeout)

    failure = Driver(parent).failure
    assert "must be positive" in failure.message
    assert "test_engine_cancel.py:" in failure.message


@pytest.mark.parametrize(
    "event",
    [
        CANCEL,
        CancelRequested(),
        ExecutionTimedOut(START),
        ExecutionTerminated("", "", True),
        RequestSent(3, "cancel", "x"),
    ],
)
def test_the_new_events_are_stored_and_read_back(event: Any) -> None:
    assert from_array(to_array(event)) == event


def test_a_timer_that_fired_in_the_same_turn_is_not_cancelled() -> None:
    def waits(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.create_timer(timedelta(seconds=5))
        yield ctx.call_activity("pay")

    driver = Driver(waits)
    driver.tell(TimerFired(1), CANCEL)
    assert TimerCanceled(1) not in driver.outgoing
    assert ended_as_canceled(driver)


def test_nothing_more_is_called_out_of_a_lazy_task_all_that_was_cancelled() -> None:
    def order(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            yield ctx.task_all((ctx.call_activity("pack", n) for n in range(9)), max_concurrency=2)
        except TaskCancelledError:
            yield ctx.call_activity("refund")
        return "refunded"

    driver = Driver(order)
    driver.tell(TaskCompleted(1), CANCEL)
    driver.tell(TaskCompleted(2), TaskCompleted(3))
    names = [event.name for event in driver.all_outgoing if isinstance(event, TaskScheduled)]
    assert names == ["pack"] * 3 + ["refund"]
    assert driver.replayed().pending.keys() == driver.live.pending.keys()


def test_a_durable_http_call_that_was_cancelled_polls_no_more() -> None:
    def order(ctx: OrchestrationContext) -> Orchestration[str]:
        call = ctx.call_http("POST", "https://example.com/jobs")
        try:
            yield call
        except TaskCancelledError:
            yield ctx.wait_for_external_event("bye")
        return f"{call.is_faulted}"

    driver = Driver(order)
    driver.tell(CANCEL)
    accepted = {"status": 202, "headers": {"Location": "https://example.com/jobs/1"}, "content": ""}
    driver.tell(TaskCompleted(1, accepted))
    assert driver.outgoing == ()
    driver.tell(EventRaised("bye", None, "row2"))
    assert driver.result == "True"


def test_a_saga_undoes_what_was_done_when_it_is_cancelled() -> None:
    def order(ctx: OrchestrationContext) -> Orchestration[None]:
        def body(saga: Saga) -> Orchestration[None]:
            yield from ctx.call_activity("pay")
            saga.add_compensation("refund")
            yield from ctx.call_activity("ship")

        yield from ctx.run_saga(body)

    driver = Driver(order)
    driver.tell(TaskCompleted(1), CANCEL)
    assert [event.name for event in driver.outgoing if isinstance(event, TaskScheduled)] == ["ship", "refund"]
    driver.tell(TaskCompleted(3))
    assert ended_as_canceled(driver)
