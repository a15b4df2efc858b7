"""External events: each delivered once, in order, to who waits for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from durable_core import Orchestration, OrchestrationContext
from durable_core.engine.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    TaskCompleted,
    TimerFired,
)

from .engine_driver import Driver


def event(name: str, data: object, row: int) -> EventRaised:
    return EventRaised(name, data, f"row{row}")


def test_two_events_of_one_name_raised_before_the_wait_are_both_delivered_in_order() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.call_activity("a")
        first = yield ctx.wait_for_external_event("Go")
        second = yield ctx.wait_for_external_event("gO")
        return [first, second]

    driver = Driver(code)
    driver.tell(event("go", 1, 1), event("GO", 2, 2))
    assert [e.data for e in driver.live.unconsumed_events()] == [1, 2]
    driver.tell(TaskCompleted(1))
    assert driver.result == [1, 2]
    assert driver.live.unconsumed_events() == []


def test_an_event_that_comes_before_the_start_is_kept() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield ctx.wait_for_external_event("go"))

    driver = Driver(code, start=False)
    driver.tell(event("go", 1, 1), ExecutionStarted("code", "1"))
    assert driver.result == 1


def test_the_same_inbox_row_is_delivered_once() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return [(yield ctx.wait_for_external_event("go")), (yield ctx.wait_for_external_event("go"))]

    driver = Driver(code)
    driver.tell(event("go", 1, 1), event("go", 1, 1))
    assert driver.turn.recorded == (event("go", 1, 1),)
    driver.live = driver.replayed()
    driver.tell(event("go", 1, 1), event("go", 2, 2), ExecutionResumed("", "row1"))
    assert driver.result == [1, 2]


def test_events_without_a_row_are_never_taken_for_duplicates() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return [(yield ctx.wait_for_external_event("go")), (yield ctx.wait_for_external_event("go"))]

    driver = Driver(code)
    driver.tell(EventRaised("go", 1), EventRaised("go", 1))
    assert driver.result == [1, 1]


def test_waiters_are_served_in_the_order_of_their_calls() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        waiters = [ctx.wait_for_external_event("go") for _ in range(3)]
        return (yield ctx.task_all(waiters))

    driver = Driver(code)
    driver.tell(event("go", 1, 1), event("go", 2, 2), event("go", 3, 3))
    assert driver.result == [1, 2, 3]


def test_a_waiter_that_lost_its_race_takes_no_event_from_the_next_one() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        while True:
            going, timer = ctx.wait_for_external_event("go"), ctx.create_timer(timedelta(minutes=1))
            if (yield ctx.task_any([going, timer])) is going:
                return going.result
            yield ctx.call_activity("remind")

    driver = Driver(code)
    driver.tell(TimerFired(1))
    driver.tell(event("go", "now", 1))  # while nobody waits but the waiter that lost
    driver.tell(TaskCompleted(2))
    assert driver.result == "now"


def test_a_waiter_that_lost_its_race_gets_its_event_when_it_is_waited_for_again() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        going, timer = ctx.wait_for_external_event("go"), ctx.create_timer(timedelta(minutes=1))
        yield ctx.task_any([going, timer])
        yield ctx.call_activity("remind")
        return [going.is_completed, (yield going)]

    early = Driver(code)
    early.tell(TimerFired(1), event("go", "early", 1), TaskCompleted(2))
    assert early.result == [True, "early"]
    late = Driver(code)
    late.tell(TimerFired(1), TaskCompleted(2), event("go", "late", 1))
    assert late.result == [False, "late"]


def test_a_waiter_that_comes_back_has_its_old_place() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        old, timer = ctx.wait_for_external_event("go"), ctx.create_timer(timedelta(minutes=1))
        yield ctx.task_any([old, timer])
        yield ctx.wait_for_external_event("go")  # takes the loser out of the line
        new = ctx.wait_for_external_event("go")
        return (yield ctx.task_all([new, old]))

    driver = Driver(code)
    driver.tell(TimerFired(1), event("go", 0, 1), event("go", 1, 2), event("go", 2, 3))
    assert driver.result == [2, 1]


def test_waiters_within_a_fan_out_that_lost_come_back_with_it() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        both = ctx.task_all([ctx.wait_for_external_event("a"), ctx.wait_for_external_event("b")])
        timer = ctx.create_timer(timedelta(minutes=1))
        yield ctx.task_any([both, timer])
        yield ctx.call_activity("remind")
        again = yield ctx.task_any([both, ctx.create_timer(timedelta(minutes=1))])
        return [again is both, (yield both)]

    driver = Driver(code)
    driver.tell(TimerFired(1), event("a", 1, 1), event("b", 2, 2))
    assert len(driver.live.unconsumed_events()) == 2
    driver.tell(TaskCompleted(2))
    assert driver.result == [True, [1, 2]]


def test_a_waiter_in_two_races_is_wanted_while_one_of_them_is_open() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        going = ctx.wait_for_external_event("go")
        short = ctx.task_any([going, ctx.call_activity("a")])
        long = ctx.task_any([going, ctx.call_activity("b")])
        yield short
        winner = yield long
        return winner is going

    driver = Driver(code)
    driver.tell(TaskCompleted(1), event("go", None, 1))
    assert driver.result is True


def test_what_was_not_delivered_is_there_for_continue_as_new() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.wait_for_external_event("go")
        ctx.continue_as_new({"round": 2}, keep_events=False)
        ctx.continue_as_new({"round": 3})

    driver = Driver(code)
    turn = driver.tell(event("other", 1, 1), event("go", 2, 2), event("other", 1, 1), event("late", 3, 3))
    assert driver.live.completion == ContinueAsNew({"round": 3}, True)
    assert driver.live.unconsumed_events() == [event("other", 1, 1)]
    assert turn.unapplied == (event("late", 3, 3),)


def test_events_held_while_suspended_are_not_lost_when_the_resumed_code_ends_before_them() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.wait_for_external_event("go")
        ctx.continue_as_new(None)

    driver = Driver(code)
    driver.tell(ExecutionSuspended(), event("go", 1, 1), event("go", 2, 2))
    assert driver.live.unconsumed_events() == [event("go", 1, 1), event("go", 2, 2)]
    driver.tell(ExecutionResumed())
    assert driver.live.unconsumed_events() == [event("go", 2, 2)]


def test_a_call_made_while_closing_stands_in_no_line() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        try:
            yield ctx.wait_for_external_event("go")
        finally:
            assert not ctx.wait_for_external_event("stop").is_completed

    driver = Driver(code)
    driver.tell(event("stop", 1, 1))
    driver.tell(ExecutionTerminated("enough"))
    assert driver.live.unconsumed_events() == [event("stop", 1, 1)]
