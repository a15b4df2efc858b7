"""Branches: generators side by side in one orchestration, the same at every replay, and their cancellation."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    EntityId,
    FailureDetails,
    Orchestration,
    OrchestrationContext,
    RuntimeStatus,
    Task,
    TaskFailedError,
)
from durable_core.engine.branches import BranchTask
from durable_core.engine.events import (
    CancelRequested,
    ContinueAsNew,
    EntityCalled,
    EntitySignaled,
    EventRaised,
    ExecutionCompleted,
    ExecutionTerminated,
    LockGranted,
    LockReleased,
    LockRequested,
    OperationAnswered,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCanceled,
    TimerCreated,
    TimerFired,
)
from durable_core.errors import (
    ActivityFailedError,
    BranchFailedError,
    OrchestratorCodeError,
    TaskCancelledError,
    TaskTimeoutError,
)

from .engine_driver import Driver

Ctx = OrchestrationContext
NO_ROOM = FailureDetails("ValueError", "no room", bases=("Exception",))
TEN_SECONDS = timedelta(seconds=10)


def called(driver: Driver) -> list[str]:
    """The names of the activities that the last turn called."""
    return [event.name for event in driver.outgoing if isinstance(event, TaskScheduled)]


def same_when_cold(driver: Driver) -> None:
    cold = driver.replayed()
    assert list(cold.pending.items()) == list(driver.live.pending.items())
    assert cold.completion == driver.live.completion
    assert cold.waits == driver.live.waits
    assert cold.section == driver.live.section
    cold.close()


def book(ctx: Ctx, what: str) -> Orchestration[str]:
    """Two steps, one after the other."""
    offer = yield from ctx.call_activity(f"find-{what}")
    return (yield from ctx.call_activity(f"book-{what}", offer))


def careful(ctx: Ctx, what: str, log: list[str]) -> Orchestration[str]:
    """Undoes its work with a call of its own, when it is cancelled."""
    try:
        return (yield from book(ctx, what))
    except TaskCancelledError:
        log.append(f"undo-{what}")
        yield from ctx.call_activity(f"undo-{what}")
        log.append(f"undone-{what}")
        raise


# ---------------------------------------------------------------- side by side


def test_branches_run_side_by_side_each_through_its_steps() -> None:
    def code(ctx: Ctx) -> Orchestration[list[Any]]:
        car, hotel, note = yield from ctx.gather(book(ctx, "car"), book(ctx, "hotel"), ctx.call_activity("note"))
        return [car, hotel, note]

    driver = Driver(code)
    assert called(driver) == ["note", "find-car", "find-hotel"]
    driver.tell(TaskCompleted(3, "h"))
    assert called(driver) == ["book-hotel"]
    same_when_cold(driver)
    driver.tell(TaskCompleted(4, "H"), TaskCompleted(2, "c"))
    assert called(driver) == ["book-car"]
    driver.tell(TaskCompleted(5, "C"))
    same_when_cold(driver)
    driver.tell(TaskCompleted(1, "n"))
    assert driver.result == ["C", "H", "n"]
    same_when_cold(driver)


def test_the_waits_and_lines_are_those_of_the_branch() -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        return (yield from ctx.gather(book(ctx, "car"), book(ctx, "hotel")))

    driver = Driver(code)
    line = book.__code__.co_firstlineno + 2
    at = f"unit/test_engine_branches.py:{line}"
    assert [(wait.name, wait.line) for wait in driver.live.waits] == [("find-car", at), ("find-hotel", at)]


@pytest.mark.parametrize("kind", ["list", "unpacked", "lazy", "any", "as_completed", "branch"])
def test_every_composition_takes_generators(kind: str) -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        names = ["car", "hotel"]
        if kind == "list":
            return (yield from ctx.task_all([book(ctx, name) for name in names]))
        if kind == "unpacked":
            return (yield from ctx.gather(*[book(ctx, name) for name in names]))
        if kind == "lazy":
            return (yield from ctx.task_all((book(ctx, name) for name in names), max_concurrency=2))
        if kind == "any":
            return (yield from ctx.task_any([book(ctx, name) for name in names])).result
        if kind == "branch":
            branches = [ctx.branch(book(ctx, name)) for name in names]
            return (yield from ctx.task_all(branches))
        found: list[str] = []
        for ended in ctx.as_completed([book(ctx, name) for name in names]):
            found.append((yield from ended))
        return found

    driver = Driver(code)
    assert called(driver) == ["find-car", "find-hotel"]
    driver.tell(TaskCompleted(2, None), TaskCompleted(1, None))
    same_when_cold(driver)
    driver.tell(TaskCompleted(3, "H"))
    driver.tell(TaskCompleted(4, "C"))
    assert driver.result == {"any": "H", "as_completed": ["H", "C"]}.get(kind, ["C", "H"])
    same_when_cold(driver)


def test_a_window_runs_so_many_branches_at_a_time() -> None:
    def code(ctx: Ctx) -> Orchestration[list[str]]:
        return (yield from ctx.task_all((book(ctx, f"{n}") for n in range(3)), max_concurrency=1))

    driver = Driver(code)
    assert called(driver) == ["find-0"]
    driver.tell(TaskCompleted(1, None))
    assert called(driver) == ["book-0"]
    driver.tell(TaskCompleted(2, "zero"))
    assert called(driver) == ["find-1"]
    same_when_cold(driver)
    driver.tell(TaskFailed(3, NO_ROOM))
    assert driver.failure.is_caused_by(ValueError)
    same_when_cold(driver)


def test_branches_in_branches() -> None:
    def trip(ctx: Ctx, where: str) -> Orchestration[list[str]]:
        return list((yield from ctx.gather(book(ctx, f"{where}-car"), book(ctx, f"{where}-hotel"))))

    def code(ctx: Ctx) -> Orchestration[list[list[str]]]:
        return list((yield from ctx.gather(trip(ctx, "Rome"), trip(ctx, "Oslo"))))

    driver = Driver(code)
    assert called(driver) == ["find-Rome-car", "find-Rome-hotel", "find-Oslo-car", "find-Oslo-hotel"]
    driver.tell(*(TaskCompleted(n, None) for n in (4, 2, 1, 3)))
    assert called(driver) == ["book-Oslo-hotel", "book-Rome-hotel", "book-Rome-car", "book-Oslo-car"]
    same_when_cold(driver)
    driver.tell(*(TaskCompleted(n, n) for n in (5, 6, 7, 8)))
    assert driver.result == [[7, 6], [8, 5]]
    same_when_cold(driver)


def test_a_branch_that_never_waits_has_ended_at_once() -> None:
    def quick(value: int) -> Orchestration[int]:
        return value
        yield

    def code(ctx: Ctx) -> Orchestration[Any]:
        both = yield from ctx.gather(quick(0), quick(2))
        return [*both, (yield from ctx.branch(quick(3))), (yield from ctx.task_any([quick(4)])).result]

    assert Driver(code).result == [0, 2, 3, 4]


def test_code_without_branches_in_a_composition_is_as_before() -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        return (yield from ctx.gather(ctx.call_activity("a"), ctx.create_timer(TEN_SECONDS)))

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 7), TimerFired(2))
    assert driver.result == [7, None]


def test_a_branch_goes_on_while_the_orchestrator_waits_for_another_task() -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        car = ctx.branch(book(ctx, "car"))
        yield from ctx.create_timer(TEN_SECONDS)
        assert car.is_completed
        return [car.result, (yield from car), (yield from car)]

    driver = Driver(code)
    driver.tell(TaskCompleted(1, None))
    assert called(driver) == ["book-car"]
    driver.tell(TaskCompleted(3, "C"), TimerFired(2))
    assert driver.result == ["C", "C", "C"]
    same_when_cold(driver)


def test_conditions_events_and_variables_join_branches() -> None:
    def worker(ctx: Ctx, seen: list[Any]) -> Orchestration[None]:
        while len(seen) < 2:
            seen.append((yield from ctx.wait_for_external_event("item")))

    def code(ctx: Ctx) -> Orchestration[Any]:
        seen: list[Any] = []
        handled: list[Any] = []
        ctx.on_event("other", handled.append)
        work = ctx.branch(worker(ctx, seen))
        yield from ctx.wait_condition(lambda: len(seen) == 2 and bool(handled))
        return [seen, handled, work.is_completed]

    driver = Driver(code)
    driver.tell(EventRaised("item", 1, "a"))
    driver.tell(EventRaised("other", "x", "b"))
    same_when_cold(driver)
    driver.tell(EventRaised("item", 2, "c"))
    assert driver.result == [[1, 2], ["x"], True]
    same_when_cold(driver)


def test_an_event_goes_to_a_branch_whose_waiter_was_cancelled() -> None:
    """A branch of the code's own wants its events, though the composition that waits for it has ended."""

    def listener(ctx: Ctx) -> Orchestration[Any]:
        return (yield from ctx.wait_for_external_event("go"))

    def code(ctx: Ctx) -> Orchestration[Any]:
        mine = ctx.branch(listener(ctx))
        yield from ctx.task_any([mine, ctx.create_timer(TEN_SECONDS)])
        yield from ctx.create_timer(TEN_SECONDS)
        return (yield from mine)

    driver = Driver(code)
    driver.tell(TimerFired(1))
    driver.tell(EventRaised("go", 5, "a"))
    driver.tell(TimerFired(2))
    assert driver.result == 5
    same_when_cold(driver)


def test_a_task_may_be_waited_for_by_several_branches() -> None:
    def after(ctx: Ctx, first: Task[Any], name: str) -> Orchestration[Any]:
        value = yield from first
        return (yield from ctx.call_activity(name, value))

    def code(ctx: Ctx) -> Orchestration[Any]:
        first = ctx.call_activity("first")
        return list((yield from ctx.gather(after(ctx, first, "a"), after(ctx, first, "b"), first)))

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 1))
    assert called(driver) == ["a", "b"]
    driver.tell(TaskCompleted(3, "B"), TaskCompleted(2, "A"))
    assert driver.result == ["A", "B", 1]
    same_when_cold(driver)


def test_continue_as_new_from_a_branch_takes_effect_when_the_orchestrator_returns() -> None:
    def next_round(ctx: Ctx) -> Orchestration[None]:
        yield from ctx.call_activity("a")
        ctx.continue_as_new(8)

    def code(ctx: Ctx, n: int) -> Orchestration[None]:
        yield from ctx.gather(next_round(ctx))

    driver = Driver(code, 7)
    driver.tell(TaskCompleted(1, None))
    assert isinstance(driver.live.completion, ContinueAsNew)
    assert driver.live.completion.input == 8
    same_when_cold(driver)


def test_steps_http_calls_and_sagas_work_in_branches() -> None:
    def body(ctx: Ctx) -> Callable[[Any], Orchestration[Any]]:
        def steps(saga: Any) -> Orchestration[Any]:
            yield from ctx.call_activity("charge")
            saga.add_compensation("refund")
            yield from ctx.call_activity("ship")

        return steps

    def code(ctx: Ctx) -> Orchestration[Any]:
        return list((yield from ctx.gather(ctx.run_saga(body(ctx)), book(ctx, "car"), policy="all_settled")))  # type: ignore

    driver = Driver(code)
    assert called(driver) == ["charge", "find-car"]
    driver.tell(TaskCompleted(1, None), TaskFailed(3, NO_ROOM))
    assert called(driver) == ["ship", "refund"]
    same_when_cold(driver)


def test_http_polling_continues_a_branch_at_the_line_of_the_branch() -> None:
    def fetch(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.call_http("GET", "https://example.com")
        return (yield from ctx.call_activity("after"))

    def code(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.gather(fetch(ctx))

    driver = Driver(code)
    driver.tell(TaskCompleted(1, {"status_code": 200, "headers": {}, "content": ""}))
    (after,) = [event for event in driver.outgoing if isinstance(event, TaskScheduled)]
    assert after.line == f"unit/test_engine_branches.py:{fetch.__code__.co_firstlineno + 2}"


# ---------------------------------------------------------------- failures


def test_a_failure_cancels_the_other_branches_and_tasks_continue() -> None:
    log: list[str] = []

    def code(ctx: Ctx) -> Orchestration[Any]:
        log.clear()
        try:
            yield from ctx.gather(careful(ctx, "car", log), book(ctx, "hotel"), ctx.call_activity("note"))
        except ActivityFailedError as error:
            log.append(error.name)
        return log

    driver = Driver(code)
    driver.tell(TaskFailed(3, NO_ROOM))
    assert called(driver) == ["undo-car"]
    assert log == ["undo-car"], "gather waits until the branch has cleaned up"
    assert [wait.name for wait in driver.live.waits] == ["undo-car"]
    same_when_cold(driver)
    driver.tell(TaskCompleted(1, "dropped"))
    assert driver.live.completion is None
    driver.tell(TaskCompleted(4, None))
    assert driver.result == ["undo-car", "undone-car", "find-hotel"]
    same_when_cold(driver)


def test_the_exception_of_a_branch_is_raised_as_it_is_with_its_line() -> None:
    class NoSeatError(Exception):
        pass

    def seat(ctx: Ctx) -> Orchestration[None]:
        yield from ctx.create_timer(TEN_SECONDS)
        raise NoSeatError("row 7")

    def code(ctx: Ctx) -> Orchestration[None]:
        yield from ctx.gather(seat(ctx), book(ctx, "car"))

    driver = Driver(code)
    driver.tell(TimerFired(1))
    assert driver.failure.message == "row 7"
    assert driver.failure.type.endswith("NoSeatError")
    assert driver.failure.line == f"unit/test_engine_branches.py:{seat.__code__.co_firstlineno + 2}"
    same_when_cold(driver)

    def catches(ctx: Ctx) -> Orchestration[str]:
        try:
            yield from ctx.branch(seat(ctx))
        except NoSeatError:
            return "caught"
        return "?"

    driver = Driver(catches)
    driver.tell(TimerFired(1))
    assert driver.result == "caught"


def test_the_line_of_a_failed_activity_is_where_the_branch_waited_for_it() -> None:
    def code(ctx: Ctx) -> Orchestration[None]:
        yield from ctx.gather(book(ctx, "car"))

    driver = Driver(code)
    driver.tell(TaskFailed(1, NO_ROOM))
    assert driver.failure.line == f"unit/test_engine_branches.py:{book.__code__.co_firstlineno + 2}"
    end = driver.live.completion
    assert isinstance(end, ExecutionCompleted)
    assert end.because == [1]


def test_all_settled_collects_what_branches_raise() -> None:
    def seat(ctx: Ctx) -> Orchestration[int]:
        yield from ctx.create_timer(TEN_SECONDS)
        raise ValueError("row 7")

    def code(ctx: Ctx) -> Orchestration[Any]:
        a, b, c = yield from ctx.gather(seat(ctx), book(ctx, "car"), ctx.call_activity("x"), policy="all_settled")
        assert isinstance(a, BranchFailedError)
        assert isinstance(a.__cause__, ValueError)
        assert isinstance(b, ActivityFailedError)
        return [a.name, a.failure.message, a.is_caused_by(ValueError), b.name, c]

    driver = Driver(code)
    driver.tell(TaskCompleted(1, 1), TaskFailed(3, NO_ROOM))
    driver.tell(TimerFired(2))
    assert driver.result == ["seat", "row 7", True, "find-car", 1]
    same_when_cold(driver)


def test_first_error_after_all_lets_every_branch_end() -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.gather(book(ctx, "car"), book(ctx, "hotel"), policy="first_error_after_all")

    driver = Driver(code)
    driver.tell(TaskFailed(1, NO_ROOM))
    assert driver.live.completion is None
    driver.tell(TaskCompleted(2, 1))
    driver.tell(TaskCompleted(3, 1))
    assert driver.failure.is_caused_by(ValueError)
    same_when_cold(driver)


def test_a_branch_that_fails_at_once_fails_where_it_is_waited_for() -> None:
    def bad(ctx: Ctx) -> Orchestration[None]:
        raise LookupError("at once")
        yield

    def code(ctx: Ctx) -> Orchestration[Any]:
        both = ctx.gather(bad(ctx), book(ctx, "car"))
        try:
            yield from both
        except LookupError as error:
            return str(error)

    assert Driver(code).result == "at once"


def test_a_branch_may_exit_or_raise_what_is_no_exception() -> None:
    def leaves(ctx: Ctx) -> Orchestration[None]:
        yield from ctx.create_timer(TEN_SECONDS)
        raise SystemExit(3)

    def code(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.gather(leaves(ctx))

    driver = Driver(code)
    driver.tell(TimerFired(1))
    assert driver.failure.type == "SystemExit"
    same_when_cold(driver)


# ---------------------------------------------------------------- cancellation


def test_the_loser_of_task_any_is_cancelled_if_the_composition_has_started_it() -> None:
    log: list[str] = []

    def code(ctx: Ctx) -> Orchestration[Any]:
        log.clear()
        mine = ctx.branch(book(ctx, "mine"))
        timer = ctx.create_timer(TEN_SECONDS)
        first = yield from ctx.task_any([careful(ctx, "car", log), mine, timer])
        return [first is timer, log, (yield from mine)]

    driver = Driver(code)
    driver.tell(TimerFired(2))
    assert called(driver) == ["undo-car"]
    driver.tell(TaskCompleted(4, None))
    driver.tell(TaskCompleted(1, None))
    assert called(driver) == ["book-mine"]
    driver.tell(TaskCompleted(5, "M"))
    assert driver.result == [True, ["undo-car", "undone-car"], "M"]
    same_when_cold(driver)


def test_cancel_ends_timers_and_waits_and_lets_calls_continue() -> None:
    def waits(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.task_any(
            [ctx.create_timer(TEN_SECONDS), ctx.wait_for_external_event("go"), ctx.call_activity("slow")]
        )

    def code(ctx: Ctx) -> Orchestration[Any]:
        branch = ctx.branch(waits(ctx))
        yield from ctx.call_activity("first")
        branch.cancel()
        branch.cancel()
        assert branch.is_faulted
        got = yield from ctx.wait_for_external_event("go")
        try:
            yield from branch
        except TaskCancelledError as error:
            return [got, str(error)]

    driver = Driver(code)
    driver.tell(TaskCompleted(3, None))
    assert driver.outgoing == (TimerCanceled(1, driver.outgoing[0].line),)  # type: ignore
    assert list(driver.live.pending) == [2]
    driver.tell(TaskCompleted(2, "dropped"), EventRaised("go", 1, "a"))
    assert driver.result == [1, "branch 'waits' was cancelled"]
    same_when_cold(driver)


def test_a_cancelled_branch_may_return_a_result() -> None:
    def stubborn(ctx: Ctx) -> Orchestration[str]:
        with contextlib.suppress(TaskCancelledError):
            yield from ctx.create_timer(TEN_SECONDS)
        yield from ctx.call_activity("more")
        return "all the same"

    def code(ctx: Ctx) -> Orchestration[Any]:
        branch = ctx.branch(stubborn(ctx))
        branch.cancel()
        return (yield from branch)

    driver = Driver(code)
    assert called(driver) == ["more"]
    driver.tell(TaskCompleted(2, None))
    assert driver.result == "all the same"
    same_when_cold(driver)


def test_a_branch_that_is_cancelled_first_cancels_its_own_branches() -> None:
    log: list[str] = []

    def outer(ctx: Ctx) -> Orchestration[None]:
        try:
            yield from ctx.gather(careful(ctx, "car", log), careful(ctx, "hotel", log))
        finally:
            log.append("outer")

    def code(ctx: Ctx) -> Orchestration[Any]:
        log.clear()
        try:
            yield from ctx.with_timeout(outer(ctx), TEN_SECONDS)
        except TaskTimeoutError as error:
            return [*log, str(error)]

    driver = Driver(code)
    driver.tell(TimerFired(3))
    assert called(driver) == ["undo-car", "undo-hotel"]
    driver.tell(TaskCompleted(5, None), TaskCompleted(4, None))
    assert driver.result == [
        *("undo-car", "undo-hotel", "undone-hotel", "undone-car", "outer"),
        "branch 'outer' did not end within 0:00:10",
    ]
    same_when_cold(driver)


def test_a_branch_may_cancel_itself_and_one_that_has_not_begun() -> None:
    def selfish(ctx: Ctx, those: list[BranchTask[Any]]) -> Orchestration[None]:
        for each in those:
            each.cancel()
        yield from ctx.call_activity("never-waited-for")

    def code(ctx: Ctx) -> Orchestration[Any]:
        those: list[BranchTask[Any]] = []
        yield from ctx.create_timer(TEN_SECONDS)
        starts = yield from ctx.gather(ctx.branch(waiter(ctx, those)), policy="all_settled")
        return [type(each).__name__ for each in starts]

    def waiter(ctx: Ctx, those: list[BranchTask[Any]]) -> Orchestration[None]:
        those.append(ctx.branch(selfish2(ctx, those)))
        yield from those[0]

    def selfish2(ctx: Ctx, those: list[BranchTask[Any]]) -> Orchestration[None]:
        yield from ctx.call_activity("a")
        yield from selfish(ctx, those)

    driver = Driver(code)
    driver.tell(TimerFired(1))
    driver.tell(TaskCompleted(2, None))
    assert driver.result == ["TaskCancelledError"]
    same_when_cold(driver)


def test_a_cancelled_orchestration_cancels_its_branches_first() -> None:
    log: list[str] = []

    def code(ctx: Ctx) -> Orchestration[Any]:
        log.clear()
        mine = ctx.branch(careful(ctx, "mine", log))
        try:
            yield from ctx.gather(careful(ctx, "car", log), mine)
        finally:
            log.append("end")

    driver = Driver(code)
    driver.tell(CancelRequested("stop", event_id="c"))
    assert called(driver) == ["undo-mine", "undo-car"]
    driver.tell(TaskCompleted(3, None))
    assert driver.live.completion is None
    driver.tell(TaskCompleted(4, None))
    end = driver.live.completion
    assert isinstance(end, ExecutionCompleted)
    assert end.status == RuntimeStatus.CANCELED.value
    assert log == ["undo-mine", "undo-car", "undone-mine", "undone-car", "end"]
    same_when_cold(driver)


def test_the_end_of_the_orchestrator_closes_branches_which_call_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    def endless(ctx: Ctx, name: str) -> Orchestration[None]:
        try:
            while True:
                yield from ctx.create_timer(TEN_SECONDS)
        finally:
            log.append(name)
            ctx.call_activity("not-recorded")

    def code(ctx: Ctx) -> Orchestration[None]:
        log.clear()
        ctx.branch(endless(ctx, "a"))
        ctx.branch(endless(ctx, "b"))
        yield from ctx.create_timer(TEN_SECONDS)

    driver = Driver(code)
    with caplog.at_level(logging.WARNING):
        driver.tell(TimerFired(3))
    assert log == ["b", "a"]
    assert called(driver) == []
    assert driver.result is None
    assert "ended without waiting for branch 'endless'" in caplog.text
    same_when_cold(driver)
    driver = Driver(code)
    driver.tell(ExecutionTerminated("enough", event_id="t"))
    assert log == ["b", "a"]
    driver = Driver(code)
    driver.live.close()
    assert log == ["b", "a"]


def test_no_branch_runs_after_the_end_of_the_orchestrator() -> None:
    def watches(ctx: Ctx, state: list[int]) -> Orchestration[None]:
        yield from ctx.wait_condition(lambda: bool(state))
        yield from ctx.call_activity("too-late")

    def code(ctx: Ctx) -> Orchestration[None]:
        state: list[int] = []
        after = ctx.wait_condition(lambda: bool(state))
        ctx.branch(watches(ctx, state))
        yield from ctx.wait_for_external_event("go")
        state.append(1)
        yield from after

    driver = Driver(code)
    driver.tell(EventRaised("go", 1, "a"))
    assert driver.result is None
    assert called(driver) == []
    same_when_cold(driver)


# ---------------------------------------------------------------- time limits


def test_a_time_limit_of_any_task() -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        try:
            yield from ctx.with_timeout(ctx.call_activity("slow"), TEN_SECONDS)
        except TaskTimeoutError as error:
            return str(error)

    driver = Driver(code)
    driver.tell(TimerFired(2))
    assert driver.result == "activity 'slow' (task 1) did not end within 0:00:10"
    driver = Driver(code)
    driver.tell(TaskCompleted(1, 1))
    assert driver.result is None
    assert any(isinstance(event, TimerCanceled) for event in driver.outgoing)


def test_a_branch_in_time_ends_the_timer() -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        return (yield from ctx.with_timeout(book(ctx, "car"), TEN_SECONDS))

    driver = Driver(code)
    driver.tell(TaskCompleted(1, None))
    driver.tell(TaskCompleted(3, "C"))
    assert driver.result == "C"
    assert isinstance(driver.outgoing[0], TimerCanceled)


@pytest.mark.parametrize("limit", [timedelta(seconds=-1), 5, None])
def test_a_wrong_time_limit_is_refused_before_the_branch_starts(limit: Any) -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        return (yield from ctx.with_timeout(book(ctx, "car"), limit))

    driver = Driver(code)
    assert called(driver) == []
    assert "a timeout must be a timedelta" in driver.failure.message


# ---------------------------------------------------------------- slips


def refusal(code: Callable[[Ctx], Orchestration[Any]]) -> str:
    driver = Driver(code)
    assert called(driver) == []
    assert driver.failure.type.endswith("OrchestratorCodeError")
    assert driver.failure.line.startswith("unit/test_engine_branches.py:")
    return driver.failure.message


def test_one_generator_twice() -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        one = book(ctx, "car")
        yield from ctx.gather(one, one)

    assert "gather got one generator or coroutine twice" in refusal(code)


def test_a_generator_that_runs_or_has_ended() -> None:
    def runs(ctx: Ctx) -> Orchestration[Any]:
        one = book(ctx, "car")
        ctx.branch(one)
        yield from ctx.gather(one)

    driver = Driver(runs)
    assert "gather got the code of 'book', which runs already" in driver.failure.message

    def closed(ctx: Ctx) -> Orchestration[Any]:
        one = book(ctx, "car")
        one.close()
        yield from ctx.task_all([one])

    assert "which has ended already, or was closed" in refusal(closed)


def test_what_is_no_branch() -> None:
    def a_function(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.gather(book)  # type: ignore

    assert "call it, book(ctx, ...)" in refusal(a_function)

    def a_list(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.gather([book(ctx, "car")])  # type: ignore

    assert "unpack it with '*'" in refusal(a_list)

    def nothing(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.branch(None)  # type: ignore

    assert "not None" in refusal(nothing)


def test_a_branch_that_yields_what_is_no_task_fails_at_its_line() -> None:
    def bad(ctx: Ctx) -> Orchestration[Any]:
        yield 7  # type: ignore

    def code(ctx: Ctx) -> Orchestration[Any]:
        try:
            yield from ctx.gather(bad(ctx))
        except OrchestratorCodeError as error:
            return str(error)

    assert f"unit/test_engine_branches.py:{bad.__code__.co_firstlineno + 1}" in str(Driver(code).result)


def test_a_generator_of_another_context() -> None:
    others: list[Orchestration[str]] = []

    def first(ctx: Ctx) -> Orchestration[Any]:
        others.append(book(ctx, "car"))
        yield from ctx.create_timer(TEN_SECONDS)

    def code(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.gather(others[-1])

    one = Driver(first)
    driver = Driver(code)
    assert "it belongs to another orchestrator instance" in driver.failure.message
    assert list(one.live.pending) == [1]


def test_a_branch_cannot_wait_for_itself() -> None:
    def narcissus(ctx: Ctx, me: list[BranchTask[Any]]) -> Orchestration[None]:
        yield from ctx.create_timer(TEN_SECONDS)
        yield from me[0]

    def code(ctx: Ctx) -> Orchestration[Any]:
        me: list[BranchTask[Any]] = []
        me.append(ctx.branch(narcissus(ctx, me)))
        yield from me[0]

    driver = Driver(code)
    driver.tell(TimerFired(1))
    assert "a branch cannot wait for itself" in driver.failure.message


def test_a_window_pulled_in_a_branch_belongs_to_it() -> None:
    log: list[str] = []

    def all_of(ctx: Ctx) -> Orchestration[Any]:
        return (yield from ctx.task_all((careful(ctx, f"{n}", log) for n in range(5)), max_concurrency=1))

    def code(ctx: Ctx) -> Orchestration[Any]:
        log.clear()
        branch = ctx.branch(all_of(ctx))
        yield from ctx.wait_for_external_event("stop")
        branch.cancel()
        yield from branch

    driver = Driver(code)
    driver.tell(TaskCompleted(1, None))
    driver.tell(TaskCompleted(2, None))
    assert called(driver) == ["find-1"]
    driver.tell(EventRaised("stop", 1, "a"))
    assert called(driver) == ["undo-1"]
    driver.tell(TaskCompleted(4, None))
    assert driver.failure.is_caused_by(TaskCancelledError)
    assert log == ["undo-1", "undone-1"]
    same_when_cold(driver)


# ---------------------------------------------------------------- critical sections

A, B = EntityId("Account", "a"), EntityId("Account", "b")


def locked(ctx: Ctx, entity: EntityId, name: str) -> Orchestration[Any]:
    with (yield from ctx.lock(entity)):
        return (yield from ctx.call_entity(entity, name))


def test_sections_of_branches_follow_each_other() -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        return list((yield from ctx.gather(locked(ctx, A, "x"), locked(ctx, B, "y"), locked(ctx, A, "z"))))

    driver = Driver(code)
    assert [type(event) for event in driver.outgoing] == [LockRequested]
    assert [(wait.kind, wait.name) for wait in driver.live.waits] == [
        ("lock", "@account@a"),
        ("lock", "@account@b"),
        ("lock", "@account@a"),
    ]
    driver.tell(LockGranted(1))
    same_when_cold(driver)
    driver.tell(OperationAnswered(2, "X"))
    assert [type(event) for event in driver.outgoing] == [LockReleased, LockRequested]
    same_when_cold(driver)
    driver.tell(LockGranted(3))
    driver.tell(OperationAnswered(4, "Y"))
    driver.tell(LockGranted(5))
    driver.tell(OperationAnswered(6, "Z"))
    assert driver.result == ["X", "Y", "Z"]
    same_when_cold(driver)


def test_calls_and_signals_of_other_branches_wait_for_the_end_of_the_section() -> None:
    def outsider(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.wait_for_external_event("go")
        ctx.signal_entity(A, "s")
        ctx.call_sub_orchestrator("child")
        first = ctx.call_entity(B, "free")
        second = ctx.call_entity(A, "waits")
        return [(yield from first), (yield from second)]

    def code(ctx: Ctx) -> Orchestration[Any]:
        return list((yield from ctx.gather(locked(ctx, A, "x"), outsider(ctx))))

    driver = Driver(code)
    driver.tell(LockGranted(1), EventRaised("go", None, "e"))
    entities = [(event.entity, event.operation) for event in driver.outgoing if isinstance(event, EntityCalled)]
    assert entities == [("@account@a", "x"), ("@account@b", "free")]
    driver.tell(OperationAnswered(4, "F"))
    same_when_cold(driver)
    driver.tell(OperationAnswered(2, "X"))
    assert [type(event) for event in driver.outgoing] == [LockReleased, EntitySignaled, EntityCalled]
    assert all(event.line for event in driver.outgoing)  # type: ignore
    driver.tell(OperationAnswered(6, "W"))
    assert driver.result == ["X", ["F", "W"]]
    same_when_cold(driver)


def test_branches_started_in_a_section_are_in_it() -> None:
    def inner(ctx: Ctx, name: str, entity: EntityId = A) -> Orchestration[Any]:
        return (yield from ctx.call_entity(entity, name))

    def code(ctx: Ctx, bad: bool) -> Orchestration[Any]:
        with (yield from ctx.lock(A)):
            return list((yield from ctx.gather(inner(ctx, "x"), inner(ctx, "y", B if bad else A))))

    driver = Driver(code, data=False)
    driver.tell(LockGranted(1))
    calls = [event for event in driver.outgoing if isinstance(event, EntityCalled)]
    assert [(each.operation, each.section) for each in calls] == [("x", 1), ("y", 1)]
    driver = Driver(code, data=True)
    driver.tell(LockGranted(1))
    assert "inside a critical section that has not locked it" in driver.failure.message


def test_a_branch_that_ends_releases_its_section() -> None:
    def forgets(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.lock(A)
        raise LookupError("in between")

    def code(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.gather(forgets(ctx), locked(ctx, B, "y"), policy="all_settled")  # type: ignore
        yield from ctx.create_timer(TEN_SECONDS)

    driver = Driver(code)
    driver.tell(LockGranted(1))
    assert [type(event) for event in driver.outgoing] == [LockReleased, LockRequested]
    same_when_cold(driver)


def test_a_lock_that_waits_can_be_withdrawn() -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        holds = ctx.branch(locked(ctx, A, "x"))
        asks = ctx.branch(locked(ctx, B, "y"))
        asks.cancel()
        yield from holds
        yield from ctx.create_timer(TEN_SECONDS)

    driver = Driver(code)
    driver.tell(LockGranted(1))
    driver.tell(OperationAnswered(2, "X"))
    assert [type(event) for event in driver.outgoing] == [LockReleased, TimerCreated]
    same_when_cold(driver)


def test_the_end_of_the_orchestration_sends_signals_that_waited_and_nothing_else() -> None:
    def holds(ctx: Ctx) -> Orchestration[Any]:
        yield from ctx.lock(A)
        yield from ctx.wait_for_external_event("never")

    def code(ctx: Ctx) -> Orchestration[Any]:
        ctx.branch(holds(ctx))
        ctx.signal_entity(A, "s")
        ctx.call_entity(A, "c")
        ctx.lock(B)
        yield from ctx.create_timer(TEN_SECONDS)

    driver = Driver(code)
    driver.tell(TimerFired(2))
    assert [type(event) for event in driver.outgoing] == [LockReleased, EntitySignaled, ExecutionCompleted]
    same_when_cold(driver)


def test_a_lazy_iterable_may_give_tasks_and_branches() -> None:
    def mixed(ctx: Ctx) -> Iterator[Any]:
        yield book(ctx, "car")
        yield ctx.call_activity("note")

    def code(ctx: Ctx) -> Orchestration[Any]:
        return (yield from ctx.task_all(mixed(ctx), max_concurrency=5))

    driver = Driver(code)
    driver.tell(TaskCompleted(1, None), TaskCompleted(2, "N"), TaskCompleted(3, "C"))
    assert driver.result == ["C", "N"]


def test_the_result_of_any_branch_raises_its_error() -> None:
    def code(ctx: Ctx) -> Orchestration[Any]:
        first = yield from ctx.task_any([book(ctx, "car"), book(ctx, "hotel")])
        try:
            return first.result
        except TaskFailedError as error:
            return error.name

    driver = Driver(code)
    driver.tell(TaskFailed(2, NO_ROOM))
    assert driver.result == "find-hotel"
    same_when_cold(driver)
