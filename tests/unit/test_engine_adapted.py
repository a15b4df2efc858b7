"""Orchestrators behind an adapter: what the engine does for code that was written for another framework."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from durable_core import OrchestrationContext, RuntimeStatus, Task
from durable_core.converter import Converter
from durable_core.definitions import NO_INPUT, Adapter, OrchestratorDefinition
from durable_core.engine.adapted import AdaptedTask, call_now, has_ended_by_now
from durable_core.engine.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from durable_core.engine.executor import InstanceInfo, OrchestrationExecutor
from durable_core.models import FailureDetails
from tests.unit.engine_driver import Driver


class Lazy:
    """A task of another framework: called when it is yielded."""

    def __init__(self, ctx: OrchestrationContext, name: str) -> None:
        self.ctx, self.name = ctx, name
        self.made: Task[Any] | None = None

    def __durable_task__(self) -> Task[Any]:
        if self.made is None:
            called = call_now(self.ctx, lambda: self.ctx.call_activity(self.name), "app.py:7")
            self.made = AdaptedTask(called, lambda value: f"<{value}>", lambda error: KeyError(str(error)))
        return self.made


class Adapted(Driver):
    """Drives a function whose argument an adapter makes: here a function that returns a ``Lazy``."""

    def __init__(
        self, fn: Callable[..., Any], *, start: bool = True, result: Callable[[Any], Any] = lambda value: value
    ) -> None:
        self.adapted = OrchestratorDefinition(
            name="adapted",
            version="1",
            fn=fn,
            input_type=NO_INPUT,
            location="here",
            adapter=Adapter(
                argument=lambda ctx: (ctx, partial(Lazy, ctx)),
                result=result,
                output_of_failure=lambda name, failure: f"{name}: {failure.message}",
            ),
        )
        super().__init__(_never, start=start)

    def fresh(self, fn: Callable[..., Any] | None = None) -> OrchestrationExecutor:
        info = InstanceInfo(instance_id="a", execution_id="e", generation=0, name="adapted", version="1")
        adapted = self.adapted if fn is None else replace(self.adapted, fn=fn)
        return OrchestrationExecutor(adapted, info, Converter())


def _never(ctx: OrchestrationContext) -> Generator[Any, Any, None]:
    yield from ctx.create_timer(timedelta(0))


def test_an_object_with_a_task_calls_it_when_it_is_yielded_and_not_before() -> None:
    def code(made: Any) -> Generator[Any, Any, Any]:
        _, call = made
        call("never")
        late, early = call("late"), call("early")
        first = yield early
        return [first, (yield late), (yield late)]

    driver = Adapted(code)
    assert [event.name for event in driver.outgoing if isinstance(event, TaskScheduled)] == ["early"]
    driver.tell(TaskCompleted(1, "a"))
    assert [event.name for event in driver.outgoing if isinstance(event, TaskScheduled)] == ["late"]
    driver.tell(TaskCompleted(2, "b"))
    assert driver.result == ["<a>", "<b>", "<b>"]
    assert driver.replayed().completion == driver.live.completion


def test_a_call_is_recorded_at_the_line_that_the_adapter_gives() -> None:
    def code(made: Any) -> Generator[Any, Any, Any]:
        yield made[1]("a")

    scheduled = Adapted(code).outgoing[0]
    assert isinstance(scheduled, TaskScheduled)
    assert scheduled.line == "app.py:7"


def test_the_error_of_a_task_is_the_one_that_the_adapter_makes() -> None:
    def code(made: Any) -> Generator[Any, Any, Any]:
        try:
            yield made[1]("a")
        except KeyError as error:
            return f"caught {error.args[0]}"

    driver = Adapted(code)
    driver.tell(TaskFailed(1, FailureDetails("ValueError", "boom")))
    assert driver.result == "caught activity 'a' (task 1) failed: ValueError: boom"


def test_a_converter_that_raises_fails_the_task_where_the_code_waits() -> None:
    def code(made: Any) -> Generator[Any, Any, Any]:
        ctx, call = made

        def refuse(_: object) -> object:
            raise ValueError("not mine")

        class Refusing:
            def __durable_task__(self) -> Task[Any]:
                return AdaptedTask(call("a").__durable_task__(), refuse, lambda error: error)

        try:
            yield Refusing()
        except ValueError as error:
            return f"{ctx.instance_id}: {error}"

    driver = Adapted(code)
    driver.tell(TaskCompleted(1, "x"))
    assert driver.result == "a: not mine"


def test_a_call_that_is_refused_raises_where_the_code_yields() -> None:
    def code(made: Any) -> Generator[Any, Any, Any]:
        ctx, _ = made

        class Wrong:
            def __durable_task__(self) -> Task[Any]:
                return call_now(ctx, lambda: ctx.create_timer(timedelta(seconds=-1)), "app.py:9")

        try:
            yield Wrong()
        except Exception as error:  # noqa: BLE001  as the code of a user may
            return str(error)

    assert "app.py:9" in Adapted(code).result


@pytest.mark.parametrize("value", [None, 7, [1]])
def test_a_function_without_yield_ends_at_once_with_its_result(value: Any) -> None:
    def code(_: Any) -> Any:
        return value

    driver = Adapted(code)
    assert driver.result == value
    assert driver.replayed().completion == driver.live.completion


def test_a_function_without_yield_that_raises_has_failed() -> None:
    def code(_: Any) -> None:
        raise ValueError("boom")

    end = Adapted(code).live.completion
    assert isinstance(end, ExecutionCompleted)
    assert (end.status, end.failure and end.failure.message) == (RuntimeStatus.FAILED.value, "boom")
    assert end.result == "adapted: boom"


def test_code_that_waits_after_continue_as_new_ends_there_and_calls_nothing() -> None:
    reached: list[str] = []

    def code(made: Any) -> Generator[Any, Any, Any]:
        ctx, call = made
        assert not ctx.will_continue_as_new
        ctx.continue_as_new(2)
        assert ctx.will_continue_as_new
        yield call("a")
        reached.append("after")

    driver = Adapted(code)
    assert [type(event) for event in driver.outgoing] == [ContinueAsNew]
    assert reached == []
    assert driver.replayed().completion == driver.live.completion


def test_a_function_without_yield_may_continue_as_new() -> None:
    def code(made: Any) -> None:
        made[0].continue_as_new(3)

    driver = Adapted(code)
    assert [type(event) for event in driver.outgoing] == [ContinueAsNew]


def test_a_poll_of_a_wait_takes_an_event_that_came_meanwhile() -> None:
    def code(made: Any) -> Generator[Any, Any, Any]:
        ctx, call = made
        event = ctx.wait_for_external_event("go")
        winner = yield ctx.task_any([event, call("a").__durable_task__()])
        before = has_ended_by_now(event)
        yield call("b")
        return [winner is event, before, has_ended_by_now(event)]

    driver = Adapted(code)
    driver.tell(TaskCompleted(1, None))
    driver.tell(EventRaised("go", 5, "e1"))
    driver.tell(TaskCompleted(2, None))
    assert driver.result == [False, False, True]
    assert driver.replayed().completion == driver.live.completion


def test_an_object_whose_task_is_no_task_is_refused() -> None:
    def code(made: Any) -> Generator[Any, Any, Any]:
        class Empty:
            def __durable_task__(self) -> None:
                return None

        yield Empty()

    driver = Adapted(code, start=False)
    driver.tell(ExecutionStarted("adapted", "1", None))
    end = driver.live.completion
    assert isinstance(end, ExecutionCompleted) and end.failure is not None
    assert "not a task of this orchestrator" in end.failure.message


def test_the_result_is_the_one_that_the_adapter_makes_and_its_error_fails_the_instance() -> None:
    def code(_: Any) -> int:
        return 7

    assert Adapted(code, result=lambda value: f"{value}!").result == "7!"

    def refuse(_: object) -> object:
        raise KeyError("no result")

    end = Adapted(code, result=refuse).live.completion
    assert isinstance(end, ExecutionCompleted) and end.failure is not None
    assert end.failure.type == "KeyError"
