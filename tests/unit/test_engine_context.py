"""The context: time, ids, random numbers, logging, and what calls refuse."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Generic, TypeVar

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, RetryPolicy
from durable_core.engine.annotations import result_type
from durable_core.engine.events import (
    EventSent,
    ExecutionStarted,
    ExecutionTerminated,
    SubOrchestrationCreated,
    TaskCompleted,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from durable_core.engine.user_frames import without_engine
from durable_core.errors import OrchestratorCodeError, SerializationError
from durable_core.models import ParentLink

from .engine_driver import START, Driver


def test_time_ids_and_random_numbers_are_the_same_at_every_replay() -> None:
    runs: list[list[Any]] = []

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        seen: list[Any] = []
        runs.append(seen)
        for _ in range(3):
            seen += [ctx.current_utc_datetime, ctx.new_uuid(), ctx.new_guid(), ctx.random.random()]
            yield ctx.call_activity("a")

    driver = Driver(code)
    driver.tell(TaskCompleted(1), seconds=5)
    driver.tell(TaskCompleted(2), seconds=7)
    driver.replayed()
    assert runs[0] == runs[1]
    assert [runs[0][n] - START for n in (0, 4, 8)] == [timedelta(seconds=n) for n in (1, 6, 13)]
    assert len(set(map(str, runs[0]))) == len(runs[0])


def test_another_instance_draws_other_ids() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[str]:
        yield ctx.create_timer(timedelta(0))
        return ctx.new_uuid()

    one = Driver(code)
    one.tell(TimerFired(1))
    other = one.fresh()
    other.info = one.info
    two = Driver(code, parent=None, start=False)
    two.info = type(one.info)(instance_id="order-8", execution_id="e1", generation=0, name="code", version="1")
    two.live = two.fresh()
    two.tell(ExecutionStarted("code", "1"))
    two.tell(TimerFired(1))
    assert one.result != two.result


def test_the_context_knows_who_it_is() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.call_activity("a")
        ctx.set_custom_status({"step": 1})
        return [ctx.instance_id, ctx.parent_instance_id, ctx.version, ctx.custom_status, len(ctx.histories)]

    driver = Driver(code, parent=ParentLink("boss", "e", 0, 4))
    assert driver.live.custom_status is None
    driver.tell(TaskCompleted(1))
    assert driver.result == ["order-7", "boss", "1", {"step": 1}, 2]
    assert driver.live.custom_status == driver.replayed().custom_status == {"step": 1}


def test_a_log_line_is_written_once_and_says_whose_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        replaying = [ctx.is_replaying]
        try:
            ctx.logger.info("begun %s", 1)
            yield ctx.call_activity("a")
            replaying.append(ctx.is_replaying)
            ctx.logger.info("ended", extra={"order": 7})
            yield ctx.call_activity("b")
            return [replaying, ctx.parent_instance_id]
        finally:
            ctx.logger.info("closed")

    caplog.set_level(logging.INFO, "durable_core.orchestrator")
    driver = Driver(code)
    cold = driver.replayed()
    driver.live.close()
    driver.live = cold
    driver.tell(TaskCompleted(1))
    assert [record.getMessage() for record in caplog.records] == ["begun 1", "ended"]
    assert [vars(record)["instance_id"] for record in caplog.records] == ["order-7", "order-7"]
    assert vars(caplog.records[1])["order"] == 7
    driver.tell(TaskCompleted(2))
    assert driver.result == [[True, False], None]


def test_the_logger_is_silent_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.create_timer(timedelta(0))
        return ctx.logger.isEnabledFor(logging.DEBUG)

    caplog.set_level(logging.WARNING, "durable_core.orchestrator")
    driver = Driver(code)
    driver.tell(TimerFired(1))
    assert driver.result is False


def test_options_and_retries_go_with_the_call() -> None:
    policy = RetryPolicy(max_attempts=5, retry_if=lambda failure: True)

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.call_activity("a", inline=False)
        ctx.call_activity("b", inline=True, retry=policy)
        ctx.call_activity_with_retry("c", policy, "input")
        ctx.call_sub_orchestrator_with_retry("d", policy, "input", "child")
        yield ctx.create_timer(timedelta(days=1000))

    driver = Driver(code)
    a, b, c, d, _ = driver.outgoing
    assert isinstance(a, TaskScheduled)
    assert isinstance(b, TaskScheduled)
    assert isinstance(c, TaskScheduled)
    assert isinstance(d, SubOrchestrationCreated)
    assert [a.options, b.options, c.options, c.input] == [{"inline": False}, {"inline": True}, None, "input"]
    assert (d.name, d.input, d.instance_id) == ("d", "input", "child")
    expected = [None, policy, policy, policy, None]
    assert [pending.retry for pending in driver.live.pending.values()] == expected
    assert [pending.retry for pending in driver.replayed().pending.values()] == expected


def test_a_timer_fires_at_a_time_or_after_a_while() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.create_timer(datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=1))))
        yield ctx.create_timer(timedelta(minutes=2))

    driver = Driver(code)
    first, second = driver.outgoing
    assert isinstance(first, TimerCreated)
    assert isinstance(second, TimerCreated)
    assert (first.fire_at - START, second.fire_at - driver.now) == (timedelta(hours=1), timedelta(minutes=2))
    assert driver.live.due_timers(START) == []
    assert driver.live.due_timers(second.fire_at) == [TimerFired(2)]
    assert driver.live.due_timers(first.fire_at) == [TimerFired(2), TimerFired(1)]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (datetime(2030, 1, 1), "time zone"),
        (timedelta(seconds=-1), "negative"),
        (5, "takes a datetime or a timedelta"),
    ],
)
def test_a_timer_refuses_what_is_no_point_in_time(wrong: Any, says: str) -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[Any]:
        with pytest.raises(OrchestratorCodeError, match=says) as refused:
            ctx.create_timer(wrong)
        yield ctx.create_timer(timedelta(0))
        return refused.value.location

    driver = Driver(code)
    driver.tell(TimerFired(1))
    assert driver.result.startswith("unit/test_engine_context.py:")


def test_an_input_that_is_not_json_is_refused_at_the_call_and_takes_no_number() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        for call in (ctx.call_activity, ctx.call_sub_orchestrator):
            with pytest.raises(SerializationError):
                call("a", object())
        yield ctx.call_activity("a")

    assert list(Driver(code).live.pending) == [1]


def test_an_event_can_be_sent_to_another_instance() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.send_event("other", "go", [1])
        yield ctx.call_activity("a")

    driver = Driver(code)
    sent = driver.outgoing[0]
    assert isinstance(sent, EventSent)
    assert (sent.task_id, sent.instance_id, sent.name, sent.data) == (1, "other", "go", [1])
    assert list(driver.replayed().pending) == [2]


def test_nothing_that_a_closing_orchestrator_does_is_recorded() -> None:
    done: list[str] = []

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        timer = ctx.create_timer(timedelta(1))
        try:
            yield timer
        finally:
            timer.cancel()
            ctx.call_activity("cleanup")
            ctx.send_event("other", "go")
            ctx.set_custom_status("closing")
            ctx.continue_as_new(1)
            done.append("closed" if ctx.is_replaying else "live")

    driver = Driver(code)
    driver.live.close()
    driver.live.close()
    assert list(driver.live.pending) == [1]
    assert driver.live.knows(2) == "unknown"
    assert driver.live.custom_status is None
    assert driver.live.completion is None
    ended = Driver(code)
    turn = ended.tell(ExecutionTerminated("enough"))
    assert turn.outgoing == ()
    assert done == ["closed", "closed"]


T = TypeVar("T")


class _Callable(Generic[T]):
    def __call__(self, data: int) -> int:
        return data


def test_a_generator_that_is_merely_forgotten_records_nothing_either() -> None:
    kept: list[OrchestrationContext] = []

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        kept.append(ctx)
        yield ctx.call_activity("a")

    driver = Driver(code)
    kept[0].call_activity("b")  # as a 'finally:' block does that Python's garbage collector runs
    assert list(driver.live.pending) == [1]


def test_what_a_call_returns_is_read_from_annotations() -> None:
    def bare(x):  # pyright: ignore
        return x  # pyright: ignore

    def plain(x: int) -> list[int]:
        return [x]

    def code(ctx: OrchestrationContext) -> Orchestration[dict[str, int]]:
        yield ctx.call_activity("a")
        return {}

    def loose(ctx: OrchestrationContext) -> Orchestration[Any]:
        yield ctx.call_activity("a")

    async def later(ctx: ActivityContext) -> bytes:
        return b""

    def awaitable(x: int) -> Awaitable[int]:
        raise NotImplementedError

    cases: list[tuple[Callable[..., Any], Any]] = [
        (bare, Any),  # pyright: ignore
        (plain, list[int]),
        (code, dict[str, int]),
        (loose, Any),
        (later, bytes),
        (awaitable, Awaitable[int]),
        (_Callable[int](), int),
    ]
    for fn, kind in cases:
        assert result_type(fn) == kind


def test_an_annotation_that_names_nothing_is_an_error_that_says_so() -> None:
    def wrong(x: int) -> Missing:  # pyright: ignore  # noqa: F821
        return x

    with pytest.raises(OrchestratorCodeError, match=r"Missing.*returns="):
        result_type(wrong)  # pyright: ignore


def test_a_traceback_of_nothing_is_nothing() -> None:
    assert without_engine(None) is None


def test_importing_the_package_loads_no_cloud_and_no_database() -> None:
    code = "import sys, durable_core; print({m.split('.')[0] for m in sys.modules} & {'azure', 'sqlite3', 'aiohttp'})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


def test_numbers_as_headers_of_an_http_call_are_written_out() -> None:
    headers: Any = {"X-Count": 5, "X-Rate": 0.5, "X-Text": "t"}

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield ctx.call_http("GET", "http://example.com", headers=headers)

    (event,) = Driver(code).outgoing
    assert isinstance(event, TaskScheduled)
    assert event.input["headers"] == {"X-Count": "5", "X-Rate": "0.5", "X-Text": "t"}
