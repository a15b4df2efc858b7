"""What the code waits for is named: the open calls, events and conditions that the yielded task depends on."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from durable_core import FailureDetails, Orchestration, OrchestrationContext, RetryPolicy
from durable_core.engine.events import EventRaised, StepCompleted, TaskCompleted, TaskFailed
from durable_core.hub.instance_row import Instance, RetryState
from durable_core.hub.waits import MAX_CHARS, text_of, waits_in
from durable_core.models import JSON, RuntimeStatus, Wait
from durable_core.moments import from_epoch

from .engine_driver import START, Driver

PARENT = Instance(
    instance_id="one",
    execution_id="abc",
    name="order",
    version="",
    status=RuntimeStatus.RUNNING,
    created=START,
    updated=START,
    input="null",
)
HERE = "unit/test_engine_waits.py:"


def shown(driver: Driver) -> list[tuple[str, str]]:
    """The kinds and names, the same for a cold generator."""
    warm = driver.live.waits
    cold = driver.replayed()
    assert cold.waits == warm
    cold.close()
    assert all(wait.line.startswith(HERE) for wait in warm), warm
    return [(wait.kind, wait.name) for wait in warm]


def test_one_activity() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield from ctx.call_activity("charge"))

    driver = Driver(code)
    assert shown(driver) == [("activity", "charge")]
    (wait,) = driver.live.waits
    assert wait.task_id == 1
    assert wait.since == START + timedelta(seconds=1)
    driver.tell(TaskCompleted(1, None))
    assert driver.live.waits == []


def test_every_kind_in_one_task_any() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        tasks = [
            ctx.call_activity("charge"),
            ctx.create_timer(timedelta(days=1)),
            ctx.wait_for_external_event("Paid"),
            ctx.call_sub_orchestrator("child"),
            ctx.wait_condition(lambda: False),
            ctx.run("pick", int),
            ctx.callback("bank").task,
        ]
        return (yield ctx.task_any(tasks))

    driver = Driver(code)
    assert shown(driver) == [
        ("activity", "charge"),
        ("timer", ""),
        ("event", "Paid"),
        ("child", "child"),
        ("condition", ""),
        ("step", "pick"),
        ("callback", "bank"),
    ]
    assert driver.live.waits[1].due == START + timedelta(seconds=1, days=1)
    assert {wait.since for wait in driver.live.waits} == {START + timedelta(seconds=1)}


def test_tasks_that_the_code_does_not_wait_for_are_left_out() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        later = ctx.call_activity("later")
        now = yield from ctx.call_activity("now")
        return now, (yield from later)

    driver = Driver(code)
    assert shown(driver) == [("activity", "now")]
    driver.tell(TaskCompleted(2, 1))
    assert shown(driver) == [("activity", "later")]


def test_combinations_in_combinations_windows_flows_and_ends_in_order() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        window = ctx.task_all((ctx.call_activity("square", n) for n in range(5)), max_concurrency=2)
        polled = ctx.call_http("GET", "https://example.com/")
        yield ctx.gather(window, polled, ctx.wait_for_external_event("Go", timeout=timedelta(hours=1)))
        for task in ctx.as_completed([ctx.call_activity("first"), ctx.call_activity("second")]):
            yield from task

    driver = Driver(code)
    assert shown(driver) == [
        ("activity", "square"),
        ("activity", "square"),
        ("activity", "durable.http"),
        ("event", "Go"),
        ("timer", ""),
    ]
    driver.tell(EventRaised("Go", None, "row"))
    response: JSON = {"status_code": 200, "headers": {}, "content": ""}
    driver.tell(TaskCompleted(1, 0), TaskCompleted(2, 1), TaskCompleted(3, response))
    assert shown(driver) == [("activity", "square")] * 2
    while driver.live.pending and driver.live.waits[0].name == "square":
        driver.tell(TaskCompleted(driver.live.waits[0].task_id, 0))
    assert shown(driver) == [("activity", "first"), ("activity", "second")]
    driver.tell(TaskCompleted(driver.live.waits[1].task_id, 0))
    assert shown(driver) == [("activity", "first")]


def test_a_task_in_two_combinations_is_shown_once() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        shared = ctx.call_activity("shared")
        yield ctx.task_any([ctx.task_all([shared, ctx.call_activity("other")]), ctx.task_all([shared])])

    assert shown(Driver(code)) == [("activity", "shared"), ("activity", "other")]


def test_a_wide_fan_out_is_one_entry_until_eight_calls_are_open() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.task_all([ctx.call_activity("ship", n) for n in range(20)])

    driver = Driver(code)
    assert shown(driver) == [("activity", "ship")]
    assert driver.live.waits[0].task_id == 1
    driver.tell(*(TaskCompleted(n, None) for n in range(1, 13)))
    assert [wait.task_id for wait in driver.live.waits] == list(range(13, 21))


def test_to_find_them_takes_no_longer_after_ten_thousand_ends() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.task_all([ctx.call_activity("ship", n) for n in range(10_000)])

    driver = Driver(code)

    def looks(begin: int, end: int) -> float:
        started = time.process_time()
        for task_id in range(begin, end):
            driver.tell(TaskCompleted(task_id, None))
            assert driver.live.waits
        return time.process_time() - started

    early = looks(1, 1001)
    driver.tell(*(TaskCompleted(task_id, None) for task_id in range(1001, 8001)))
    assert driver.live.waits[0].task_id == 8001
    late = looks(8001, 9001)
    assert late < 4 * early, (early, late)


def test_a_call_that_is_tried_again_is_a_retry() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        policy = RetryPolicy(max_attempts=3)
        yield ctx.task_all([ctx.call_activity("flaky", retry=policy), ctx.create_timer(timedelta(hours=1))])

    driver = Driver(code)
    state = RetryState(2, START, START)
    found = waits_in(text_of(driver.live.waits, {1: state, 2: state}), PARENT)
    assert [(wait.kind, wait.name) for wait in found] == [("retry", "flaky"), ("timer", "")]
    assert waits_in(text_of(driver.live.waits, {}), PARENT) == tuple(driver.live.waits)


def test_a_step_waits_since_the_commit_before_it() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield from ctx.run("first", int)
        yield from ctx.run("second", int)

    driver = Driver(code)
    driver.tell(StepCompleted(1, "first", 1), seconds=60)
    assert shown(driver) == [("step", "second")]
    assert driver.live.waits[0].since == START + timedelta(seconds=61)


def test_clean_up_after_a_failure_is_what_it_waits_for() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        try:
            yield ctx.task_all([ctx.call_activity("a"), ctx.call_activity("b")])
        finally:
            yield ctx.call_activity("refund")

    driver = Driver(code)
    driver.tell(TaskFailed(2, FailureDetails("ValueError", "no")))
    assert shown(driver) == [("activity", "refund")]


def test_long_names_fit_a_property_and_unknown_kinds_are_left_out() -> None:
    many = [Wait("event", "\N{GRINNING FACE}" * 300, f"{n}" * 300) for n in range(8)]
    text = text_of(many, {})
    assert len(text) <= MAX_CHARS
    found = waits_in(text, PARENT)
    assert 0 < len(found) < 8
    assert found[0].name == "\N{GRINNING FACE}" * 256
    assert waits_in('[["dream","x","y"],["event","Go","a.py:1",0,5,null,"later"]]', PARENT)[0] == Wait(
        "event", "Go", "a.py:1", 0, from_epoch(5)
    )
    assert waits_in("", PARENT) == ()


def test_a_sub_orchestration_is_named_by_its_id() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.task_all(
            [ctx.call_sub_orchestrator("pay"), ctx.call_sub_orchestrator("ship", None, "s-1"), ctx.call_activity("a")]
        )

    driver = Driver(code)
    text = text_of(driver.live.waits, {})
    assert "one:" not in text, "the id of a child that has none of its own is not stored"
    found = waits_in(text, PARENT)
    assert [(wait.kind, wait.instance_id) for wait in found] == [
        ("child", "one:abc:0:1"),
        ("child", "s-1"),
        ("activity", ""),
    ]
    retried = waits_in(text_of(driver.live.waits, dict.fromkeys((1, 2, 3), RetryState(3, START, START))), PARENT)
    assert [(wait.kind, wait.instance_id) for wait in retried] == [
        ("retry", "one:abc:0:1.3"),
        ("retry", "s-1.3"),
        ("retry", ""),
    ]
