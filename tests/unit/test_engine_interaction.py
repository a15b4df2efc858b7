"""Steps, event handlers, conditions, time limits, callbacks and queries, as the engine sees them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    StepFailedError,
    Task,
    TaskFailedError,
    TaskTimeoutError,
)
from durable_core.engine.callbacks import CallbackTicket, generation_of
from durable_core.engine.events import (
    EventRaised,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    StepCompleted,
    TaskCompleted,
    TaskScheduled,
    TimerCanceled,
    TimerCreated,
    TimerFired,
)
from durable_core.engine.executor import OrchestrationExecutor
from durable_core.errors import (
    InvalidInputError,
    NonDeterminismError,
    OrchestratorCodeError,
    QueryFailedError,
    UnknownQueryError,
)
from durable_core.models import FailureDetails

from .engine_driver import START, Driver

HERE = "unit/test_engine_interaction.py:"


def double(number: int) -> int:
    return number * 2


def done(driver: Driver, task_id: int, result: Any = None) -> StepCompleted:
    step = driver.live.steps[task_id]
    return StepCompleted(task_id, step.name, result, None, step.line)


# ---------------------------------------------------------------- steps


def one_step(ctx: OrchestrationContext) -> Orchestration[int]:
    first = yield from ctx.run("double", double, 21)
    second = yield from ctx.call_activity("after", first, returns=int)
    return first + second


def test_a_step_is_in_history_by_its_end_alone() -> None:
    driver = Driver(one_step)
    assert driver.outgoing == ()
    step = driver.live.steps[1]
    assert (step.name, step.fn, step.args, step.born) == ("double", double, (21,), 0)
    assert step.line.startswith(HERE)
    assert driver.live.knows(1) == "pending"
    turn = driver.tell(done(driver, 1, 42))
    assert turn.recorded == (StepCompleted(1, "double", 42, None, step.line),)
    assert [(e.task_id, e.name) for e in turn.outgoing if isinstance(e, TaskScheduled)] == [(2, "after")]
    assert driver.live.knows(1) == "done"
    driver.tell(TaskCompleted(2, 1))
    assert driver.result == 43


def test_a_cold_start_finds_the_steps_that_have_not_ended() -> None:
    driver = Driver(one_step)
    cold = driver.replayed()
    assert list(cold.steps) == [1]
    assert cold.steps[1].born == 0
    driver.tell(done(driver, 1, 42))
    assert not driver.replayed().steps


def test_the_result_of_a_step_is_recorded_once() -> None:
    driver = Driver(one_step)
    event = done(driver, 1, 42)
    assert driver.tell(event, event).recorded == (event,)
    assert driver.tell(event).recorded == ()
    assert driver.tell(StepCompleted(7, "double", 1)).recorded == ()


def test_a_step_is_not_taken_for_another_of_its_number() -> None:
    driver = Driver(one_step)
    assert driver.tell(StepCompleted(1, "another", 1)).recorded == ()
    assert driver.tell(TaskCompleted(1, 1)).recorded == ()
    assert driver.live.knows(1) == "pending"


def test_a_failed_step_raises_with_its_name_and_cause() -> None:
    def catches(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        try:
            yield from ctx.run("double", double, 1, retry=RetryPolicy())
        except StepFailedError as error:
            return [error.name, error.task_id, error.is_caused_by(ValueError), str(error)]
        return []

    driver = Driver(catches)
    driver.tell(StepCompleted(1, "double", None, FailureDetails("ValueError", "no")))
    assert driver.result == ["double", 1, True, "step 'double' (task 1) failed: ValueError: no"]


def test_a_step_gives_the_annotated_type_warm_and_cold() -> None:
    def moment() -> timedelta:
        return timedelta(0)

    def typed(ctx: OrchestrationContext) -> Orchestration[str]:
        first = yield from ctx.run("moment", moment)
        second = yield from ctx.run("lambda", lambda: first, returns=timedelta)
        return f"{first!r} {second!r}"

    driver = Driver(typed)
    driver.tell(done(driver, 1, "PT5S"))
    driver.tell(done(driver, 2, "PT6S"))
    assert driver.result == f"{timedelta(seconds=5)!r} {timedelta(seconds=6)!r}"
    assert driver.replayed().completion == driver.live.completion


def test_a_step_that_ended_while_suspended_waits_for_resume() -> None:
    driver = Driver(one_step)
    event = done(driver, 1, 42)
    driver.tell(ExecutionSuspended("", "r1"))
    turn = driver.tell(event)
    assert turn.recorded == (event,)
    assert turn.outgoing == ()
    assert driver.live.knows(1) == "done"
    assert driver.tell(ExecutionResumed("", "r2")).outgoing


def renamed(ctx: OrchestrationContext) -> Orchestration[int]:
    return (yield from ctx.run("triple", double, 21))


def replaced(ctx: OrchestrationContext) -> Orchestration[int]:
    return (yield from ctx.call_activity("double", 21, returns=int))


def taken_away(ctx: OrchestrationContext) -> Orchestration[int]:
    return (yield from ctx.wait_for_external_event("double", int))


@pytest.mark.parametrize(
    ("code", "actual"),
    [(renamed, "Step(task_id=1, name='triple')"), (taken_away, "")],
)
def test_a_changed_step_is_named_with_the_lines_of_both(code: Any, actual: str) -> None:
    driver = Driver(one_step)
    driver.tell(done(driver, 1, 42))
    with pytest.raises(NonDeterminismError) as caught:
        driver.replayed(code)
    error = caught.value
    assert error.task_id == 1
    assert error.expected == "StepCompleted(task_id=1, name='double')"
    assert error.actual.startswith(actual)
    assert error.expected_at.startswith(HERE)
    assert error.actual_at.startswith(HERE)


def test_a_step_in_place_of_a_recorded_activity_is_a_mismatch() -> None:
    driver = Driver(replaced)
    with pytest.raises(NonDeterminismError, match="TaskScheduled"):
        driver.replayed(one_step)


def test_an_activity_in_place_of_a_recorded_step_is_a_mismatch() -> None:
    driver = Driver(one_step)
    driver.tell(done(driver, 1, 42))
    with pytest.raises(NonDeterminismError, match="TaskScheduled"):
        driver.replayed(replaced)


def generator() -> Any:
    yield


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ("name", "fn", "hint"),
    [
        ("", double, "first argument of ctx.run is the step's name"),
        (double, 5, "first argument of ctx.run is the step's name"),
        ("x" * 257, double, "1 to 256 characters"),
        ("x", 5, "pass the function itself"),
        ("x", generator, "a step must return its result"),
    ],
)
def test_what_cannot_be_a_step_is_refused_with_the_line(name: Any, fn: Any, hint: str) -> None:
    def wrong(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.run(name, fn)

    failure = Driver(wrong).failure
    assert hint in failure.message
    assert HERE in failure.message


def test_a_coroutine_in_place_of_an_async_function_is_refused() -> None:
    def wrong(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.run("x", coroutine())  # type: ignore[arg-type]

    assert "it was called already" in Driver(wrong).failure.message


# ---------------------------------------------------------------- time limits


def limited(ctx: OrchestrationContext) -> Orchestration[str]:
    try:
        return (yield from ctx.wait_for_external_event("go", str, timedelta(minutes=5)))
    except TaskTimeoutError as error:
        return f"{error.name}: {error}"


def test_an_event_in_time_cancels_its_timer() -> None:
    driver = Driver(limited)
    assert [type(event) for event in driver.outgoing] == [TimerCreated]
    turn = driver.tell(EventRaised("GO", "now", "r1"))
    assert TimerCanceled(1) in turn.outgoing
    assert driver.result == "now"


def test_an_event_too_late_is_a_timeout_and_the_event_is_kept() -> None:
    def again(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        first = yield from limited(ctx)
        return [first, (yield from ctx.wait_for_external_event("go", str))]

    driver = Driver(again)
    driver.tell(TimerFired(1))
    assert driver.tell(EventRaised("go", "late", "r1")).outgoing
    assert driver.result == ["go: external event 'go' did not come within 0:05:00", "late"]
    assert driver.replayed().completion == driver.live.completion


def test_an_event_that_was_kept_needs_no_timer() -> None:
    def waits(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.call_activity("first")
        return (yield from limited(ctx))

    driver = Driver(waits)
    driver.tell(EventRaised("go", "early", "r1"))
    driver.tell(TaskCompleted(1))
    assert not [event for event in driver.all_outgoing if isinstance(event, TimerCreated)]
    assert driver.result == "early"


def test_a_wait_with_a_time_limit_that_lost_a_race_takes_no_event_away() -> None:
    def races(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        lost = ctx.wait_for_external_event("go", str, timedelta(hours=1))
        yield from ctx.task_any([lost, ctx.call_activity("first")])
        taken = yield from ctx.wait_for_external_event("go", str)
        return [taken, (yield from lost)]

    driver = Driver(races)
    driver.tell(TaskCompleted(2))
    driver.tell(EventRaised("go", "a", "r1"))
    driver.tell(EventRaised("go", "b", "r2"))
    assert driver.result == ["a", "b"]


@pytest.mark.parametrize("wrong", [timedelta(seconds=-1), 5])
def test_a_wrong_time_limit_is_refused_with_the_line(wrong: Any) -> None:
    def waits(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.wait_for_external_event("go", timeout=wrong)

    message = Driver(waits).failure.message
    assert "a timeout must be a timedelta that is not negative" in message
    assert HERE in message


# ---------------------------------------------------------------- handlers and conditions


def collects(ctx: OrchestrationContext) -> Orchestration[list[int]]:
    numbers: list[int] = []

    def on_number(value: int) -> None:
        numbers.append(value)

    ctx.on_event("number", on_number)
    yield from ctx.wait_condition(lambda: sum(numbers) >= 10)
    return numbers


def test_a_condition_is_looked_at_after_every_event() -> None:
    driver = Driver(collects)
    for row, number in enumerate((1, 2, 7)):
        driver.tell(EventRaised("Number", number, f"r{row}"))
    assert driver.result == [1, 2, 7]
    assert driver.replayed().completion == driver.live.completion


def test_a_handler_is_given_the_events_that_came_before_it() -> None:
    def late(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        seen: list[Any] = []
        yield from ctx.call_activity("first")
        ctx.on_event("number", seen.append)
        return seen

    driver = Driver(late)
    driver.tell(EventRaised("number", 1, "r1"), EventRaised("NUMBER", 2, "r2"))
    driver.tell(TaskCompleted(1))
    assert driver.result == [1, 2]
    assert driver.live.unconsumed_events() == []


def test_a_handler_runs_before_the_waiter_and_its_events_are_not_kept() -> None:
    def both(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
        seen: list[Any] = []
        ctx.on_event("number", lambda value: seen.append(value))
        first = yield from ctx.wait_for_external_event("number", int)
        return [*seen, "waiter", first]

    driver = Driver(both)
    driver.tell(EventRaised("number", 1, "r1"), EventRaised("number", 2, "r2"))
    assert driver.result == [1, "waiter", 1]


def test_data_that_does_not_fit_the_handler_is_dropped_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver(collects)
    driver.tell(EventRaised("number", "not a number", "r1"))
    assert "external event 'number' is dropped" in caplog.text
    caplog.clear()
    cold = driver.replayed()
    assert not caplog.records
    assert cold.completion is None


def test_what_a_handler_raises_is_the_orchestrators_failure() -> None:
    def fragile(ctx: OrchestrationContext) -> Orchestration[None]:
        def on_event(value: int) -> None:
            raise ArithmeticError(value)

        ctx.on_event("number", on_event)
        yield from ctx.wait_for_external_event("never")

    driver = Driver(fragile)
    driver.tell(EventRaised("number", 5, "r1"))
    assert driver.failure.type == "ArithmeticError"
    assert driver.replayed().completion is not None


async def async_handler(value: int) -> None: ...


def two_parameters(first: int, second: int) -> None: ...


@pytest.mark.parametrize(
    ("handler", "hint"),
    [
        (generator, "must be a plain function"),
        (async_handler, "must be a plain function"),
        (two_parameters, "must have one parameter, or none"),
        (5, "must be a function"),
    ],
)
def test_what_cannot_be_a_handler_is_refused_with_the_line(handler: Any, hint: str) -> None:
    def wrong(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.on_event("number", handler)
        yield from ctx.wait_for_external_event("never")

    message = Driver(wrong).failure.message
    assert hint in message
    assert HERE in message


@pytest.mark.parametrize("method", ["on_event", "set_query_handler"])
def test_two_handlers_of_one_name_are_refused_with_the_lines_of_both(method: str) -> None:
    def twice(ctx: OrchestrationContext) -> Orchestration[None]:
        getattr(ctx, method)("number", lambda: None)
        getattr(ctx, method)("number", lambda: None)
        yield from ctx.wait_for_external_event("never")

    message = Driver(twice).failure.message
    assert "two handlers of" in message
    assert message.count(HERE) == 2


def test_a_condition_that_holds_is_not_waited_for() -> None:
    def holds(ctx: OrchestrationContext) -> Orchestration[list[bool]]:
        return [
            (yield from ctx.wait_condition(lambda: True)),
            (yield from ctx.wait_condition(lambda: 1, timedelta(hours=1))),
        ]

    driver = Driver(holds)
    assert driver.result == [True, True]
    assert not [event for event in driver.all_outgoing if isinstance(event, TimerCreated)]


def test_a_condition_whose_time_is_up_is_false() -> None:
    def hopeless(ctx: OrchestrationContext) -> Orchestration[bool]:
        return (yield from ctx.wait_condition(lambda: False, timedelta(hours=1)))

    driver = Driver(hopeless)
    driver.tell(TimerFired(1))
    assert driver.result is False


def test_what_a_predicate_raises_is_raised_at_the_yield() -> None:
    def fragile(ctx: OrchestrationContext) -> Orchestration[str]:
        values: list[int] = []
        ctx.on_event("go", values.append)

        def predicate() -> bool:
            return bool(values) and 1 / values[0] > 0

        try:
            yield from ctx.wait_condition(predicate)
        except ZeroDivisionError as error:
            return str(error)
        return "unexpected"

    driver = Driver(fragile)
    driver.tell(EventRaised("go", 0, "r1"))
    assert driver.result == "division by zero"


def test_one_condition_coming_true_may_make_another_true() -> None:
    def chain(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        seen: list[str] = []
        ctx.on_event("go", seen.append)
        lost = ctx.wait_condition(lambda: len(seen) >= 3)
        winner = yield from ctx.task_any([ctx.wait_condition(lambda: len(seen) >= 1), lost])
        seen.append("first" if winner is not lost else "wrong")
        yield from ctx.wait_condition(lambda: len(seen) >= 2)
        seen.append("second")
        yield from lost
        return seen

    driver = Driver(chain)
    driver.tell(EventRaised("go", "go", "r1"))
    assert driver.result == ["go", "first", "second"]


@pytest.mark.parametrize("wrong", [5, async_handler, generator])
def test_what_cannot_be_a_condition_is_refused_with_the_line(wrong: Any) -> None:
    def waits(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.wait_condition(wrong)

    message = Driver(waits).failure.message
    assert "a condition is a plain function without parameters" in message
    assert HERE in message


# ---------------------------------------------------------------- event ids


def test_rows_that_an_earlier_generation_consumed_are_no_news() -> None:
    def waits(ctx: OrchestrationContext) -> Orchestration[str]:
        return (yield from ctx.wait_for_external_event("go", str))

    driver = Driver(waits, start=False)
    driver.live.remember(["r1"])
    driver.tell(ExecutionStarted("waits", "", None))
    assert driver.tell(EventRaised("go", "again", "r1")).recorded == ()
    driver.tell(EventRaised("go", "new", "r2"))
    assert driver.result == "new"
    assert driver.live.rows_seen == ("r1", "r2")


# ---------------------------------------------------------------- callbacks


class Urls:
    def url_of(self, ticket: CallbackTicket) -> str:
        return f"https://example/{ticket.event_name}/{ticket.nonce}/{ticket.expires_at.isoformat()}"

    def ticket_of(self, url: str) -> CallbackTicket:
        raise NotImplementedError


def calls_back(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    first, second = ctx.callback("pay", int), ctx.callback("pay", int, timedelta(hours=2))
    ctx.set_custom_status([first.url, second.url])
    return [(yield from second.task), (yield from first.task)]


def test_the_url_of_a_callback_is_the_same_at_every_replay_and_of_that_callback_alone() -> None:
    driver = Driver(calls_back, urls=Urls())
    urls = driver.live.custom_status
    assert len(set(urls)) == 2
    assert urls[1].endswith((START + timedelta(seconds=1, hours=2)).isoformat())
    assert driver.replayed().custom_status == urls
    driver.tell(EventRaised("callback/pay/0.1", 1, "r1"))
    driver.tell(EventRaised("callback/pay/0.2", 2, "r2"))
    assert driver.result == [2, 1]
    assert generation_of("callback/a/b/7.2") == 7


def test_a_history_with_callbacks_can_be_replayed_where_there_are_no_urls() -> None:
    driver = Driver(calls_back, urls=Urls())
    driver.info = replace(driver.info, callback_urls=None)
    assert all(url.startswith("callback:") for url in driver.replayed().custom_status)


def test_an_app_without_an_address_has_no_callback_urls() -> None:
    assert "no address" in Driver(calls_back).failure.message


# ---------------------------------------------------------------- queries


def answers(ctx: OrchestrationContext) -> Orchestration[str]:
    state = {"step": 0}

    def bad() -> Task[Any]:
        return ctx.call_activity("not from here")

    ctx.set_query_handler("state", lambda: state)
    ctx.set_query_handler("add", two_numbers)
    ctx.set_query_handler("bad", bad)
    yield from ctx.call_activity("first")
    state["step"] = 1
    yield from ctx.wait_for_external_event("go")
    state["step"] = 2
    return "done"


def two_numbers(numbers: list[int]) -> int:
    return sum(numbers)


def asked(driver: Driver) -> OrchestrationExecutor:
    return driver.replayed()


def test_a_query_sees_the_code_where_it_stands() -> None:
    driver = Driver(answers)
    assert asked(driver).query("state", None) == {"step": 0}
    driver.tell(TaskCompleted(1))
    assert asked(driver).query("state", None) == {"step": 1}
    driver.tell(ExecutionSuspended("", "r1"))
    assert asked(driver).query("state", None) == {"step": 1}
    driver.tell(ExecutionResumed("", "r2"), EventRaised("go", None, "r3"))
    assert driver.result == "done"
    assert asked(driver).query("state", None) == {"step": 2}


def test_a_query_takes_arguments_of_the_annotated_type() -> None:
    driver = Driver(answers)
    assert asked(driver).query("add", ["1", 2]) == 3
    with pytest.raises(InvalidInputError):
        asked(driver).query("add", "one")
    with pytest.raises(InvalidInputError, match="takes no arguments"):
        asked(driver).query("state", 5)


def test_an_unknown_query_names_those_there_are() -> None:
    with pytest.raises(UnknownQueryError, match="it answers: add, bad, state"):
        asked(Driver(answers)).query("progress", None)


def test_a_query_decides_nothing() -> None:
    driver = Driver(answers)
    cold = asked(driver)
    with pytest.raises(QueryFailedError) as caught:
        cold.query("bad", None)
    cause = caught.value.__cause__
    assert isinstance(cause, OrchestratorCodeError)
    assert "used inside query 'bad'" in str(cause)
    assert cause.location.startswith(HERE)
    assert list(cold.pending) == [1]


def test_an_event_waiter_that_lost_its_type_fails_its_task() -> None:
    def typed(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            yield from ctx.wait_for_external_event("go", int, timedelta(hours=1))
        except TaskFailedError as error:
            return type(error).__name__
        return "unexpected"

    driver = Driver(typed)
    turn = driver.tell(EventRaised("go", "text", "r1"))
    assert driver.result == "TaskFailedError"
    assert TimerCanceled(1) in turn.outgoing


def test_a_query_may_come_before_the_first_commit() -> None:
    driver = Driver(answers, start=False)
    driver.live.preview(START, [ExecutionStarted("answers", "", None), TaskCompleted(1)])
    assert driver.live.query("state", None) == {"step": 1}
    assert driver.live.history == []
