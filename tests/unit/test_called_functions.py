"""What is called must be marked, and of the right kind: a mistake fails at its line, and names the right call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from durable_core import EntityContext, Orchestration, OrchestrationContext, activity, entity, orchestrator
from durable_core.converter import Converter
from durable_core.engine.events import ExecutionCompleted, ExecutionStarted, TaskCompleted, TaskScheduled
from durable_core.engine.executor import OrchestrationExecutor
from durable_core.errors import ConfigurationError, DeterminismError, UnknownOrchestratorError
from durable_core.guard_rules import needs_profiler
from durable_core.registry import Registry
from durable_core.settings import Settings
from tests.unit.engine_driver import Driver

HERE = "unit/test_called_functions.py"


def plain(amount: int = 1) -> str:
    return f"receipt of {amount}"


async def plain_async(amount: int = 1) -> str:
    return "receipt"


@activity
def charge(amount: int = 1) -> str:
    return f"receipt of {amount}"


@activity
async def charge_async(amount: int = 1) -> str:
    return "receipt"


@orchestrator
def child(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(charge, 1)


@entity
def counter(ctx: EntityContext) -> None: ...


def failure_of(call: Callable[[OrchestrationContext], Any]) -> str:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield call(ctx)

    completion = Driver(code).live.completion
    assert isinstance(completion, ExecutionCompleted)
    assert completion.failure is not None
    assert completion.failure.type == "durable_core.errors.OrchestratorCodeError"
    assert f"(at {HERE}:{call.__code__.co_firstlineno})" in completion.failure.message
    return completion.failure.message


WRONG: list[tuple[Callable[[Any], Any], str]] = [
    (lambda ctx: ctx.call_activity(plain, 1), "plain (unit/test_called_functions.py:"),
    (lambda ctx: ctx.call_activity(plain, 1), "mark it with @activity, or run it as a step: ctx.run('plain'"),
    (lambda ctx: ctx.call_activity(plain_async, 1), "mark it with @activity"),
    (lambda ctx: ctx.call_activity(lambda: 1), "is not marked as an activity"),
    (lambda ctx: ctx.call_activity(print, 1), "print is not marked as an activity"),
    (lambda ctx: ctx.call_activity(dict), "dict is not marked as an activity"),
    (
        lambda ctx: ctx.call_activity(child),
        "'child' is an orchestrator, not an activity: call it with ctx.call_sub",
    ),
    (lambda ctx: ctx.call_activity(counter), "'counter' is an entity, not an activity"),
    (lambda ctx: ctx.call_activity(plain_async(1)), "it was called already; pass the function itself"),
    (lambda ctx: ctx.call_activity(plain(1)), "'receipt of 1' cannot be the name of an activity"),
    (lambda ctx: ctx.call_activity(""), "'' cannot be the name of an activity"),
    (lambda ctx: ctx.call_activity(None), "not None: pass the function itself"),
    (lambda ctx: ctx.call_activity(7), "not 7: pass the function itself"),
    (lambda ctx: ctx.call_activity_with_retry(plain, None), "mark it with @activity"),
    (lambda ctx: ctx.call_sub_orchestrator(plain), "plain (unit/test_called_functions.py:"),
    (lambda ctx: ctx.call_sub_orchestrator(plain), "mark it with @orchestrator"),
    (lambda ctx: ctx.call_sub_orchestrator(charge), "'charge' is an activity, not an orchestrator: call it with"),
    (lambda ctx: ctx.call_sub_orchestrator("no name"), "cannot be the name of an orchestrator"),
    (lambda ctx: ctx.start_orchestration(plain), "mark it with @orchestrator"),
    (lambda ctx: ctx.start_orchestration(charge), "'charge' is an activity"),
    (lambda ctx: ctx.saga().add_compensation(plain, 1), "mark it with @activity"),
]


@pytest.mark.parametrize(("call", "told"), WRONG)
def test_what_no_host_runs_fails_at_the_line_of_its_call(call: Callable[..., Any], told: str) -> None:
    assert told in failure_of(call)


def test_marked_functions_and_names_are_called_as_before() -> None:
    @activity(name="Charge.Card-2")
    def renamed() -> None: ...

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.task_all([ctx.call_activity(each) for each in (charge, "Größe", renamed, charge_async)])

    names = [event.name for event in Driver(code).outgoing if isinstance(event, TaskScheduled)]
    assert names == ["charge", "Größe", "Charge.Card-2", "charge_async"]


def test_a_failure_of_such_a_call_is_replayed_as_it_was() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity("before")
        wrong: Any = plain
        yield from ctx.call_sub_orchestrator(wrong, 1)

    driver = Driver(code)
    driver.tell(TaskCompleted(1))
    assert isinstance(driver.live.completion, ExecutionCompleted)
    assert driver.replayed().completion == driver.live.completion


def test_a_history_that_holds_such_a_call_is_replayed_as_before() -> None:
    def before(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.start_orchestration("plain")
        yield ctx.task_all([ctx.call_activity("plain", 1), ctx.call_sub_orchestrator("charge", 1)])

    def now(ctx: OrchestrationContext) -> Orchestration[None]:
        wrong: list[Any] = [plain, charge]
        ctx.start_orchestration(wrong[0])
        yield ctx.task_all([ctx.call_activity(plain, 1), ctx.call_sub_orchestrator(wrong[1], 1)])

    driver = Driver(before)
    assert driver.replayed(now).completion is None


# ---------------------------------------------------------------- activities called as plain functions, under the guard


def guarded(code: Any) -> OrchestrationExecutor:
    driver = Driver(code, start=False)
    live = OrchestrationExecutor(driver.definition, driver.info, Converter(), guard=True)
    live.step(driver.now, [ExecutionStarted("code", "1")])
    return live


def helper() -> str:
    return charge(1)


def test_an_activity_that_is_called_as_a_function_is_stopped_at_its_line() -> None:
    inner = charge

    def by_its_name(ctx: OrchestrationContext) -> Orchestration[str]:
        return charge(1)
        yield

    def by_another_name(ctx: OrchestrationContext) -> Orchestration[str]:
        return inner(1)
        yield

    def in_a_helper(ctx: OrchestrationContext) -> Orchestration[str]:
        return helper()
        yield

    def in_a_lambda(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        return [(lambda amount: charge(amount))(each) for each in (1, 2)]
        yield

    def and_caught(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            return charge(1)
        except Exception:  # noqa: BLE001
            return ""
        yield

    for code in (by_its_name, by_another_name, in_a_helper, in_a_lambda, and_caught):
        with pytest.raises(DeterminismError) as caught:
            guarded(code)
        assert caught.value.location.startswith(HERE)
        assert "the activity charge() as a plain function" in str(caught.value)
        assert "x = yield from ctx.call_activity(charge, ...)" in str(caught.value)


def test_an_activity_that_is_only_named_costs_no_profiler_and_may_be_called_in_a_step() -> None:
    def names_it(ctx: OrchestrationContext) -> Orchestration[None]:
        calls = [ctx.call_activity(charge, amount) for amount in (1, 2)]
        yield from ctx.task_all([*calls, *map(ctx.call_activity, [charge])])

    def in_a_step(ctx: OrchestrationContext) -> Orchestration[str]:
        return (yield from ctx.run("charge", lambda: charge(1)))

    assert not needs_profiler(names_it)
    assert guarded(names_it).completion is None
    assert guarded(in_a_step).completion is None
    assert charge(1) == "receipt of 1"


# ---------------------------------------------------------------- starts and settings


def test_a_start_says_why_a_function_cannot_be_started() -> None:
    registry = Registry().add(charge, counter)
    told = {
        plain: "plain (",
        child: "'child' (",
        charge: "'charge' is an activity: an orchestrator calls it",
        "charge": "'charge' is an activity: an orchestrator calls it",
        "Counter": "'Counter' is an entity",
        counter: "'counter' is an entity",
        "other": "there is no orchestrator 'other'; registered: none",
    }
    for target, text in told.items():
        with pytest.raises(UnknownOrchestratorError) as caught:
            registry.orchestrator_called(target, None)
        assert text in str(caught.value)
    assert registry.add(child).orchestrator_called(child, None).name == "child"


@pytest.mark.parametrize(
    ("variable", "bounds"),
    {
        "DURABLE_PARTITIONS": "a whole number, 1 to 64",
        "DURABLE_WARM_CACHE": "at least 0",
        "DURABLE_WARM_INSTANCES": "at least 0",
        "DURABLE_MAX_PAYLOAD": "at least 1",
        "DURABLE_MAX_THREADS": "at least 1",
        "DURABLE_MESSAGE_LEASE": "1 to 604,800",
        "DURABLE_CODE_LIMIT": "at least 0",
        "DURABLE_TIMER_ROWS_FROM": "60 to 600",
        "DURABLE_INLINE": "true, false",
        "DURABLE_GUARD": "true, false",
        "DURABLE_METRICS": "true, false",
        "DURABLE_AZURE_SDK": "true, false",
    }.items(),
)
def test_a_setting_that_cannot_be_read_says_what_it_takes(variable: str, bounds: str) -> None:
    for raw in ("many", "", "1,5"):
        with pytest.raises(ConfigurationError) as caught:
            Settings.from_environment({variable: raw})
        assert variable in str(caught.value)
        assert bounds in str(caught.value)


@pytest.mark.parametrize("raw", ["nan", "inf", "0.5", "604801"])
def test_a_lease_that_no_queue_can_hold_is_refused(raw: str) -> None:
    with pytest.raises(ConfigurationError, match="1 to 604,800 seconds"):
        Settings.from_environment({"DURABLE_MESSAGE_LEASE": raw})
