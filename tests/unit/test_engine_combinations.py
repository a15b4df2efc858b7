"""Combinations: pulled lazily, in order of their end, all settled; all of them the same at every replay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_core import FailureDetails, Orchestration, OrchestrationContext, Task, TaskFailedError
from durable_core.engine.events import EventRaised, TaskCompleted, TaskFailed, TaskScheduled, TimerCreated, TimerFired
from durable_core.errors import ActivityFailedError

from .engine_driver import Driver

NO_MONEY = FailureDetails("ValueError", "no money", bases=("Exception",))


def scheduled(driver: Driver) -> list[int]:
    """The inputs of the activities that the last turn called."""
    return [event.input for event in driver.outgoing if isinstance(event, TaskScheduled)]


def same_when_cold(driver: Driver) -> None:
    cold = driver.replayed()
    assert list(cold.pending.items()) == list(driver.live.pending.items())
    assert cold.completion == driver.live.completion
    cold.close()


def squares(count: int, limit: int) -> Callable[[OrchestrationContext], Orchestration[list[Any]]]:
    def code(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        calls = (ctx.call_activity("square", n) for n in range(count))
        return (yield from ctx.task_all(calls, max_concurrency=limit))

    return code


# ---------------------------------------------------------------- task_all with max_concurrency


def test_only_so_many_tasks_are_called_at_a_time() -> None:
    driver = Driver(squares(5, 2))
    assert scheduled(driver) == [0, 1]
    driver.tell(TaskCompleted(2, 1))
    assert scheduled(driver) == [2]
    driver.tell(TaskCompleted(1, 0), TaskCompleted(3, 4))
    assert scheduled(driver) == [3, 4]
    same_when_cold(driver)
    driver.tell(TaskCompleted(5, 16), TaskCompleted(4, 9))
    assert driver.result == [0, 1, 4, 9, 16]
    same_when_cold(driver)


def test_of_no_tasks_it_gives_an_empty_list_at_once() -> None:
    assert Driver(squares(0, 3)).result == []


def test_a_failure_stops_the_pulling_and_what_runs_runs_on() -> None:
    driver = Driver(squares(9, 3))
    driver.tell(TaskFailed(2, NO_MONEY))
    assert driver.failure.is_caused_by(ValueError)
    assert scheduled(driver) == []
    same_when_cold(driver)


def test_tasks_are_pulled_whatever_the_code_waits_for_meanwhile() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        both = ctx.task_all((ctx.call_activity("a", n) for n in range(3)), max_concurrency=1)
        yield from ctx.create_timer(timedelta(hours=1))
        return (yield from both)

    driver = Driver(code)
    assert scheduled(driver) == [0]
    driver.tell(TaskCompleted(1, "x"))
    assert scheduled(driver) == [1]
    driver.tell(TimerFired(2), TaskCompleted(3, "y"), TaskCompleted(4, "z"))
    assert driver.result == ["x", "y", "z"]
    same_when_cold(driver)


def test_what_the_iterable_raises_is_raised_where_it_is_waited_for() -> None:
    def bad(ctx: OrchestrationContext) -> Iterator[Task[Any]]:
        yield ctx.call_activity("a", 1)
        raise LookupError("no more")

    def code(ctx: OrchestrationContext) -> Orchestration[str]:
        everything = ctx.task_all(bad(ctx), max_concurrency=5)
        try:
            yield from everything
        except LookupError as error:
            return str(error)
        return "?"

    assert Driver(code).result == "no more"


def test_tasks_that_have_ended_when_they_are_pulled_take_no_place() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        yield from ctx.create_timer(timedelta(seconds=5))
        waiters = (ctx.wait_for_external_event("go") for _ in range(3))
        return (yield from ctx.task_all(waiters, max_concurrency=1))

    driver = Driver(code)
    driver.tell(EventRaised("go", 1, "r1"), EventRaised("GO", 2, "r2"), TimerFired(1))
    assert driver.live.completion is None
    driver.tell(EventRaised("go", 3, "r3"))
    assert driver.result == [1, 2, 3]
    same_when_cold(driver)


def test_an_iterable_that_ends_tasks_itself_is_not_pulled_twice_at_once() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[bool]:
        timers: list[Any] = []

        def calls() -> Iterator[Task[Any]]:
            for _ in range(3):
                for timer in timers:
                    timer.cancel()
                timers.append(ctx.create_timer(timedelta(hours=1)))
                yield timers[-1]

        try:
            yield from ctx.task_all(calls(), max_concurrency=2)
        except TaskFailedError:
            return True
        return False

    driver = Driver(code)
    assert driver.result is True
    same_when_cold(driver)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_under_one_is_refused_with_the_line(limit: int) -> None:
    failure = Driver(squares(1, limit)).failure
    assert "at least 1" in failure.message
    assert "test_engine_combinations.py:" in failure.message


def test_a_list_with_a_limit_is_refused_as_its_tasks_are_called_already() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield from ctx.task_all([ctx.call_activity("a", n) for n in range(3)], max_concurrency=1))

    assert "give a generator" in Driver(code).failure.message


def test_a_lazy_iterable_of_something_else_fails_the_task() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield from ctx.task_all((n for n in range(3)), max_concurrency=1))  # pyright: ignore

    assert "takes tasks that this orchestrator's context has returned, not 0" in Driver(code).failure.message


# ---------------------------------------------------------------- as_completed


def in_order(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    seen: list[Any] = []
    for task in ctx.as_completed([ctx.call_activity("a", n) for n in range(4)]):
        try:
            seen.append((yield from task))
        except ActivityFailedError as error:
            seen.append(error.task_id)
    return seen


def test_tasks_come_in_the_order_of_their_ends_with_results_and_failures() -> None:
    driver = Driver(in_order)
    driver.tell(TaskCompleted(3, "third"))
    driver.tell(TaskFailed(1, NO_MONEY), TaskCompleted(4, "fourth"))
    same_when_cold(driver)
    driver.tell(TaskCompleted(2, "second"))
    assert driver.result == ["third", 1, "fourth", "second"]
    same_when_cold(driver)


def test_each_tells_which_task_it_was() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        calls = [ctx.call_activity("a", n, returns=int) for n in range(3)]
        order: list[int] = []
        for task in ctx.as_completed(calls):
            yield from task
            order.append(calls.index(task.origin))
        return order

    driver = Driver(code)
    driver.tell(TaskCompleted(2, 0), TaskCompleted(3, 0))
    driver.tell(TaskCompleted(1, 0))
    assert driver.result == [1, 2, 0]


def test_asked_too_early_which_task_it_was_it_says_what_to_do() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.create_timer(timedelta(0))
        return next(ctx.as_completed([ctx.call_activity("a")])).origin

    driver = Driver(code)
    driver.tell(TimerFired(1))
    assert "wait for it with 'yield from'" in driver.failure.message


def test_the_loop_may_be_left_early_and_taken_up_again() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        ends = ctx.as_completed([ctx.call_activity("a", n) for n in range(3)])
        first = yield from next(ends)
        yield from ctx.create_timer(timedelta(seconds=1))
        second = yield from next(ends)
        return [first, second]

    driver = Driver(code)
    driver.tell(TaskCompleted(3, "c"), TaskCompleted(2, "b"))
    driver.tell(TimerFired(4))
    assert driver.result == ["c", "b"]
    same_when_cold(driver)


def test_two_may_be_waited_for_at_once() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        ends = ctx.as_completed([ctx.call_activity("a", n) for n in range(3)])
        return (yield from ctx.task_all([next(ends), next(ends)]))

    driver = Driver(code)
    driver.tell(TaskCompleted(3, "c"))
    driver.tell(TaskCompleted(1, "a"))
    assert driver.result == ["c", "a"]


def test_of_no_tasks_the_loop_is_not_entered() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[int]:
        yield ctx.create_timer(timedelta(0))
        nothing: list[Task[int]] = []
        return len(list(ctx.as_completed(nothing)))

    driver = Driver(code)
    driver.tell(TimerFired(1))
    assert driver.result == 0


# ---------------------------------------------------------------- gather


def test_gather_gives_a_tuple_and_fails_fast_by_default() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        first, second = yield from ctx.gather(ctx.call_activity("a"), ctx.call_activity("b"))
        return {"first": first, "second": second}

    driver = Driver(code)
    driver.tell(TaskCompleted(2, "b"), TaskCompleted(1, "a"))
    assert driver.result == {"first": "a", "second": "b"}
    failing = Driver(code)
    failing.tell(TaskFailed(2, NO_MONEY))
    assert failing.failure.is_caused_by(ValueError)


@pytest.mark.parametrize("spelling", [{"policy": "all_settled"}, {"return_exceptions": True}])
def test_all_settled_waits_for_all_and_gives_failures_as_values(spelling: dict[str, Any]) -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        tasks = [ctx.call_activity("a", n) for n in range(3)]
        settled: tuple[Any, ...] = yield from ctx.gather(*tasks, **spelling)
        return [found.failure.message if isinstance(found, TaskFailedError) else found for found in settled]

    driver = Driver(code)
    driver.tell(TaskFailed(2, NO_MONEY))
    driver.tell(TaskCompleted(3, "c"))
    assert driver.live.completion is None
    same_when_cold(driver)
    driver.tell(TaskCompleted(1, "a"))
    assert driver.result == ["a", "no money", "c"]
    same_when_cold(driver)


def test_first_error_after_all_waits_for_all_and_fails_with_the_failure_that_came_first() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        tasks = [ctx.call_activity("a", n) for n in range(3)]
        return (yield from ctx.gather(*tasks, policy="first_error_after_all"))

    driver = Driver(code)
    driver.tell(TaskFailed(3, FailureDetails("KeyError", "the first")))
    driver.tell(TaskFailed(1, NO_MONEY))
    assert driver.live.completion is None
    driver.tell(TaskCompleted(2, "b"))
    assert driver.failure.is_caused_by(KeyError)


def test_an_error_of_the_code_is_no_settled_result() -> None:
    def bad(ctx: OrchestrationContext) -> Iterator[Task[Any]]:
        yield ctx.call_activity("a", 1)
        raise LookupError("no more")

    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield from ctx.gather(ctx.task_all(bad(ctx), max_concurrency=2), policy="all_settled"))

    assert Driver(code).failure.is_caused_by(LookupError)


def test_gather_of_nothing_is_an_empty_tuple() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        nothing = yield from ctx.gather()
        same = yield from ctx.gather(policy="all_settled")
        return [nothing == (), same == ()]

    assert Driver(code).result == [True, True]


def test_an_unknown_policy_is_refused_with_the_line() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield from ctx.gather(ctx.call_activity("a"), policy="some"))  # pyright: ignore

    assert "gather has the policies" in Driver(code).failure.message


# ---------------------------------------------------------------- nested, and wide


def test_combinations_nest() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        def group(name: str) -> Task[list[Any]]:
            return ctx.task_all((ctx.call_activity(name, n) for n in range(2)), max_concurrency=1)

        a, b = group("a"), group("b")
        first = next(ctx.as_completed([ctx.gather(a, policy="all_settled"), b]))
        timer = ctx.create_timer(timedelta(hours=1))
        winner = yield from ctx.task_any([first, timer])
        return [winner is first, (yield from ctx.gather(a, b))]

    driver = Driver(code)
    assert [type(event) for event in driver.outgoing] == [TaskScheduled, TaskScheduled, TimerCreated]
    driver.tell(TaskCompleted(2, "b0"))
    driver.tell(TaskCompleted(4, "b1"))
    driver.tell(TaskCompleted(1, "a0"))
    same_when_cold(driver)
    driver.tell(TaskCompleted(5, "a1"))
    assert driver.result == [True, [["a0", "a1"], ["b0", "b1"]]]
    same_when_cold(driver)


def wide_all(ctx: OrchestrationContext, count: int) -> Orchestration[int]:
    return len((yield from ctx.task_all([ctx.call_activity("a", n) for n in range(count)])))


def wide_pulled(ctx: OrchestrationContext, count: int) -> Orchestration[int]:
    calls = (ctx.call_activity("a", n) for n in range(count))
    return len((yield from ctx.task_all(calls, max_concurrency=50)))


def wide_gather(ctx: OrchestrationContext, count: int) -> Orchestration[int]:
    return len((yield from ctx.gather(*[ctx.call_activity("a", n) for n in range(count)], policy="all_settled")))


def wide_as_completed(ctx: OrchestrationContext, count: int) -> Orchestration[int]:
    total = 0
    for task in ctx.as_completed([ctx.call_activity("a", n, returns=int) for n in range(count)]):
        total += (yield from task) * 0 + 1
    return total


@pytest.mark.parametrize("code", [wide_all, wide_pulled, wide_gather, wide_as_completed])
def test_each_of_5000_ends_costs_the_same(code: Callable[..., Any]) -> None:
    def cost(count: int) -> float:
        """CPU seconds per end."""
        driver = Driver(code, count)
        began = time.process_time()
        at = 1
        while driver.live.completion is None:
            driver.tell(TaskCompleted(at, 0))
            at += 1
        assert driver.result == count
        return (time.process_time() - began) / count

    few, many = (min(cost(count) for _ in range(3)) for count in (500, 5000))
    assert many < few * 4, "quadratic would be ten times"
